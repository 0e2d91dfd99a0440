# SPDX-License-Identifier: Apache-2.0
"""The card of a running release: spent, left, and its assumptions as the last look found them.

It is written by a run as a small file, so that `status` reads no rows; deleted, the next run writes it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.errors import TrueupError
from trueup.core.files import write_whole
from trueup.core.json import dumps, loads
from trueup.release import Ruling
from trueup.release.canary import watched
from trueup.release.evidence import Check, evidence_of
from trueup.state import LoopState, read

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger

ENDS = ("promote", "refuse", "rollback", "invalid", "install")


def card_path(home: Path, loop: str) -> Path:
    return home / "cards" / f"{loop}.json"


def read_card(home: Path, loop: str, state: LoopState) -> dict[str, Any] | None:
    """The card, where it is of the release that runs, or of the last one where that ended INVALID."""
    try:
        found: dict[str, Any] = loads(card_path(home, loop).read_text("utf-8"))
        if state.release is None:
            return found if found["ended"] else None
        return found if found["release"] == state.release.id else None
    except (OSError, TrueupError, KeyError, TypeError):
        return None


def write_card(loop: Loop, ledger: Ledger, seen: Sequence[Ruling] = (), made: Sequence[Decision] = ()) -> None:
    """Keep what the last look found of the running release's assumptions, or of the one that it ended
    as INVALID, until the next one runs.

    `seen` are the look's rulings: what they have computed is not computed again; `made` its Decisions.
    """
    _, state = read(ledger, loop.name)
    release = state.release
    path = card_path(ledger.home, loop.name)
    now = to_us(ledger.clock.now())
    if release is None:
        void = next((one for one in reversed(made) if one.kind in ENDS), None)
        if void is not None and void.kind == "invalid":
            _write(path, _ended(loop, state, void, now), durable=True)
        elif void is not None:
            path.unlink(missing_ok=True)
        return
    stage = loop.release[release.stage] if release.stage < len(loop.release) else None
    method, parameters = (stage.evidence, release.parameters) if stage is not None and stage.evidence else watched(release)
    card: dict[str, Any] = {"release": release.id, "at": now, "ended": None, "spent": release.level, "test": release.k, **_left(loop, state)}
    if method and parameters:
        told = (one.evidence for one in reversed(seen) if one.evidence.get("method") == method and one.evidence["parameters"] == parameters)
        try:
            result = next((one["result"] for one in told), None) or evidence_of(method).result(ledger, loop.name, parameters, ledger.cut(), now)
        except TrueupError as error:
            card["checks"] = [_check("evidence", False, error.message)]
        else:
            card |= _seen(method, result, parameters)
            card["checks"] = checks(method, result)
    _write(path, card, durable=False)  # at each tick, and the next one writes it again


def _ended(loop: Loop, state: LoopState, void: Decision, now: int) -> dict[str, Any]:
    """The card of a release that was voided: what was found, and the Decision."""
    card: dict[str, Any] = {
        "release": void.evidence.get("release"), "at": now, "ended": void.id, "spent": void.level or 0.0,
        "test": len(state.tests), **_left(loop, state), "checks": [],
    }
    if "method" in void.evidence:
        method, result = void.evidence["method"], void.evidence["result"]
        card |= _seen(method, result, void.evidence["parameters"])
        card["checks"] = checks(method, result)
    if all(one["holds"] for one in card["checks"]):
        card["checks"].append(_check("evidence", False, void.reason))
    return card


def _write(path: Path, card: dict[str, Any], *, durable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, dumps(card) + "\n", durable=durable)


def _left(loop: Loop, state: LoopState) -> dict[str, Any]:
    from trueup.stats import Levels

    risk = loop.risk
    if risk.per == "release":
        return {"left": risk.wrong_promotion, "of": risk.wrong_promotion, "per": risk.per}
    levels = Levels(risk.wrong_promotion, risk.per)
    used = sum(levels.share(k) for k in range(1, len(state.tests) + 1))
    return {"left": risk.wrong_promotion * max(0.0, 1.0 - used), "of": risk.wrong_promotion, "per": risk.per}


def _seen(method: str, result: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    return evidence_of(method).progress(result, parameters)


def checks(method: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each assumption: its name, whether it holds, and in words what was found."""
    return [asdict(one) for one in evidence_of(method).checks(result)]


def _check(name: str, holds: bool, words: str) -> dict[str, Any]:
    return asdict(Check(name, holds, words))


def card_lines(card: dict[str, Any]) -> list[str]:
    """The card for people."""
    from trueup.loop.context import moment

    out = [f"the last release was INVALID (trueup why {card['ended']})"] if card.get("ended") else []
    out += [f"  spent {card['spent']:.3g} on test {card['test']}, left {card['left']:.3g} of {card['of']:g} (per {card['per']}), as of {moment(card['at'])}"]
    if card.get("horizon"):
        seen = f"  {card['units']:,} of {card['horizon']:,} units"
        out.append(seen + (f", evidence {card['evidence']:.3g} against {card['line']:.3g}" if "evidence" in card else ""))
    out += [f"  {'green' if one['holds'] else 'INVALID'}  {one['name']}: {one['words']}" for one in card.get("checks", ())]
    return out
