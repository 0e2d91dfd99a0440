# SPDX-License-Identifier: Apache-2.0
"""Falls: quality has sunk below a floor, with a stated rate of false alarms (TRG-02)."""

from __future__ import annotations

from typing import Any

from trueup.core.errors import ArgumentError
from trueup.core.protocols import Facts, Finding, Scorer
from trueup.core.task import Outcome
from trueup.core.values import value

_YEAR = 365.25 * 86_400.0


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
        import numpy as np

        from trueup.stats import MeanDetector

        since = facts.reference(self.detector)
        values, known = self._values(facts, since)
        if not len(values):
            return Finding(False, f"{self.of.name}: no values since {_day(since)}", {"n": 0})
        start = since or known[0]
        seconds = np.array([(at - start).total_seconds() for at in known])
        years = np.maximum(np.diff(seconds, prepend=0.0), 0.0) / _YEAR
        loss = 1.0 - np.asarray(values, dtype=float)
        detector = MeanDetector(1.0 - self.below, 0.0, facts.false_alarms_per_year)
        detector.run(loss, years)
        last = loss[-self.recent :]
        recent = float(1.0 - last.mean())
        evidence: dict[str, Any] = {
            "detector": self.detector,
            "n": len(loss),
            "mean": float(1.0 - loss.mean()),
            "recent": recent,
            "floor": self.below,
            "statistic": float(detector.statistic),
            "threshold": float(detector.threshold),
            "false_alarms_per_year": facts.false_alarms_per_year,
        }
        alarm = bool(detector.alarm)
        words = (
            f"{self.of.name} {recent:.3f} over the last {len(last)} of {len(loss):,} values, floor "
            f"{self.below:g}; evidence {detector.statistic:.3g} against {detector.threshold:.3g}"
        )
        return Finding(alarm and recent < self.below, words, evidence)

    def _values(self, facts: Facts, since: Any) -> tuple[Any, Any]:
        if isinstance(self.of, Outcome):
            values, known = facts.outcomes(self.of.name, since)
            return [self.of.scaled(number) for number in values], known
        return facts.scores(self.of, since)


def _day(moment: Any) -> str:
    return "the beginning" if moment is None else f"{moment:%Y-%m-%d}"
