# SPDX-License-Identifier: Apache-2.0
"""Concept drift: the mean of outcomes, or of a judge's scores, has become worse (VAL-05, VAL-07)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trueup.core.clock import all_us, to_us
from trueup.core.errors import ArgumentError
from trueup.monitor.found import Found
from trueup.monitor.memory import memory
from trueup.stats import MeanDetector, upper_limit

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import ArrayLike

SECONDS = 365.25 * 86_400.0
DEPENDENT, FELT = 0.001, 0.03  # p-value and size of a dependence that matters


def mean_drift(
    values: ArrayLike, known: Sequence[datetime], *, floor: float | None = None,
    reference: ArrayLike | None = None, tolerance: float = 0.0, since: datetime | None = None,
    false_alarms_per_year: float = 1.0, columns: int = 1, recent: int = 200, name: str = "mean",
) -> Found:
    """Whether the mean of values in [0, 1], 1 being best, has sunk.

    Null: at every moment the mean given the past is at least `floor`; or, with the values of a
    `reference` in place of a floor, at least the lower 95 % limit of its mean, less `tolerance`.
    Guarantee: **E[false alarms in T years] <= rate * T**, however often one looks. Where
    neighbouring values depend on each other (within blocks of 50, p < .001), the mean given the
    past wanders and no rate is stated. `effect` is the mean of the last `recent` values. Raises
    ArgumentError for values outside [0, 1].

    Source: Shin, Ramdas and Rinaldo (2024).
    """
    loss = 1.0 - np.asarray(values, dtype=np.float64)
    if (floor is None) == (reference is None):
        raise ArgumentError("expected a floor or the values of a reference, and not both")
    if floor is not None:
        base = 1.0 - floor
    else:
        old = 1.0 - np.asarray(reference, dtype=np.float64)
        base = upper_limit(float(old.sum()), old.size)
    detector = MeanDetector(min(base, 1.0 - 1e-9 - tolerance), tolerance, false_alarms_per_year, columns)
    if not loss.size:
        return Found(name, "mean", False, True, 0.0, float(detector.threshold), 0.0, "mean", columns=columns, note="no values yet")
    start = since or known[0]
    seconds = (np.array(all_us(known), dtype=np.int64) - to_us(start)) / 1e6
    detector.run(loss, np.maximum(np.diff(seconds, prepend=0.0), 0.0) / SECONDS)
    correlation, p = memory(loss)
    rated = not (p < DEPENDENT and correlation > FELT)
    last = loss[-recent:]
    spread = float(loss.std())
    shift = -(float(last.mean()) - base) / spread if spread > 0.0 else 0.0
    return Found(
        name, "mean", bool(detector.alarm), rated, float(detector.statistic), float(detector.threshold),
        float(1.0 - last.mean()), "mean", shift, int(loss.size), int(loss.size), 1, correlation, columns, None,
        "" if rated else f"neighbouring values depend on each other (correlation {correlation:.2f})",
    )  # fmt: skip
