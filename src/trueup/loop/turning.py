# SPDX-License-Identifier: Apache-2.0
"""The shortest change of what was seen that would have turned a verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trueup.release.canary import canary_rows, canary_verdict
from trueup.release.experiments.experiment import harmed, harms, scored_of, tests, winner
from trueup.release.experiments.exposed import experiment_rows
from trueup.release.experiments.interleaving import interleaving_rows, interleaving_verdict
from trueup.release.shadow.audits import NEW
from trueup.release.shadow.pairs import shadow_scores, shadow_verdict

if TYPE_CHECKING:
    from trueup.core.decisions import Decision
    from trueup.store import Ledger

GUARDS = ("count", "burden", "latency")


def turning(ledger: Ledger, decision: Decision) -> str | None:
    """In a sentence, what would have turned the verdict that this Decision's evidence carries; None
    where the evidence is of another kind, or nothing can be said."""
    evidence = decision.evidence
    method, parameters = evidence.get("method"), evidence.get("parameters")
    if evidence.get("result", {}).get("invalid"):
        return f"without this it would not have been INVALID: {evidence['result']['invalid']}"
    if decision.verdict == "INVALID":  # not by its rows: a changed metric, a count that fell
        return f"without this it would not have been INVALID: {decision.reason}"
    if method is None:
        return None
    where = (ledger, decision.loop, parameters, evidence.get("cut"), evidence.get("now"))
    if method == "shadow":
        return _shadow(shadow_scores(*where), parameters)  # type: ignore[arg-type]
    if method == "canary":
        return _canary(canary_rows(*where), parameters, evidence["now"])  # type: ignore[arg-type]
    if method == "experiment":
        return _experiment(experiment_rows(*where), parameters)  # type: ignore[arg-type]
    if method == "interleaving":
        return _interleaving(interleaving_rows(*where), parameters)  # type: ignore[arg-type]
    return None


def _shadow(told: dict[str, Any], parameters: dict[str, Any]) -> str | None:
    """How many of the challenger's answers, the last ones that were scored, would have had to go the other way."""
    first = shadow_verdict(told, parameters)
    passed = _passes(first)
    rows = told["rows"][: first["crossed_at"] or None] if passed else told["rows"][: first["n"]]
    places = [at for at, row in enumerate(rows) if row[3] is not None and (row[2] or 0.0) != (0.0 if passed else 1.0)]

    def turned(k: int) -> bool:
        other = [list(row) for row in rows]
        for at in places[len(places) - k :]:
            other[at][2] = 0.0 if passed else 1.0
            if parameters.get("audit") and other[at][NEW] is not None:
                other[at][NEW] = other[at][2]
        return _passes(shadow_verdict({**told, "rows": other}, parameters)) != passed

    k = _least(turned, len(places))
    if k is None:
        return "no answers of the challenger on these units would have turned it"
    if passed:
        return f"it would not have passed there had {k:,} of the challenger's last {len(rows):,} answers been wrong"
    return f"it would have passed had {k:,} more of the challenger's {len(rows):,} answers been right"


def _passes(result: dict[str, Any]) -> bool:
    return bool(result["rejected"] and (result["anchor"] is None or result["anchor"]["rejected"]))


def _canary(told: dict[str, Any], parameters: dict[str, Any], now: int) -> str | None:
    """How many fewer units of the challenger would have had to fail, or more."""
    crossed = [guard for guard in GUARDS if canary_verdict(told, parameters, now)[guard]["rejected"]]
    units = [at for at, row in enumerate(told["rows"]) if row["arm"] != "champion"]
    bad = [at for at in units if told["rows"][at]["failed"] or told["rows"][at]["burden"]]
    places = bad if crossed else [at for at in units if at not in set(bad)]
    if crossed == ["latency"]:
        return None

    def turned(k: int) -> bool:
        rows = [dict(row) for row in told["rows"]]
        for at in places[len(places) - k :]:
            rows[at] |= {"failed": not crossed, "burden": 0.0 if crossed else 1.0}
        again = canary_verdict({**told, "rows": rows}, parameters, now)
        return bool(any(again[guard]["rejected"] for guard in GUARDS)) != bool(crossed)

    k = _least(turned, len(places))
    if k is None:
        return None
    if crossed:
        return f"no guardrail would have crossed had {k:,} fewer of the challenger's {len(units):,} units failed"
    return f"a guardrail would have crossed had {k:,} more of the challenger's {len(units):,} units failed"


def _experiment(told: dict[str, Any], parameters: dict[str, Any]) -> str | None:
    """How many outcomes of the challenger's units, the last ones, would have had to go the other way."""
    if harm := harmed({"harms": harms(told, parameters)}):
        return _harm(told, parameters, harm)
    scored = scored_of(told["rows"], told["outcome"], parameters["outcome"])
    found = tests(parameters, scored)
    won = winner({"tests": found})
    arm = won or max(found, key=lambda name: (found[name]["wealth"], name))
    units = [at for at, one in enumerate(scored) if one["arm"] == arm and one["y"] is not None]
    other = 0.0 if won else 1.0
    places = [at for at in units if scored[at]["y"] != other]

    def turned(k: int) -> bool:
        rows = [dict(one) for one in scored]
        for at in places[len(places) - k :]:
            rows[at]["y"] = other
        return bool(tests(parameters, rows)[arm]["promotes"]) != (won is not None)

    k = _least(turned, len(places))
    who = f"{arm}'s" if len(found) > 1 else "the challenger's"
    if k is None:
        return f"no outcomes of {who} units would have turned it"
    if won:
        return f"it would not have passed had {k:,} of {who} {len(units):,} units, the last good ones, gone badly"
    return f"it would have passed had {k:,} more of {who} {len(units):,} units gone well"


def _harm(told: dict[str, Any], parameters: dict[str, Any], name: str) -> str | None:
    """How many fewer of the challengers' units would have had to be harmed."""
    at = next(at for at, guard in enumerate(parameters["harms"]) if guard["outcome"]["name"] == name)
    kept = told["harms"][at]
    units = [n for n, y in enumerate(kept["y"]) if y is not None and told["rows"][n]["arm"] != "champion"]
    places = [n for n in units if kept["y"][n] < 1.0]

    def turned(k: int) -> bool:
        better = list(kept["y"])
        for n in places[len(places) - k :]:
            better[n] = 1.0
        every = [*told["harms"][:at], {**kept, "y": better}, *told["harms"][at + 1 :]]
        return not bool(harms({**told, "harms": every}, parameters)[name]["rejected"])

    k = _least(turned, len(places))
    if k is None:
        return None
    return f"the guardrail {name} would not have crossed had {k:,} fewer of the challengers' {len(units):,} units been harmed"


def _interleaving(told: dict[str, Any], parameters: dict[str, Any]) -> str | None:
    """How many sessions, the last ones, would have had to be lost, or won."""
    passed = bool(interleaving_verdict(told, parameters)["rejected"])
    other = -1 if passed else 1
    places = [at for at, row in enumerate(told["rows"]) if row[1] != other]

    def turned(k: int) -> bool:
        rows = [list(row) for row in told["rows"]]
        for at in places[len(places) - k :]:
            rows[at][1] = other
        return bool(interleaving_verdict({**told, "rows": rows}, parameters)["rejected"]) != passed

    k = _least(turned, len(places))
    if k is None:
        return None
    if passed:
        return f"it would not have passed had {k:,} more of the {len(told['rows']):,} sessions been the champion's"
    return f"it would have passed had {k:,} more of the {len(told['rows']):,} sessions been the challenger's"


def _least(turned: Callable[[int], bool], most: int) -> int | None:
    """The least k at which it turns, by bisection; None where even all of them do not."""
    if most < 1 or not turned(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if turned(middle) else (middle, high)
    return high
