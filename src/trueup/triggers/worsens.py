# SPDX-License-Identifier: Apache-2.0
"""Worsens: quality is below what the champion itself showed at first, without a floor to choose (TRG-02)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from trueup.core.errors import ArgumentError
from trueup.core.protocols import Facts, Finding, Scorer
from trueup.core.task import Outcome
from trueup.core.values import value
from trueup.triggers.falls import unrated, values_of

WEEK = timedelta(days=7)


@value("trigger.worsens")
class Worsens:
    """Holds once an outcome, or a score of the served answers, has sunk below the champion's first.

    `of` is watched. The reference are the values of the champion's `first` time in service, and at
    least `least` of them: a whole week by default, so that working days and weekends are in it. The
    null hypothesis is "at every moment after that the mean is at least the lower 95 % limit of the
    reference's mean, less `by`"; alarms come at most `false_alarms_per_year` (this detector's share
    of the loop's) times a year in expectation while it holds (`trueup.stats.MeanDetector`). Where
    neighbouring values depend on each other the words say "no stated rate".

    There is no threshold to choose: `by` is a loss that does not matter to you, in units of the
    score, 0 by default. A champion that is promoted is its own reference; so is one whose alarm was
    accepted without a promotion, from then on. A champion that is bad from its first day on cannot
    worsen by this measure: `Falls` with a floor is the pair to it.
    """

    of: Outcome | Scorer
    by: float = 0.0
    first: timedelta = WEEK
    least: int = 100

    def __post_init__(self) -> None:
        if not 0.0 <= self.by < 1.0:
            raise ArgumentError(f"expected by from 0 to 1, got {self.by!r}")
        if self.first <= timedelta(0):
            raise ArgumentError(f"expected first above 0, got {self.first!r}")
        if self.least < 20:
            raise ArgumentError(f"expected least of at least 20, got {self.least!r}")

    @property
    def detector(self) -> str:
        """The name under which its alarms are accepted."""
        return f"worsens:{self.of.name}"

    def look(self, facts: Facts) -> Finding:
        from trueup.monitor import mean_drift

        since = facts.reference(self.detector)
        values, known, _ = values_of(self.of, facts, since)
        n = self._reference(known, since)
        if n is None or n >= len(values):
            words = f"{self.of.name}: {len(values):,} values, still the champion's first {self.first.days} days"
            return Finding(False, words, {"n": len(values)})
        reference, rest = list(values[:n]), values[n:]
        if min(reference) == max(reference) == 0.0:
            return Finding(False, f"{self.of.name} was 0 from the beginning: it cannot sink", {"n": len(values)})
        found = mean_drift(
            rest, known[n:], reference=reference, tolerance=self.by, since=known[n - 1], name=self.of.name,
            recent=n, false_alarms_per_year=facts.false_alarms_per_year,
        )
        base = sum(reference) / n
        evidence: dict[str, Any] = {
            "detector": self.detector, "n": len(values), "reference": {"rows": n, "mean": base},
            "recent": found.effect, "statistic": found.evidence, "threshold": found.line,
            "false_alarms_per_year": facts.false_alarms_per_year,
        }
        words = (
            f"{self.of.name} {found.effect:.3f} of late, {base:.3f} in the champion's first {self.first.days} days; "
            f"evidence {found.evidence:.3g} against {found.line:.3g}"
        )
        words += unrated(found, evidence)
        return Finding(found.alarm, words, evidence)

    def _reference(self, known: Any, since: Any) -> int | None:
        """How many values are the reference: those of the first time, at least `least`."""
        if not len(known):
            return None
        end = (since or known[0]) + self.first
        n = max(self.least, sum(at <= end for at in known))
        return n if len(known) > n or known[-1] > end else None
