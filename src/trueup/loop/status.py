# SPDX-License-Identifier: Apache-2.0
"""What runs, what waits for whom, and what was decided last: read from the state, not from events."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.core.decisions import Decision
from trueup.core.events import KINDS
from trueup.core.records import to_plain
from trueup.core.values import from_json
from trueup.loop.card import card_lines, read_card
from trueup.loop.context import moment
from trueup.loop.keeping import swept
from trueup.loop.observe import last_report, report_lines
from trueup.registry import troubles
from trueup.release import standing, waiting, waiting_words
from trueup.state import LoopState, SweptRecord, defined, definition, read

if TYPE_CHECKING:
    from trueup.store import Ledger


@dataclass(frozen=True, slots=True)
class Status:
    """A loop in a few lines."""

    loop: str
    generation: int
    state: LoopState
    stage: str | None
    waits_for: str | None
    next_look: datetime | None
    events: dict[str, int]
    decisions: tuple[Decision, ...]
    mode: str = "act"
    report: dict[str, Any] | None = None
    request: dict[str, Any] | None = None
    card: dict[str, Any] | None = None
    troubles: tuple[dict[str, Any], ...] = ()
    pruned: SweptRecord | None = None
    watched: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "loop": self.loop, "mode": self.mode, "generation": self.generation, "state": self.state.to_json(),
            "stage": self.stage, "waits_for": self.waits_for,
            "next_look": self.next_look.isoformat() if self.next_look else None, "events": self.events,
            "decisions": [asdict(decision) for decision in self.decisions],
            "report": self.report, "request": self.request, "card": self.card,
            "not_published": list(self.troubles), "pruned": None if self.pruned is None else to_plain(self.pruned), "watch": list(self.watched),
        }


def status(ledger: Ledger, loop: str, *, last: int = 8) -> Status:
    """The present state of a loop, its last decisions, newest first, and its counts of events."""
    generation, state = read(ledger, loop)
    _, pinned = definition(ledger, loop) or ("", None)
    stage = waits = request = None
    if state.release is not None:
        began = defined(ledger, loop, state.release.loop)
        stages = began["release"] if began else []
        at = state.release.stage
        kind = stages[at]["kind"].rpartition(".")[2] if at < len(stages) else "?"
        stage = f"{kind} ({at + 1} of {len(stages)}), step {state.release.step + 1}"
    asked = waiting(state)
    if asked is not None:
        waits = waiting_words(*asked, to_us(ledger.clock.now())).removeprefix("waits for ")
        request = _request(*asked, to_us(ledger.clock.now()))
    report = last_report(ledger, loop, state)
    return Status(
        loop=loop, generation=generation, state=state, stage=stage, waits_for=waits,
        next_look=datetime.fromisoformat(report["next_look"]) if report else _next_look(ledger, state, pinned),
        events={kind: ledger.count(loop, kind) for kind in KINDS},
        mode="observe" if report else (pinned or {}).get("mode", "act"), report=report,
        request=request, card=read_card(ledger.home, loop, state),
        decisions=tuple(ledger.decisions(loop, newest=True, limit=last)), troubles=tuple(troubles(ledger, loop)),
        pruned=swept(ledger, loop),
        watched=_watched(ledger, loop, report),
    )


def _watched(ledger: Ledger, loop: str, report: dict[str, Any] | None) -> tuple[dict[str, Any], ...]:
    """What the last look found of what is watched."""
    if report is not None:
        return tuple(report.get("watch", ()))
    last = ledger.decisions(loop, kind="look", newest=True, limit=1)
    return tuple(last[0].evidence.get("result", {}).get("watch", ())) if last else ()


def _request(asked: dict[str, Any], said: dict[str, Any] | None, now: int) -> dict[str, Any]:
    """What waits for people: whom, since when, until when, who has said yes, and the command."""
    given = standing(asked, said, now)
    return {
        "candidate": asked["candidate"], "by": asked["by"], "needs": asked.get("needs", 1),
        "since": asked.get("since"), "until": asked.get("until"), "digest": asked.get("digest"),
        "given": [{"who": one["who"], "at": one["at"], "reason": one["reason"]} for one in given],
        "command": f'trueup approve {asked["candidate"]} -m "why"',
    }


def _next_look(ledger: Ledger, state: LoopState, pinned: dict[str, Any] | None) -> datetime | None:
    if pinned is None or state.paused is not None:
        return None
    import trueup.triggers.schedule  # noqa: F401  the schedule's kind is registered there

    after = ledger.clock.now() if state.looked is None else from_us(state.looked)
    found: datetime = from_json(pinned["look"]).next(after)
    return found


def lines(found: Status) -> list[str]:
    """The status for people."""
    state, release = found.state, found.state.release
    text = [f"{found.loop}: generation {found.generation}" + ("" if found.mode == "act" else f", mode {found.mode}")]
    if found.report is not None:
        text.append(f"it only observes; on {moment(found.report['now'])} it would")
        text += report_lines(found.report)
    if state.paused is not None:
        text.append(f"paused: {state.paused} (trueup resume)")
    text.append(f"champion {state.champion or 'none yet'}" + (f" since {moment(state.since)}" if state.since else ""))
    if release is not None:
        text.append(f"challenger {release.candidate} in {found.stage} since {moment(release.entered)}")
    if found.card is not None:
        text += card_lines(found.card)
    if found.waits_for:
        text.append(f"waits for {found.waits_for}")
    if state.anchoring:
        asked = state.anchoring["request"]
        text.append(f"anchor {asked['candidate']} waits for {asked['by']} (trueup anchor {asked['candidate']} -m WHY)")
    if state.waiting:
        text.append(f"next in line {state.waiting}")
    if state.cycle:
        text.append(f"training {state.cycle.id} was begun and is not finished (trueup run, or trueup up, goes on with it)")
    spent = ", ".join(f"{test.level:.2g}" for test in state.tests[-5:])
    if state.tests:
        text.append(f"tests on fresh data so far: {len(state.tests)} (levels {spent})")
    missed = next((one.evidence.get("missed") for one in found.decisions if one.kind == "look"), None)
    if missed:
        text.append(f"the last look stood for {missed:,} more that were missed")
    if found.pruned is not None:
        text.append(f"{found.pruned.words} (on {moment(found.pruned.at)})")
    text += [f"{'ALARM' if part['holds'] else 'watch'} {part['part']}: {part['reason']}" for part in found.watched]
    if found.next_look:
        text.append(f"next look {found.next_look:%Y-%m-%d %H:%M}")
    text += [
        f"not published to {one['target']} since {moment(one['at'])}: {one['error']} (tried again by itself; "
        "trueup registry publish)" for one in found.troubles
    ]
    return text
