# SPDX-License-Identifier: Apache-2.0
"""The card of a running release: spent, left, and its assumptions as the last look found them.

It is written by a run as a small file, so that `status` reads no rows; deleted, the next run writes it again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.errors import TrueupError
from trueup.core.json import dumps, loads
from trueup.release import METHODS, LoopState, read

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger

LAST = 500
KINDS = {"stage.shadow": "shadow", "stage.canary": "canary", "stage.ab": "experiment", "stage.bandit": "experiment"}


def card_path(home: Path, loop: str) -> Path:
    return home / "cards" / f"{loop}.json"


def read_card(home: Path, loop: str, state: LoopState) -> dict[str, Any] | None:
    """The card, where it is of the release that runs."""
    try:
        found: dict[str, Any] = loads(card_path(home, loop).read_text("utf-8"))
        return found if state.release is not None and found["release"] == state.release.id else None
    except (OSError, TrueupError, KeyError, TypeError):
        return None


def write_card(loop: Loop, ledger: Ledger) -> None:
    """Check the assumptions of the running release, and keep what was found."""
    _, state = read(ledger, loop.name)
    release = state.release
    path = card_path(ledger.home, loop.name)
    if release is None:
        path.unlink(missing_ok=True)
        return
    now = to_us(ledger.clock.now())
    stage = loop.release[release.stage] if release.stage < len(loop.release) else None
    kind = KINDS.get(str(getattr(type(stage), "__kind__", "")))
    parameters = release.parameters if kind else release.guard
    method = kind or ("canary" if release.guard is not None else None)
    made: dict[str, Any] = {"release": release.id, "at": now, "spent": release.level, "test": release.k, **_left(loop, state)}
    if method and parameters:
        try:
            result = METHODS[method](ledger, loop.name, parameters, ledger.cut(), now)
        except TrueupError as error:
            made["checks"] = [_check("evidence", False, error.message)]
        else:
            made |= _seen(method, result, parameters)
            made["checks"] = checks(method, result)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(dumps(made) + "\n", "utf-8")
    os.replace(draft, path)


def _left(loop: Loop, state: LoopState) -> dict[str, Any]:
    from trueup.stats import Levels

    risk = loop.risk
    if risk.per == "release":
        return {"left": risk.wrong_promotion, "of": risk.wrong_promotion, "per": risk.per}
    levels = Levels(risk.wrong_promotion, risk.per)
    used = sum(levels.share(k) for k in range(1, len(state.tests) + 1))
    return {"left": risk.wrong_promotion * max(0.0, 1.0 - used), "of": risk.wrong_promotion, "per": risk.per}


def _seen(method: str, result: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    if method == "shadow":
        return {"units": result["n"], "horizon": parameters["horizon"], "evidence": result["wealth"], "line": 1.0 / parameters["level"]}
    return {"units": result.get("units", 0), "horizon": parameters.get("horizon", parameters.get("units"))}


def checks(method: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each assumption: its name, whether it holds, and in words what was found."""
    found = []
    ratio = result.get("sample_ratio")
    if method == "shadow":
        found.append(_check("sample ratio", True, "paired: every unit is answered by both"))
        found.append(_check("propensities", True, "none are used: nobody is served by chance"))
        found.append(_check("clustering", True, f"a unit counts once; {result['n']:,} pairs"))
        found.append(_check("scores", not result["invalid"], result["invalid"] or "all within [0, 1]"))
        return found
    ratios = {"": ratio} if ratio and "wealth" in ratio else (ratio or {})
    for which, one in ratios.items():
        holds = one["wealth"] < one["line"]
        found.append(_check(f"sample ratio {which}".strip(), holds, f"evidence against it {one['wealth']:.3g}, line {one['line']:.3g}"))
    why = str(result.get("invalid") or "")
    found.append(_check("propensities", "propensity" not in why, why if "propensity" in why else "logged, within (0, 1)"))
    found.append(_check("clustering", "two arms" not in why, why if "two arms" in why else "a unit counts once, in one arm"))
    if why and all(one["holds"] for one in found):
        found.append(_check("evidence", False, why))
    return found


def _check(name: str, holds: bool, words: str) -> dict[str, Any]:
    return {"name": name, "holds": holds, "words": words}


def card_lines(card: dict[str, Any]) -> list[str]:
    """The card for people."""
    from trueup.loop.context import moment

    out = [f"  spent {card['spent']:.3g} on test {card['test']}, left {card['left']:.3g} of {card['of']:g} (per {card['per']}), as of {moment(card['at'])}"]
    if card.get("horizon"):
        seen = f"  {card['units']:,} of {card['horizon']:,} units"
        out.append(seen + (f", evidence {card['evidence']:.3g} against {card['line']:.3g}" if "evidence" in card else ""))
    out += [f"  {'green' if one['holds'] else 'INVALID'}  {one['name']}: {one['words']}" for one in card.get("checks", ())]
    return out
