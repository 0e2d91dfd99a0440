# SPDX-License-Identifier: Apache-2.0
"""Scores that another tool computes, one a batch, gain a rate of false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError
from trueup.monitor.found import Found
from trueup.stats import BatchDetector

if TYPE_CHECKING:
    from datetime import datetime

YEAR_US = 365.25 * 86_400e6
LEAST_TOLD = 20


def told_drift(
    scores: Sequence[float], times: Sequence[datetime], *, calibration: int = 40, false_alarms_per_year: float = 1.0,
    columns: int = 1, seed: int = 0, name: str = "score",
) -> Found:
    """Whether scores of batches, larger where a batch is stranger, have become larger than they were.

    The first `calibration` scores (20 or more) are the reference; each later one is ranked among all
    before it. No threshold: what counts is how a score stands among its own past, so that a PSI of a
    small batch, which lies above .2 with nothing moved, alarms no more often than asked.

    Null: the batches are exchangeable. Guarantee: **E[false alarms in T years] <= rate * T**, however
    often one looks; what rows do within a batch does not matter. Where neighbouring calibration scores
    resemble each other (lag-1 rank correlation) no rate is stated: score fewer or larger batches.
    `effect` is the last score. Raises ArgumentError for scores that are no finite numbers.

    >>> import datetime as dt
    >>> rng = np.random.default_rng(1)
    >>> days = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=n) for n in range(80)]
    >>> found = told_drift([*rng.normal(0.3, 0.05, 60), *rng.normal(0.5, 0.05, 20)], days)
    >>> found.alarm, found.rated
    (True, True)

    Source: Vovk, Nouretdinov and Gammerman (2003); Shin, Ramdas and Rinaldo (2024).
    """
    if calibration < LEAST_TOLD:
        raise ArgumentError(f"expected at least {LEAST_TOLD} scores for calibration, got {calibration!r}")
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) != len(times) or not np.isfinite(values).all():
        raise ArgumentError(f"expected finite scores and as many times, got {len(values):,} and {len(times):,}")
    first, rest = values[:calibration], values[calibration:]
    detector = BatchDetector(first.tolist(), false_alarms_per_year, columns)
    if len(first) < calibration:
        note = f"{len(first):,} of {calibration:,} scores for calibration so far"
        return Found(name, "told", False, True, 0.0, detector.threshold, 0.0, "score", columns=columns, note=note)
    rng = np.random.default_rng(seed)
    micro = [to_us(at) for at in times]
    at: int | None = None
    for place, score in enumerate(rest, calibration):
        detector.update(float(score), max(micro[place] - micro[place - 1], 0) / YEAR_US, rng)
        if detector.alarm and at is None:
            at = micro[place]
    spread = float(first.std())
    shift = (float(rest[-1]) - float(first.mean())) / spread if len(rest) and spread > 0.0 else 0.0
    note = "" if detector.rated else f"neighbouring scores resemble each other (correlation {detector.correlation:.2f})"
    return Found(
        name, "told", detector.alarm, not note, detector.statistic, detector.threshold, float(rest[-1]) if len(rest) else 0.0,
        "score", shift, len(values), len(rest), 1, detector.correlation, columns, at, note,
    )  # fmt: skip
