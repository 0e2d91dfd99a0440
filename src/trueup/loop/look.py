# SPDX-License-Identifier: Apache-2.0
"""A look: every reason to train, every reason not to, and the Decision to train or to rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.core.decisions import Decision
from trueup.core.facts import Fact, Note
from trueup.core.json import digest
from trueup.core.protocols import Finding, Trigger
from trueup.loop.context import Context, pinned, plain
from trueup.loop.costs import too_dear
from trueup.loop.cycle import CYCLE
from trueup.loop.facts import LedgerFacts
from trueup.release.evidence import Evidence, evidence
from trueup.state import LoopState, decide, read
from trueup.state.cycle import Before, Cycle

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger


@dataclass(frozen=True, slots=True)
class Look:
    """What the triggers and conditions found, and what is watched, in the definition's order."""

    when: tuple[tuple[str, Finding], ...]
    unless: tuple[tuple[str, Finding], ...]
    watch: tuple[tuple[str, Finding], ...] = ()

    @property
    def trains(self) -> bool:
        return any(found.holds for _, found in self.when) and not any(
            found.holds for _, found in self.unless
        )

    @property
    def reason(self) -> str:
        """Why it trains or rests, in a sentence."""
        fired = [f"{name}: {found.reason}" for name, found in self.when if found.holds]
        held = [f"{name}: {found.reason}" for name, found in self.unless if found.holds]
        if fired and held:
            return f"held back by {'; '.join(held)} (although {'; '.join(fired)})"
        if fired:
            return "; ".join(fired)
        return "; ".join(f"{name}: {found.reason}" for name, found in self.when) or "no trigger"

    def to_json(self) -> dict[str, Any]:
        return {
            name: [
                {"part": part, "holds": found.holds, "reason": found.reason,
                 "evidence": dict(found.evidence)}
                for part, found in parts
            ]
            for name, parts in (("when", self.when), ("unless", self.unless), ("watch", self.watch))
            if name != "watch" or parts
        }


def look_lines(result: Mapping[str, Any]) -> list[str]:
    """A look's result (`Look.to_json`) for people: each part, whether it holds, and why."""
    return [
        f"{'x' if part['holds'] else '-'} {kind} {part['part']}: {part['reason']}"
        for kind in ("when", "unless", "watch") for part in result.get(kind, ())
    ]


def findings(loop: Loop, ledger: Ledger, state: LoopState, *, cut: int, now: int) -> Look:
    """Ask every trigger and every condition, at one cut of the ledger."""
    facts = LedgerFacts(loop, ledger, state, cut=cut, now=now)
    when = [(plain(part), _unanswered(part, part.look(facts), state)) for part in loop.reasons]
    if state.champion is None and state.waiting is None:
        rows = facts.rows()
        when.append(("no champion", Finding(rows > 0, f"there is no champion yet; {rows:,} labelled rows")))
    unless = [(plain(part), part.look(facts)) for part in loop.unless]
    if loop.when_busy == "wait" and state.release is not None:
        unless.append(("busy", Finding(True, f"{state.release.candidate} is being released")))
    if (dear := too_dear(loop, ledger, now)) is not None:
        unless.append(("budget", dear))
    return Look(tuple(when), tuple(unless), tuple((plain(part), part.look(facts)) for part in loop.watch))


def _unanswered(part: Trigger, found: Finding, state: LoopState) -> Finding:
    """An alarm that has been answered holds until its answer is through: promoted, or refused."""
    on_its_way = state.waiting or (state.release and state.release.candidate)
    answered = state.accepted.get(getattr(part, "detector", ""), -1) >= (state.since or 0)
    if not (found.holds and on_its_way and answered):
        return found
    return Finding(False, f"{found.reason}; answered already: {on_its_way} is on its way", found.evidence)


@evidence
class LookEvidence(Evidence):
    """The findings of a look, from the definition that it ran under; its parts read the ledger themselves."""

    name = "look"
    portable = False

    def result(self, ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int) -> dict[str, Any]:
        definition = pinned(ledger, loop, parameters["loop"])
        state = LoopState.from_json(parameters["state"])
        return findings(definition, ledger, state, cut=cut, now=now).to_json()

    def passes(self, result: dict[str, Any], parameters: Mapping[str, Any], now: int) -> bool:
        return False

    def facts(self, result: dict[str, Any], parameters: Mapping[str, Any]) -> tuple[Fact, ...]:
        return tuple(
            Note("look.part", {"mark": "x" if part["holds"] else "-", "kind": kind, "part": part["part"], "reason": part["reason"]},
                 "{mark} {kind} {part}: {reason}")
            for kind in ("when", "unless", "watch") for part in result.get(kind, ())
        )


def missed_looks(loop: Loop, state: LoopState, now: int) -> int:
    """How many looks the schedule had foreseen since the last one, beside the one that is made now."""
    if state.looked is None:
        return 0
    due = loop.look.due(from_us(state.looked), from_us(now))
    return max(0, due[1] - 1) if due else 0


def _seen(state: LoopState) -> dict[str, Any]:
    """What a look reads of the state: the tests of the loop's life grow for ever, and are not of it."""
    return replace(state, tests=()).to_json()


def unattended(loop: Loop, ledger: Ledger, state: LoopState, now: int) -> int:
    """How many of the missed looks nobody was there to make: a training or a pause holds looks up too,
    and ends in a Decision, from which it is counted."""
    last = ledger.decisions(loop.name, newest=True, limit=1)
    if state.looked is None or not last:
        return 0
    return missed_looks(loop, replace(state, looked=max(state.looked, last[0].at)), now)


def look(context: Context, *, ask: bool = False) -> Decision | None:
    """Decide to train or to rest, and record it; nothing is decided while a cycle is unfinished."""
    ledger, loop = context.ledger, context.loop
    generation, state = read(ledger, loop.name)
    if state.cycle is not None or state.paused is not None:
        return None
    cut, now = ledger.cut(), to_us(ledger.clock.now())
    context.say("look", 0, 0)
    found = findings(loop, ledger, state, cut=cut, now=now)
    missed = missed_looks(loop, state, now)
    late = f" (this look stands for {missed:,} more that were missed)" if missed else ""
    evidence: dict[str, Any] = {
        "method": "look", "cut": cut, "now": now, "result": found.to_json(),
        "parameters": {"loop": context.digest, "state": _seen(state)},
        "asked": ask, **({"missed": missed, "unattended": unattended(loop, ledger, state, now)} if missed else {}),
    }
    if not found.trains:
        return decide(
            ledger, loop.name, generation, replace(state, looked=now), kind="look", verdict="REST",
            reason=found.reason + late, evidence=evidence,
        )
    cycle = Cycle(
        f"y-{digest([loop.name, context.digest, cut, now])[:16]}", cut, now, context.digest, CYCLE.version,
        Before(state.trained, state.trained_cut, dict(state.accepted)),
    )
    accepted = dict(state.accepted)
    for part, (_, held) in zip(loop.reasons, found.when, strict=False):
        if held.holds and hasattr(part, "detector"):
            accepted[part.detector] = now
    after = replace(state, looked=now, trained=now, trained_cut=cut, cycle=cycle, accepted=accepted)
    return decide(
        ledger, loop.name, generation, after, kind="look", verdict="TRAIN", reason=found.reason + late,
        evidence=evidence,
    )
