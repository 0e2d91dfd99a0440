# SPDX-License-Identifier: Apache-2.0
"""The evidence of an experiment: each unit scored once, in the order of exposure, from rows alone.

One method for A/B, A/B/n and bandits: they differ in how the arms were drawn, and what was drawn
with which probability is logged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from trueup.core.errors import ArgumentError
from trueup.core.json import digest
from trueup.core.values import from_json
from trueup.release.canary import outside
from trueup.release.experiments.exposed import Row, window
from trueup.release.experiments.policies import fitted
from trueup.release.experiments.segments import Segments
from trueup.release.stage import SETTLE_US

SAMPLE_RATIO_LEVEL = 0.001
SILENCE_LEVEL = 1e-6       # a run of units without feedback so unlikely is no chance
CALM = math.log(1e-2)      # and one so likely says nothing


def experiment_verdict(told: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """The verdict from the units alone, as `experiment_rows` gives them; no ledger."""
    rows = told["rows"]
    scored = scored_of(rows, told["outcome"], parameters["outcome"])
    invalid = told["invalid"] or told["outcome"]["wrong"] or unbounded(told, parameters)
    invalid = invalid or outside((1.0 - row["shares"]["champion"] for row in rows), parameters["pi_range"])
    result: dict[str, Any] = {
        "units": len(rows), "matured": len(scored),
        "complete": sum(one["y"] is not None for one in scored),
        "told": sum(one["told"] for one in scored),
        "rows": digest([[one["unit"], one["arm"], one["pi"], one["y"]] for one in scored]),
    }
    if invalid is None:
        ratios = {"assigned": rows, "complete": [one for one in scored if one["y"] is not None]}
        found = {name: sample_ratio(parameters, part) for name, part in ratios.items()}
        result["sample_ratio"] = {name: one[0] for name, one in found.items()}
        if found["assigned"][1]:
            invalid = "the arms are not drawn as logged (sample-ratio alarm)"
        elif parameters["missing"] == "attrition" and found["complete"][1]:
            invalid = "outcomes are missing more often in one arm (differing attrition)"
        else:
            stopped = _quiet if "silence" in parameters else _quiet_by_own_rate
            if quiet := stopped(scored, parameters):
                invalid = f"the look is not whole: feedback on {quiet} has stopped, and goes on elsewhere"
    result["arms"] = by_arm(scored, parameters["names"])
    result["tests"] = {} if invalid else tests(parameters, scored)
    result["harms"] = {} if invalid else harms(told, parameters)
    segments = Segments(parameters["segments"])
    for one in scored:
        segments.add(one)
    result["segments"] = segments.result()
    if parameters["policy"] is not None and not invalid:
        result["policy"] = fitted(parameters["policy"], parameters["names"], scored)
    result["invalid"] = invalid
    return result


def scored_of(rows: Sequence[Row], found: Mapping[str, Any], outcome: Mapping[str, Any]) -> list[Row]:
    """The matured units in order, each with its outcome `y` (None without one), how often it was
    `told`, and the window `within` which it counted."""
    within = window(from_json(outcome))
    return [{**row, "y": y, "told": told, "within": within} for row, y, told in zip(rows, found["y"], found["told"], strict=False)]


def sample_ratio(parameters: Mapping[str, Any], rows: Sequence[Row]) -> tuple[dict[str, Any], bool]:
    """Whether the arms came as often as was logged: the evidence against it, and an alarm.

    Two arms are tested by `SampleRatio`, several by one `ArmsRatio`. Experiments that began before it was
    have no "ratio" among their parameters: each challenger at its part of the level, the worst is told.
    """
    from trueup.stats import ArmsRatio, SampleRatio

    challengers = parameters["names"][1:]
    if "ratio" in parameters and len(challengers) > 1:
        number = {name: at for at, name in enumerate(parameters["names"])}
        together = ArmsRatio(SAMPLE_RATIO_LEVEL, len(number))
        for row in rows:
            together.update(number[row["arm"]], [row["shares"][name] for name in number])
        return {"wealth": together.wealth, "line": 1.0 / SAMPLE_RATIO_LEVEL}, together.alarm
    level = SAMPLE_RATIO_LEVEL / len(challengers)
    ratios = {name: SampleRatio(level) for name in challengers}
    for row in rows:
        for name, ratio in ratios.items():
            ratio.update(int(row["arm"] == name), row["shares"][name])
    worst = max(float(ratio.wealth) for ratio in ratios.values())
    return {"wealth": worst, "line": 1.0 / level}, any(ratio.alarm for ratio in ratios.values())


def _quiet(scored: Sequence[Row], parameters: Mapping[str, Any]) -> str | None:
    """The arm whose feedback stopped while it goes on for others: a look that is not whole."""
    from trueup.stats import silence

    for name in parameters["names"]:
        told = [one for one in scored if one["told"] and 0.0 < one["shares"][name] < 1.0]
        mine = [one["arm"] == name for one in told]
        if sum(mine) >= 20 and silence(mine, [one["shares"][name] for one in told]) < math.log(parameters["silence"]):
            return str(name)
    return None


def _quiet_by_own_rate(scored: Sequence[Row], parameters: Mapping[str, Any]) -> str | None:
    """The same for experiments that began when an arm's silence was held against its own rate, which a
    season changes."""
    silence: dict[str, float] = {}
    for name in parameters["names"]:
        told = [one["told"] > 0 for one in scored if one["arm"] == name]
        run = next((at for at, one in enumerate(reversed(told)) if one), len(told))
        before = told[: len(told) - run]
        if sum(before) < 20:
            return None
        silence[name] = run * math.log1p(-min(sum(before) / len(before), 1.0 - 1e-9))
    quiet = [name for name, log in silence.items() if log < math.log(SILENCE_LEVEL)]
    return quiet[0] if quiet and any(log > CALM for log in silence.values()) else None


def by_arm(scored: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Units, complete ones, and the mean outcome of each arm."""
    found = {}
    for name in names:
        mine = [one for one in scored if one["arm"] == name]
        ys = [one["y"] for one in mine if one["y"] is not None]
        found[name] = {"units": len(mine), "complete": len(ys), "mean": math.fsum(ys) / len(ys) if ys else None}
    return found


class Comparison:
    """One challenger against the champion at its part of the level, a unit at a time.

    `tests` reads it at the end; a simulation that looks after each unit reads it on the way.
    """

    def __init__(self, parameters: Mapping[str, Any], name: str) -> None:
        from trueup.stats import ArmTest

        names = parameters["names"]
        low, high = parameters["pi_range"] or (None, None)
        self.name, self.level = name, parameters["level"] / (len(names) - 1)
        self._number = {arm: at for at, arm in enumerate(names)}
        self._worst = parameters["missing"] == "worst"
        self._may = parameters["since"] + parameters["min_time"]
        self._test = ArmTest(
            self.level, parameters["horizon"], parameters["margin"], parameters["w"], pi_min=low, pi_max=high,
        )

    def add(self, one: Row) -> bool:
        """Count a matured unit; whether a look that ends with it would promote."""
        y = one["y"]
        if y is None:
            if not self._worst:
                return False
            y = float(one["arm"] == "champion")
        ripe = one["ts"] + one["within"] + SETTLE_US >= self._may
        self._test.update_of(
            self._number[self.name], self._number[one["arm"]], y, pi_arm=one["shares"][self.name],
            pi_champion=one["shares"]["champion"], may_end=ripe,
        )
        return ripe and bool(self._test.promotes)

    def result(self) -> dict[str, Any]:
        """The evidence, its line, whether it promotes, and the units that were tested."""
        test = self._test
        return {"wealth": float(test.wealth), "line": 1.0 / self.level, "promotes": bool(test.promotes), "n": test.n}


def tests(parameters: Mapping[str, Any], scored: Sequence[Row]) -> dict[str, Any]:
    """Each challenger against the champion, at its part of the level."""
    found = {}
    for name in parameters["names"][1:]:
        compared = Comparison(parameters, name)
        for one in scored:
            compared.add(one)
        found[name] = {**compared.result(), **difference(scored, name)}
    return found


def first_promotion(parameters: Mapping[str, Any], scored: Sequence[Row]) -> str | None:
    """The challenger that would have been promoted first had there been a look after each unit; None
    where no look promotes. This is what looking as often as one likes comes to."""
    compared = [Comparison(parameters, name) for name in parameters["names"][1:]]
    for one in scored:
        for challenger in compared:
            if challenger.add(one):
                return challenger.name
    return None


def difference(scored: Sequence[Row], name: str) -> dict[str, Any]:
    """Challenger minus champion with a 95 % confidence sequence, weighted by the logged
    probabilities; for people, it decides nothing."""
    from trueup.stats import mean_interval

    terms: list[float] = []
    done = [one for one in scored if one["y"] is not None]
    pooled = math.fsum(one["y"] for one in done) / len(done) if done else 0.0
    events = {name: 0.0, "champion": 0.0}
    for one in done:
        sign = 1.0 if one["arm"] == name else -1.0 if one["arm"] == "champion" else 0.0
        terms.append(sign * (one["y"] - pooled) / one["shares"][one["arm"]] if sign else 0.0)
        if sign:
            events[one["arm"]] += one["y"]
    if not terms:
        return {"effect": None, "interval": None}
    n = len(terms)
    mean = math.fsum(terms) / n
    if min(events.values()) < 10.0 or n < 20:
        return {"effect": mean, "interval": None}
    variance = math.fsum((term - mean) ** 2 for term in terms) / (n - 1)
    found = mean_interval(mean, math.sqrt(variance / n), n)
    return {"effect": mean, "interval": [found.low, found.high]}


def harms(told: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The business guardrails, of all challengers together against the champion."""
    from trueup.stats import HarmTest

    found = {}
    for guard, kept in zip(parameters["harms"], told["harms"], strict=True):
        scored = scored_of(told["rows"], kept, guard["outcome"])
        low, high = parameters["pi_range"] or (None, None)
        test = HarmTest(guard["level"], guard["tolerance"], parameters["horizon"], pi_min=low, pi_max=high)
        for one in scored:
            if one["y"] is not None:
                test.update(int(one["arm"] != "champion"), 1.0 - one["y"], 1.0 - one["shares"]["champion"])
        found[guard["outcome"]["name"]] = {
            "wealth": float(test.wealth), "line": 1.0 / guard["level"], "rejected": bool(test.rejected),
            "n": test.n, "arms": by_arm(scored, parameters["names"]), "invalid": kept["wrong"],
        }
    return found


def unbounded(told: Mapping[str, Any], parameters: Mapping[str, Any]) -> str | None:
    """What is wrong with the values of a guardrail: those after it cannot be tested, so that it guards no more."""
    kept = zip(parameters["harms"], told["harms"], strict=True)
    return next((one["wrong"] for guard, one in kept if guard.get("bounded") and one["wrong"]), None)


def winner(result: Mapping[str, Any]) -> str | None:
    """The challenger whose test promotes, the one with the larger effect where several do."""
    passed = [name for name, test in result["tests"].items() if test["promotes"]]
    return max(passed, key=lambda name: (result["tests"][name]["effect"], name)) if passed else None


def describe(result: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """An experiment's result in a sentence."""
    means = ", ".join(
        f"{name} {one['mean']:.4f}" if one["mean"] is not None else f"{name} none yet"
        for name, one in result["arms"].items()
    )
    outcome = parameters["outcome"]["name"]
    words = f"{result['complete']:,} of {parameters['horizon']:,} units complete; {outcome}: {means}"
    for name, test in result["tests"].items():
        words += f"; evidence for {name} {test['wealth']:.3g} against {test['line']:.3g}"
    return words


def harmed(result: Mapping[str, Any]) -> str | None:
    """The business guardrail that was crossed."""
    return next((name for name, one in result["harms"].items() if one["rejected"]), None)


def check_arms(names: Sequence[str]) -> None:
    """Raises ArgumentError for arms that cannot be told apart, or that mean something else."""
    for name in names:
        if name in ("champion", "interleaved") or not name or len(name) > 64:
            raise ArgumentError(f"expected a name for an arm other than champion, got {name!r:.80}")
