# SPDX-License-Identifier: Apache-2.0
"""Intervals for dashboards that may be looked at at any time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trueup.stats import _check

BURN_IN = 10  # events per arm before an interval is shown


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval for a mean or a difference; `low` and `high` in units of the metric.

    Null, guarantee, source: those of the function that returned it.

    >>> Interval(low=-0.01, high=0.03, estimate=0.01, confidence=0.95).half
    0.02
    """

    low: float
    high: float
    estimate: float
    confidence: float

    @property
    def half(self) -> float:
        """Half of the width."""
        return (self.high - self.low) / 2


def mean_interval(
    estimate: float, se: float, n: int, alpha: float = 0.05, n_star: int = 5000
) -> Interval:
    """Asymptotic confidence sequence for a mean or a difference of means: for dashboards.

    Null: the true value lies outside, at some time.

    Guarantee: as the first look moves to infinity, ``P(truth outside at any time) <= alpha``.
    **It is asymptotic, never the sole automatic gate**: on small canaries looked at early it
    was false in 9 to 60 % of cases. Show it after `BURN_IN` events in each arm.

    Conditions: independent units; `se` is the standard error of the estimate from these n units
    (of both arms, for a difference).

    ``half = sqrt(n) se sqrt(2 (n r^2 + 1) / (n r)^2 ln(sqrt(n r^2 + 1) / alpha))``, with r such
    that the interval is narrowest near n_star.

    Parameters:
        estimate: the estimate now; se: its standard error, at least 0; n: units in both arms.
        alpha: in (0, 1); n_star: number of units at which it should be narrowest.

    >>> interval = mean_interval(0.02, se=0.006, n=10_000)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0016, 0.0384)

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, arXiv 2103.06476.
    """
    estimate = _check.finite("estimate", estimate)
    se = _check.within("se", se, 0.0, math.inf, "give the standard error of the estimate")
    n, n_star = _check.count("n", n), _check.count("n_star", n_star)
    alpha = _check.level("alpha", alpha)
    r2 = (-2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))) / n_star
    inner = n * r2 + 1.0
    width = 2.0 * inner / (n * n * r2) * math.log(math.sqrt(inner) / alpha)
    half = se * math.sqrt(n) * math.sqrt(width)
    return Interval(estimate - half, estimate + half, estimate, 1.0 - alpha)
