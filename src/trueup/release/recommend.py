# SPDX-License-Identifier: Apache-2.0
"""The decision framework: which stages a release needs, from what is known of the loop (REL-10)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal

from trueup.core.errors import ArgumentError

DAY = timedelta(days=1)
DISAGREEMENT = 0.15   # of two models, where it was not measured
MOST = 60_000         # units that a forecast looks for at most
ENOUGH_UNITS = 1_000  # a day, for a canary step that shows more than outages


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known before the first release.

    `units_a_day` is the traffic in units. `output` is a label, a text, a ranking or a number. `labels`
    is the share of the units whose input gets a label (or a score by a judge) that does not depend on
    the answer shown. `delay` is how long the outcome of a shown answer takes, `feedback` whether there
    is one at all. `base` is its rate, `margin` the loss that would be accepted, `effect` the gain hoped
    for. `risk` is what a bad answer costs, `reversible` whether a shown answer can be taken back.
    `arms` counts challengers at once. `propensities` says that the log holds logged probabilities of
    another policy. `patience` is how long a release may take, `level` that of its test.
    """

    units_a_day: float
    output: Literal["label", "text", "ranking", "number"] = "label"
    labels: float = 0.0
    feedback: bool = True
    delay: timedelta = DAY
    base: float = 0.1
    margin: float = 0.02
    effect: float = 0.0
    disagreement: float = DISAGREEMENT
    risk: Literal["low", "medium", "high"] = "medium"
    reversible: bool = True
    arms: int = 1
    propensities: bool = False
    patience: timedelta = 28 * DAY
    level: float = 0.009

    def __post_init__(self) -> None:
        if not self.units_a_day >= 0.0:
            raise ArgumentError(f"expected units_a_day of at least 0, got {self.units_a_day!r}")
        if self.output not in ("label", "text", "ranking", "number"):
            raise ArgumentError(f"expected output label, text, ranking or number, got {self.output!r}")
        if self.risk not in ("low", "medium", "high"):
            raise ArgumentError(f"expected risk low, medium or high, got {self.risk!r}")
        for name in ("labels", "disagreement"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ArgumentError(f"expected {name} as a share, got {getattr(self, name)!r}")
        if self.arms < 1:
            raise ArgumentError(f"expected at least one challenger, got {self.arms!r}")


@dataclass(frozen=True, slots=True)
class Advice:
    """One stage: its name, why it stands there, what to write, and the units and days that it takes."""

    stage: str
    reason: str
    write: str
    units: int | None = None
    days: float | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The stages in order, the one that carries the promise (None: no test can), and what was left
    out, and why."""

    stages: tuple[Advice, ...]
    carrier: str | None
    left_out: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        text = []
        for at, one in enumerate(self.stages, 1):
            size = f" ({one.units:,} units, {one.days:.1f} days)" if one.units is not None and one.days is not None else ""
            text.append(f"{at}. {one.stage}{size}: {one.reason}")
        text.append(
            f"the promise is carried by {self.carrier}" if self.carrier else
            "no test can carry the promise at this traffic: a golden set and a person decide"
        )
        text += [f"left out: {words}" for words in self.left_out]
        writes = [one.write for one in self.stages if one.write]
        return [*text, f"release=[{', '.join(writes)}]"]


def recommend(of: Situation) -> Recommendation:
    """The stages for a situation, with the numbers of the very tests that they would run.

    >>> found = recommend(Situation(units_a_day=5_000, labels=0.5))
    >>> found.carrier, [one.stage for one in found.stages]
    ('Shadow', ['Shadow', 'Canary', 'Full'])
    """
    stages: list[Advice] = []
    out: list[str] = []
    if of.propensities:
        stages.append(Advice(
            "off-policy", "logged probabilities let the challenger be estimated before anybody sees it; a filter, refused "
            "below an effective sample of 100", "",
        ))
    shadow, ab = _shadow(of), _ab(of)
    carrier = None
    possible = ab is not None and ab.days is not None and ab.days <= of.patience / DAY
    many = of.arms > 2 and of.delay <= DAY and of.reversible and of.risk != "high"
    if many and possible:
        out.append("Shadow: it proves one candidate, and several are tested at once: the Bandit carries the promise")
    elif shadow is not None and shadow.days is not None and shadow.days <= of.patience / DAY:
        stages.append(shadow)
        carrier = "Shadow"
    elif shadow is not None:
        out.append(f"Shadow would take {_days(shadow)}, more than {of.patience / DAY:.0f} days")
    else:
        out.append("Shadow: nothing scores an answer that was not shown; a judge with audited labels would")
    canary = of.units_a_day >= ENOUGH_UNITS / 10
    if canary and (carrier or possible):
        stages.append(_canary(of))
    if of.output == "ranking" and of.feedback and (carrier or possible):
        stages.append(_interleave(of))
    if many and possible:
        stages.append(_bandit(of, ab))
        carrier = "Bandit"
    elif possible and ab is not None and (carrier is None or of.risk == "low"):
        stages.append(ab)
        carrier = carrier or "AB"
    elif ab is None:
        out.append("AB: users give no feedback on what they were shown")
    elif not possible:
        out.append(f"AB would take {_days(ab)}, more than {of.patience / DAY:.0f} days: an underpowered one proves nothing")
    elif carrier is not None:
        out.append(f"AB ({_days(ab)}): the shadow carries the promise; add it where the effect on users itself is the question")
    if carrier is None:
        stages.append(Advice("golden set", "too little traffic for any test: floors and slices on audited items", ""))
    if of.risk == "high" or not of.reversible or carrier is None:
        why = "too little traffic to be sure" if carrier is None else (
            "what was shown cannot be taken back" if not of.reversible else "a bad answer is costly"
        )
        stages.append(Advice("Approval", f"{why}: a person reads the report", "Approval(by='owners')"))
    stages.append(Advice("Full", "everybody", "Full()"))
    return Recommendation(tuple(stages), carrier, tuple(out))


def _shadow(of: Situation) -> Advice | None:
    from trueup.stats import forecast

    daily = of.units_a_day * of.labels
    if daily <= 0.0:
        return None
    most = _most(daily, of)
    seen = forecast(of.disagreement, max(of.margin, 0.001), of.level, max_horizon=most, seed=1, exact=False)
    if seen.horizon is None:
        return Advice("Shadow", f"more than {seen.max_horizon:,} pairs", "", seen.max_horizon, None)
    reason = (
        f"both models answer the same inputs out of sight: {seen.horizon:,} labelled pairs at a disagreement of "
        f"{of.disagreement:g}, margin {of.margin:g}; the cheapest proof, and nobody is exposed"
    )
    return Advice("Shadow", reason, f"Shadow(scorer, no_worse_by={of.margin:g})", seen.horizon, seen.horizon / daily + of.delay / DAY)


def _most(daily: float, of: Situation) -> int:
    """The longest horizon that is worth a look: what comes within the patience."""
    return max(100, min(MOST, int(daily * (of.patience / DAY))))


def _ab(of: Situation) -> Advice | None:
    from trueup.stats import forecast_ab

    if not of.feedback or of.units_a_day <= 0.0:
        return None
    if of.margin + of.effect <= 0.0:
        raise ArgumentError("expected a margin or an effect above 0: with neither no test has an end")
    most = _most(of.units_a_day * 2 / (of.arms + 1), of)
    answer = forecast_ab(
        of.base, min(of.effect, 1.0 - of.base), of.margin, of.level / of.arms, max_horizon=most, reps=100, seed=1, exact=False
    )
    if answer.horizon is None:
        return Advice("AB", f"more than {most:,} units", "", most, None)
    units = round(answer.horizon * (of.arms + 1) / 2)
    days = max(7.0, units / of.units_a_day + of.delay / DAY)
    reason = (
        f"the effect on users decides: {units:,} units find {of.effect:+g} at margin {of.margin:g} from a rate of {of.base:g} "
        f"(power {answer.power:.2f}), one full week at least"
    )
    return Advice("AB", reason, f"AB(outcome, no_worse_by={of.margin:g}, units={units})", units, days)


def _canary(of: Situation) -> Advice:
    first = 0.01 if of.risk == "high" or not of.reversible else 0.05
    per_step = of.units_a_day * first
    reason = f"errors and slowness show on few users first: {per_step:,.0f} challenger units in a first step of a day at {first:.0%}"
    if of.units_a_day < ENOUGH_UNITS:
        reason += "; at this traffic it sees outages, not small harm"
    return Advice("Canary", reason, f"Canary({first:g}, 0.25)")


def _interleave(of: Situation) -> Advice:
    units = 2_000
    return Advice(
        "Interleave", "a preference between two rankers shows in a sixth to a sixteenth of an A/B's sessions; credit, not the OEC",
        "Interleave('click')", units, max(7.0, units / of.units_a_day) if of.units_a_day else None,
    )


def _bandit(of: Situation, ab: Advice | None) -> Advice:
    floor = round(0.9 / (of.arms + 1), 2)
    return Advice(
        "Bandit", f"{of.arms} challengers with fast feedback: it earns while it learns; with a floor of {floor:g} it decides too",
        f"Bandit(outcome, arms={{...}}, floor={floor:g}, no_worse_by={of.margin:g})",
        ab.units if ab else None, ab.days if ab else None,
    )


def _days(advice: Advice) -> str:
    return f"more than {advice.units:,} units" if advice.days is None else f"{advice.units:,} units, {advice.days:.0f} days"
