# SPDX-License-Identifier: Apache-2.0
"""Cycles that are too long to wait for: the residual of a fit that was made before (VAL-10)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.core.values import value
from trueup.monitor.found import Found
from trueup.monitor.means import DEPENDENT, FELT, SECONDS
from trueup.monitor.memory import memory
from trueup.stats import MeanDetector, upper_limit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

YEAR, WEEK = timedelta(days=365.25), timedelta(days=7)
SPREADS = 4.0


@value("monitor.harmonics")
class Harmonics:
    """A level, and `terms` (1 to 10) harmonics for each of the `periods`: what a season looks like."""

    periods: tuple[timedelta, ...] = (YEAR, WEEK)
    terms: int = 2

    def __post_init__(self) -> None:
        if not self.periods or min(self.periods) <= timedelta(0) or not 1 <= self.terms <= 10:
            raise ArgumentError(f"expected periods above 0 and 1 to 10 terms, got {self!r}")

    def fit(self, known: ArrayLike, values: ArrayLike) -> FittedSeason:
        """Fit a series; `known` is in microseconds since 1970. Raises ArgumentError where it does
        not cover every period once: a season that was not seen cannot be told from a drift."""
        at, y = np.asarray(known, dtype=np.float64), np.asarray(values, dtype=np.float64)
        longest = max(self.periods) / timedelta(microseconds=1)
        design = self.design(at)
        if at.size < 2 * design.shape[1] or float(at.max() - at.min()) < 0.95 * longest:
            raise ArgumentError(
                f"expected a series over a whole period of {max(self.periods).days} days and at least "
                f"{2 * design.shape[1]} values, got {at.size}"
            )
        weights, *_ = np.linalg.lstsq(design, y, rcond=None)
        rest = y - design @ weights
        spread = float(np.sqrt((rest**2).sum() / (at.size - design.shape[1])))
        return FittedSeason(self, weights.astype(np.float64), max(spread, 1e-12), rest)

    def design(self, known: Floats) -> Floats:
        """The columns of the fit, shape (n, 1 + 2 terms x periods)."""
        columns = [np.ones_like(known)]
        for period in self.periods:
            angle = 2.0 * np.pi * known / (period / timedelta(microseconds=1))
            for term in range(1, self.terms + 1):
                columns += [np.sin(term * angle), np.cos(term * angle)]
        return np.column_stack(columns)


@dataclass(frozen=True, slots=True)
class FittedSeason:
    """A fitted season: what it expects, and how far it was off (one standard deviation)."""

    shape: Harmonics
    weights: Floats
    spread: float
    rest: Floats

    def expected(self, known: ArrayLike) -> Floats:
        found: Floats = self.shape.design(np.asarray(known, dtype=np.float64)) @ self.weights
        return found


def season_drift(
    reference_known: ArrayLike, reference: ArrayLike, known: ArrayLike, values: ArrayLike, *,
    shape: Harmonics | None = None, tolerance: float = 0.05, false_alarms_per_year: float = 1.0,
    columns: int = 1, name: str = "season",
) -> Found:
    """Whether a series (the daily mean of a column, a rate) leaves its season, up or down.

    The season is fitted on the reference and then kept. The residual, in 8 standard deviations
    from end to end, is a value in [0, 1]; null: its mean given the past is at most the upper 95 %
    limit of 1/2 plus `tolerance` (.05: .4 standard deviations). Guarantee: **E[false alarms in T
    years] <= rate * T**, two sides together, as long as that holds; it fails where residuals
    depend on each other, which is tested, and where a cycle differs from the last one by more than
    the tolerance, which cannot be.
    """
    fitted = (shape or Harmonics()).fit(reference_known, reference)
    at = np.asarray(known, dtype=np.int64)
    rest = np.asarray(values, dtype=np.float64) - fitted.expected(at)
    up = np.clip(0.5 + rest / (2 * SPREADS * fitted.spread), 0.0, 1.0)
    old = np.clip(0.5 + fitted.rest / (2 * SPREADS * fitted.spread), 0.0, 1.0)
    years = np.maximum(np.diff(at, prepend=at[:1]) / 1e6, 0.0) / SECONDS
    detectors = [
        MeanDetector(min(upper_limit(float(base.sum()), base.size), 0.94 - tolerance), tolerance, false_alarms_per_year, 2 * columns)
        .run(x, years)
        for x, base in ((up, old), (1.0 - up, 1.0 - old))
    ]  # fmt: skip
    worst = max(detectors, key=lambda one: (one.alarm, one.statistic))
    correlation, p = memory(old, block=min(50, max(10, old.size // 4)))
    rated = not (p < DEPENDENT and correlation > FELT)
    last = rest[-7:]
    return Found(
        name, "season", any(one.alarm for one in detectors), rated, float(worst.statistic), float(worst.threshold),
        float(last.mean()) if last.size else 0.0, "residual", float(last.mean() / fitted.spread) if last.size else 0.0,
        int(rest.size), int(rest.size), 1, correlation, 2 * columns, None,
        "" if rated else f"neighbouring residuals depend on each other (correlation {correlation:.2f})",
    )  # fmt: skip
