# SPDX-License-Identifier: Apache-2.0
"""What A/B tests and bandits have in common: how they are entered, and how they rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from trueup.core.clock import from_us
from trueup.core.errors import ArgumentError
from trueup.core.task import Outcome
from trueup.core.values import to_json
from trueup.release.canary import champion_p95
from trueup.release.carrier import carrier
from trueup.release.experiments.design import (
    MOST_UNITS,
    USUAL_RATE,
    Guardrails,
    beta,
    experiment_id,
    guard_of,
    harms_of,
    outcome_problems,
    past,
    us,
)
from trueup.release.experiments.experiment import (
    SILENCE_LEVEL,
    check_arms,
    describe,
    harmed,
    winner,
)
from trueup.release.stage import Ruling, Scene, Terms, gather
from trueup.state import LoopState, candidate, register

if TYPE_CHECKING:
    from trueup.store import Ledger

KEPT = "look"
W = 0.3


class Trial(Protocol):
    """The fields that every experiment has."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def no_worse_by(self) -> float: ...
    @property
    def share(self) -> float | None: ...
    @property
    def traffic(self) -> float: ...
    @property
    def units(self) -> int | None: ...
    @property
    def detect(self) -> float: ...
    @property
    def min_time(self) -> timedelta: ...
    @property
    def max_time(self) -> timedelta: ...
    @property
    def arms(self) -> Mapping[str, Any]: ...
    @property
    def hypothesis(self) -> str: ...
    @property
    def guardrails(self) -> Guardrails: ...
    @property
    def segments(self) -> Sequence[str]: ...
    @property
    def units_a_day(self) -> float | None: ...


def check_trial(trial: Trial) -> None:
    """Raises ArgumentError for fields that contradict themselves."""
    if not 0.0 <= trial.no_worse_by < 1.0:
        raise ArgumentError(f"expected no_worse_by of at least 0 and below 1, got {trial.no_worse_by!r}")
    if not 0.0 < trial.traffic <= 1.0:
        raise ArgumentError(f"expected traffic above 0 and at most 1, got {trial.traffic!r}")
    if trial.units is not None and trial.units < 1:
        raise ArgumentError(f"expected at least one unit, got {trial.units!r}")
    if not timedelta(0) <= trial.min_time < trial.max_time:
        raise ArgumentError(f"expected 0 <= min_time < max_time, got {trial.min_time!r} and {trial.max_time!r}")
    if not trial.no_worse_by + trial.detect > 0.0:
        raise ArgumentError(
            "expected no_worse_by or detect above 0: with neither no horizon can be told",
            cure="detect=0.02: the smallest effect that is worth finding",
        )
    check_arms(list(trial.arms))


def trial_problems(name: str, trial: Trial, terms: Terms) -> list[str]:
    """Why the outcomes that an experiment decides and is guarded by cannot do so."""
    found = outcome_problems(name, trial.outcome, terms, trial.max_time)
    for guard in trial.guardrails.outcomes:
        found += outcome_problems(f"a guardrail of {name}", guard.outcome, terms, trial.max_time)
    return found


def candidates_of(scene: Scene, arms: Mapping[str, Any]) -> dict[str, str]:
    """The challengers by name. An arm with parameters is a candidate of its own: the challenger's
    model, with these parameters in place of its own."""
    if not arms:
        return {"challenger": scene.release.candidate}
    ledger, loop = scene.ledger, scene.terms.loop
    base = candidate(ledger, loop, scene.release.candidate)
    found = {}
    for name, given in arms.items():
        made = register(
            ledger, loop, base.model, snapshot=base.snapshot, parent=base.id, trainer=base.trainer, code=base.code,
            metrics=base.metrics, facts={"arm": name}, parameters={**base.parameters, **dict(given)},
        )
        found[name] = made.id
    return found


def horizon_of(scene: Scene, trial: Trial, pi: float, both: float, level: float) -> dict[str, Any]:
    """The horizon N with what it rests on: declared, or the forecast's at the traffic of the last
    30 days (REL-06: how long will it take?)."""
    from trueup.stats import forecast_ab

    seen = past(scene, trial.outcome)
    daily = (trial.units_a_day if trial.units_a_day is not None else seen["units_a_day"]) * trial.traffic
    base = USUAL_RATE if seen["base"] is None else min(max(seen["base"], 0.001), 0.999)
    effect = min(trial.detect, 1.0 - base)
    found: dict[str, Any] = {"base": seen["base"], "units_a_day": daily, "effect": effect, "power": None, "reachable": True}
    if trial.units is None:
        answer = forecast_ab(
            base, effect, trial.no_worse_by, level, pi=pi, w=W, max_horizon=MOST_UNITS, reps=200, seed=scene.terms.seed,
        )
        found |= {"units": math.ceil((answer.horizon or MOST_UNITS) / both), "power": answer.power, "reachable": answer.reachable}
    else:
        found["units"] = trial.units
    found["days"] = found["units"] / daily if daily else None
    within = trial.outcome.within.total_seconds() / 86_400
    days = f"{found['days'] + within:.0f} days" if found["days"] is not None else "no traffic is logged, no end can be told"
    found["words"] = f"{found['units']:,} units, {days}" + ("" if found["reachable"] else " (more would be needed)")
    return found


def forecast_trial(
    terms: Terms, trial: Trial, ledger: Ledger, state: LoopState, *, level: float, cut: int, now: int
) -> dict[str, Any]:
    """What an experiment will need, asked before it begins: units, days, power, and words (REL-06)."""
    scene = Scene(ledger, terms, state, None, cut, now)  # type: ignore[arg-type]
    challengers = len(trial.arms or ("challenger",))
    return sized(scene, trial, challengers, trial.share, level)


def sized(scene: Scene, trial: Trial, challengers: int, share: float | None, level: float) -> dict[str, Any]:
    """`horizon_of` for so many challengers at this share: units of all arms together."""
    whole = share if share is not None else challengers / (challengers + 1)
    both = whole / challengers + 1.0 - whole  # the share of units that one comparison reads
    return horizon_of(scene, trial, whole / challengers / both, both, level / challengers)


def enter_trial(
    scene: Scene, trial: Trial, arms: dict[str, str], forecast: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """The parameters of an experiment, fixed before its first look."""
    experiment, level = experiment_id(scene), beta(scene)
    guarded = level / 2 if trial.guardrails.outcomes else level
    return {
        "release": experiment, "since": scene.now, "champion": scene.state.champion, "arms": arms,
        "names": ["champion", *arms], "outcome": to_json(trial.outcome), "level": scene.release.level,
        "margin": trial.no_worse_by, "horizon": forecast["units"], "w": W, "min_time": us(trial.min_time),
        "hypothesis": trial.hypothesis, "unit": scene.terms.unit, "segments": list(trial.segments),
        "harms": harms_of(trial.guardrails, level / 2), "forecast": forecast,
        "missing": "attrition", "moves": False, "pi_range": None, "policy": None, "silence": SILENCE_LEVEL, "ratio": "arms",
        "guard": guard_of(
            trial.guardrails, guarded, experiment, forecast["units"], champion_p95(scene), more.get("moves", False),
            more.get("pi_range"),
        ),
        **more,
    }


def changed_outcome(scene: Scene, parameters: Mapping[str, Any]) -> str | None:
    """What is wrong with the metric that an experiment began with."""
    name = parameters["outcome"]["name"]
    now = next((to_json(one) for one in scene.terms.outcomes if one.name == name), None)
    return None if now == parameters["outcome"] else f"the outcome {name} is not the one that the experiment began with"


def fallen(scene: Scene, name: str, counts: dict[str, int]) -> str | None:
    """Which cumulative count is lower than an earlier look of this experiment saw it; keeps the new
    ones. Rows are only ever added: where they are fewer, some were lost."""
    last = scene.ledger.records(scene.terms.loop, KEPT, limit=1, newest=True)
    before = last[0]["counts"] if last and last[0]["of"] == name and last[0]["cut"] <= scene.cut else {}
    for key, count in before.items():
        if counts.get(key, 0) < count:
            return f"a cumulative count has fallen: {key} from {count:,} to {counts.get(key, 0):,}"
    if counts != before:
        scene.ledger.put(scene.terms.loop, KEPT, f"{name}@{scene.cut}/{scene.now}", {"of": name, "cut": scene.cut, "counts": counts})
    return None


def rule_trial(scene: Scene, trial: Trial) -> tuple[Ruling, dict[str, Any] | None]:
    """The ruling on an experiment, and its result where there is one to go on with."""
    parameters = scene.release.parameters
    if broken := changed_outcome(scene, parameters):
        return Ruling("INVALID", broken), None
    result, evidence = gather(scene, "experiment", parameters)
    words = describe(result, parameters)
    counts = {key: result[key] for key in ("units", "matured", "told")}
    ended = next((one["invalid"] for one in result["harms"].values() if one["invalid"]), None)
    invalid = result["invalid"] or ended or fallen(scene, parameters["release"], counts)
    if invalid:
        return Ruling("INVALID", f"{invalid}: {words}", evidence), None
    if harm := harmed(result):
        return Ruling("ROLLBACK", f"harm in {harm}: {words}", evidence), None
    age = from_us(scene.now) - from_us(parameters["since"])
    if (won := winner(result)) and age >= trial.min_time:
        return Ruling("PASS", words, evidence, proven=carries(scene), candidate=parameters["arms"][won]), None
    done = min(test["n"] for test in result["tests"].values()) >= parameters["horizon"]
    if (done and age >= trial.min_time) or age >= trial.max_time:
        why = "the horizon is reached" if done else f"{trial.max_time} have passed"
        return Ruling("REFUSE", f"not shown to be no worse, and {why}: {words}", evidence), None
    if won:
        words += f"; waits for its minimum of {trial.min_time}"
    return Ruling("HOLD", words, evidence), result


def carries(scene: Scene) -> bool:
    """Whether the present stage is the one gate that carries the promise."""
    return carrier(scene.terms.stages) is scene.terms.stages[scene.release.stage]
