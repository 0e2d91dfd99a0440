# SPDX-License-Identifier: Apache-2.0
"""Falls: quality has sunk below a floor, with a stated rate of false alarms (TRG-02)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueup.core.errors import ArgumentError
from trueup.core.protocols import Facts, Finding, Scorer
from trueup.core.task import Outcome
from trueup.core.values import value

if TYPE_CHECKING:
    from trueup.monitor import Found


@value("trigger.falls")
class Falls:
    """Holds once the mean of an outcome, or of a score of the served answers, has sunk below a floor.

    The null hypothesis is "at every moment the mean is at least `below`". While it holds, alarms
    come at most `false_alarms_per_year` (this detector's share of the loop's) times a year in
    expectation, at any traffic and however often one looks (time-weighted Shiryaev-Roberts; Shin,
    Ramdas and Rinaldo 2024). It fires on evidence AND effect: the mean of the last `recent` values
    must lie below the floor as well.
    """

    of: Outcome | Scorer
    below: float
    recent: int = 200

    def __post_init__(self) -> None:
        if not 0.0 < self.below < 1.0:
            raise ArgumentError(f"expected a floor between 0 and 1, got {self.below!r}")
        if self.recent < 1:
            raise ArgumentError(f"expected recent of at least 1, got {self.recent!r}")

    @property
    def detector(self) -> str:
        """The name under which its alarms are accepted."""
        return f"falls:{self.of.name}"

    def look(self, facts: Facts) -> Finding:
        from trueup.monitor import mean_drift

        since = facts.reference(self.detector)
        values, known, outside = values_of(self.of, facts, since)
        if not len(values):
            return Finding(False, f"{self.of.name}: no values since {_day(since)}", {"n": 0})
        found = mean_drift(
            values, known, floor=self.below, since=since, recent=self.recent, name=self.of.name,
            false_alarms_per_year=facts.false_alarms_per_year,
        )
        evidence: dict[str, Any] = {
            "detector": self.detector,
            "n": found.rows,
            "mean": _mean(values),
            "recent": found.effect,
            "floor": self.below,
            "statistic": found.evidence,
            "threshold": found.line,
            "false_alarms_per_year": facts.false_alarms_per_year,
        }
        words = (
            f"{self.of.name} {found.effect:.3f} over the last {min(self.recent, found.rows)} of {found.rows:,} values, "
            f"floor {self.below:g}; evidence {found.evidence:.3g} against {found.line:.3g}"
        )
        if outside:
            evidence["outside"] = outside
            words += f"; {outside:,} values outside [{self.of.low:g}, {self.of.high:g}] left out"  # type: ignore[union-attr]
        words += unrated(found, evidence)
        return Finding(found.alarm and found.effect < self.below, words, evidence)


def values_of(of: Outcome | Scorer, facts: Facts, since: Any) -> tuple[Any, Any, int]:
    """Values in [0, 1], the times they became known, and how many lay outside the bounds."""
    if not isinstance(of, Outcome):
        return *facts.scores(of, since), 0
    told, known = facts.outcomes(of.name, since)
    kept = [at for at, number in enumerate(told) if of.low <= number <= of.high]
    if len(kept) < len(told):
        known = [known[at] for at in kept]
    return [of.scaled(told[at]) for at in kept], known, len(told) - len(kept)


def unrated(found: Found, evidence: dict[str, Any]) -> str:
    """What a reason says where its rate does not hold, put into the evidence as well."""
    if found.rated:
        return ""
    evidence["no stated rate"] = found.note
    return f"; no stated rate: {found.note}"


def _mean(values: Any) -> float:
    import numpy as np

    return float(1.0 - (1.0 - np.asarray(values, dtype=float)).mean())


def _day(moment: Any) -> str:
    return "the beginning" if moment is None else f"{moment:%Y-%m-%d}"
