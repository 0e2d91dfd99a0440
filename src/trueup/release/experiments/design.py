# SPDX-License-Identifier: Apache-2.0
"""What every experiment fixes before its first look: guardrails, horizon, units, traffic (REL-06)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from trueup.core.errors import ArgumentError
from trueup.core.json import loads
from trueup.core.task import Outcome
from trueup.core.values import to_json, value
from trueup.release.queries import QUERIES
from trueup.release.stage import Scene, Terms

MINUTE, DAY, WEEK = timedelta(minutes=1), timedelta(days=1), timedelta(days=7)
DAY_US = 86_400_000_000
USUAL_RATE = 0.5     # the base rate that a forecast assumes where no outcome is logged: the widest
MOST_UNITS = 20_000  # the longest horizon that a forecast looks for


@value("release.no_harm")
class NoHarm:
    """A business guardrail: `outcome` must not get worse by more than `tolerance`, on its scale of
    [0, 1]. Crossing it rolls back; it never promotes."""

    outcome: Outcome
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if not 0.0 <= self.tolerance < 1.0:
            raise ArgumentError(f"expected a tolerance of at least 0 and below 1, got {self.tolerance!r}")


@value("release.guardrails")
class Guardrails:
    """What rolls an experiment back: failing units, failing requests, slow requests, and outcomes.

    `lag`, `window`, `tolerance` and `tolerance_abs` are those of `Canary`. `outcomes` are business
    guardrails; where there are any they share half of the error level with the others.
    """

    lag: timedelta = 5 * MINUTE
    window: timedelta = 60 * MINUTE
    tolerance: float = 0.25
    tolerance_abs: float = 0.01
    outcomes: Sequence[NoHarm] = ()

    def __post_init__(self) -> None:
        if self.lag <= timedelta(0) or self.window < timedelta(0):
            raise ArgumentError("expected a lag above 0, and a window of at least 0")


def us(span: timedelta) -> int:
    """A duration in microseconds."""
    return int(span.total_seconds() * 1e6)


def serves(stage: Any) -> bool:
    """Whether users are drawn in this stage, so that guardrails watch it."""
    return bool(stage.draws)


def beta(scene: Scene) -> float:
    """`needless_rollback` is for the whole release: the stages that serve users share it equally."""
    return scene.terms.risk.needless_rollback / max(1, sum(serves(stage) for stage in scene.terms.stages))


def experiment_id(scene: Scene) -> str:
    """What the events of this stage carry as their release: a stage with a draw of its own is told
    apart from the canary, whose units it may draw again."""
    return f"{scene.release.id}/{scene.release.stage}"


def guard_of(
    guardrails: Guardrails, level: float, experiment: str, horizon: int, p95: float | None,
    moves: bool = False, pi_range: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Parameters of the canary's method for an experiment's guardrails. `pi_range` bounds the challengers'
    probability where it follows from the context: the guardrails are then about the mean over contexts."""
    return {
        "release": experiment, "lag": us(guardrails.lag), "window": us(guardrails.window),
        "tolerance": guardrails.tolerance, "tolerance_abs": guardrails.tolerance_abs, "units": horizon,
        "levels": {"count": level / 4, "burden": level / 4, "latency": level / 2}, "p95": p95, "moves": moves,
        **({} if pi_range is None else {"pi_range": list(pi_range)}),
    }


def harms_of(guardrails: Guardrails, level: float) -> list[dict[str, Any]]:
    """The business guardrails with their levels. `bounded`: a value outside its declared bounds makes the
    result invalid; evidence without it was computed when such a value ended the guardrail alone."""
    return [
        {"outcome": to_json(one.outcome), "tolerance": one.tolerance, "level": level / len(guardrails.outcomes), "bounded": True}
        for one in guardrails.outcomes
    ]


def past(scene: Scene, outcome: Outcome, days: int = 30) -> dict[str, Any]:
    """The champion's last `days`: the mean of the outcome on [0, 1] (None without any), new units a
    day, and its spread."""
    rows = scene.ledger.query(QUERIES["past_outcomes"], {
        "loop": scene.terms.loop, "candidate": scene.state.champion, "name": outcome.name,
        "since": scene.now - days * DAY_US, "now": scene.now,
    }, cut=scene.cut).to_pylist()[0]
    daily = rows["units"] / max(1.0, min(days, (scene.now - (rows["first"] or scene.now)) / DAY_US))
    base = None
    if rows["told"]:
        total, count = rows["total"], rows["told"]
        if outcome.absent is not None:
            total, count = total + outcome.absent * (rows["requests"] - count), rows["requests"]
        mean = min(max(total / count, outcome.low), outcome.high)
        base = outcome.scaled(mean)
    return {"base": base, "units_a_day": daily}


def outcome_problems(name: str, outcome: Outcome, terms: Terms, max_time: timedelta) -> list[str]:
    """Why an outcome cannot decide between arms that were shown to users."""
    known = [one for one in terms.outcomes if one.name == outcome.name]
    if not known:
        return [f"{name} decides on {outcome.name!r}, which is not among the outcomes"]
    if known[0] != outcome:
        return [f"{name} decides on an outcome {outcome.name!r} that differs from the declared one"]
    if outcome.type == "label":
        return [f"{name} decides on {outcome.name!r}, a label: declare a boolean or a number of the answer shown"]
    if outcome.within >= max_time:
        return [f"{name} ends after {max_time}, and {outcome.name!r} counts for {outcome.within}: raise max_time"]
    return []


def contexts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was logged beside each assignment: stage, context, probabilities."""
    return [loads(row["extra"]) if row["extra"] else {} for row in rows]
