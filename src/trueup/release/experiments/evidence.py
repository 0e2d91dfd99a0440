# SPDX-License-Identifier: Apache-2.0
"""An experiment's evidence: units drawn to arms, each scored once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trueup.core.facts import Fact, Line, Measure, Note
from trueup.release.evidence import Check, Evidence, drawn_checks, evidence, least
from trueup.release.experiments.experiment import (
    describe,
    experiment_verdict,
    harmed,
    harms,
    scored_of,
    tests,
    winner,
)
from trueup.release.experiments.exposed import experiment_rows
from trueup.release.experiments.segments import segment_facts

if TYPE_CHECKING:
    from trueup.store import Ledger



@evidence
class ExperimentEvidence(Evidence):
    """Each challenger against the champion, on outcomes of drawn units: A/B, A/B/n and bandits."""

    name = "experiment"
    deciding = True

    def rows(self, ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int) -> dict[str, Any]:
        return experiment_rows(ledger, loop, parameters, cut, now)

    def verdict(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> dict[str, Any]:
        return experiment_verdict(rows, parameters)

    def private(self, rows: dict[str, Any], hide: Callable[[Any], str]) -> dict[str, Any]:
        return {**rows, "rows": [{**row, "unit": hide(row["unit"])} for row in rows["rows"]]}

    def counterfactual(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> Note | None:
        return experiment_counterfactual(rows, parameters)

    def passes(self, result: dict[str, Any], parameters: Any, now: int) -> bool:
        over = now - parameters["since"] >= parameters["min_time"]
        return not result["invalid"] and winner(result) is not None and harmed(result) is None and bool(over)

    def winner(self, result: dict[str, Any], parameters: Any) -> str | None:
        won = winner(result)
        return None if won is None else parameters["arms"].get(won)

    def checks(self, result: dict[str, Any]) -> tuple[Check, ...]:
        return drawn_checks(result)

    def progress(self, result: dict[str, Any], parameters: Any) -> dict[str, Any]:
        best = max(result["tests"].values(), key=lambda test: test["wealth"], default=None)
        found = {"units": result["complete"], "horizon": parameters["horizon"]}
        return found if best is None else {**found, "evidence": best["wealth"], "line": best["line"]}

    def summary(self, result: dict[str, Any], parameters: Any) -> Note:
        return Note("experiment.summary", {"result": describe(result, parameters)}, "experiment: {result}")

    def facts(self, result: dict[str, Any], parameters: Any) -> tuple[Fact, ...]:
        facts: list[Fact] = []
        if parameters["hypothesis"]:
            facts.append(Note("experiment.hypothesis", {"hypothesis": parameters["hypothesis"]}, "hypothesis: {hypothesis}"))
        facts.append(Note(
            "experiment.units",
            {"outcome": parameters["outcome"]["name"], "unit": parameters["unit"] or "unit", **{name: result[name] for name in ("complete", "units", "matured")}},
            "{outcome}, a {unit} scored once on [0, 1]: {complete:,} complete of {units:,} assigned ({matured:,} past their window)",
        ))
        for arm, one in result["arms"].items():
            mean = "-" if one["mean"] is None else f"{one['mean']:.4f}"
            values = {"arm": arm, "mean": mean, "complete": one["complete"], "units": one["units"], "share": one["units"] / max(1, result["matured"])}
            facts.append(Note("experiment.arm", values, "{arm}: {mean} on {complete:,} of {units:,} units ({share:.0%} of all)"))
        for arm, test in result["tests"].items():
            low, high = test["interval"] or (None, None)
            facts.append(Measure(f"{arm} minus champion", test["effect"], low, high, n=test["n"], level=0.95))
            facts.append(Line(f"{arm} minus champion", test["wealth"], test["line"], bool(test["promotes"]), None, "worse by the margin"))
        values = {name: parameters[name] for name in ("margin", "level", "horizon", "missing")}
        facts.append(Note("experiment.method", values, (
            "method: horizon bet with logged propensities, margin {margin:g}, level {level:.3g}, horizon {horizon:,}; missing outcomes: {missing}"
        )))
        facts += [Line(f"guardrail {guard}", one["wealth"], one["line"], bool(one["rejected"])) for guard, one in result["harms"].items()]
        facts += [
            Line(f"sample ratio of {which} units", ratio["wealth"], ratio["line"], ratio["wealth"] >= ratio["line"])
            for which, ratio in result.get("sample_ratio", {}).items()
        ]
        return (*facts, *segment_facts(result["segments"]))


def experiment_counterfactual(told: dict[str, Any], parameters: dict[str, Any]) -> Note | None:
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

    k = least(turned, len(places))
    who = f"{arm}'s" if len(found) > 1 else "the challenger's"
    if k is None:
        return Note("experiment.never", {"who": who}, "no outcomes of {who} units would have turned it")
    if won:
        return Note("experiment.would_not_pass", {"k": k, "who": who, "n": len(units)}, "it would not have passed had {k:,} of {who} {n:,} units, the last good ones, gone badly")
    return Note("experiment.would_pass", {"k": k, "who": who, "n": len(units)}, "it would have passed had {k:,} more of {who} {n:,} units gone well")


def _harm(told: dict[str, Any], parameters: dict[str, Any], name: str) -> Note | None:
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

    k = least(turned, len(places))
    if k is None:
        return None
    return Note("experiment.no_harm", {"guardrail": name, "k": k, "n": len(units)}, "the guardrail {guardrail} would not have crossed had {k:,} fewer of the challengers' {n:,} units been harmed")
