# SPDX-License-Identifier: Apache-2.0
"""The mean of a metric that has its week: each phase against the same phase of the reference (MON-04)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from trueup.core.clock import all_us
from trueup.core.errors import ArgumentError
from trueup.monitor.found import Found
from trueup.monitor.means import DEPENDENT, FELT, SECONDS
from trueup.monitor.memory import DAY, memory
from trueup.stats import MeanDetector, upper_limit

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

Season = Literal["week", "day"]
PHASES = 24  # the most that a season has
SURE = 0.05  # the limits of all phases together are too low with this probability at most


def cycle_drift(
    values: ArrayLike, known: Sequence[datetime], *, first: int, season: Season | None = "week", tolerance: float = 0.0,
    false_alarms_per_year: float = 1.0, columns: int = 1, recent: int = 200, name: str = "mean",
) -> Found:
    """Whether the mean of values in [0, 1], 1 being best, has sunk below that of the `first` values.

    Each value is compared with the reference of its own phase: the day of the week for "week", the hour
    of the day for "day" (UTC), all of them for None. Null: at every moment the mean given the past is at
    least the lower limit of its phase in the reference (95 % for all phases together), less `tolerance`.
    Guarantee: **E[false alarms in T years] <= rate * T** while that holds, however often one looks. A
    week that differs from the reference's by more than the tolerance is a change to it; values whose
    phase the reference has not seen are left out. Where neighbouring values depend on each other no
    rate is stated. `effect` is by how much the last `recent` values lie below their phases' means.

    Source: Shin, Ramdas and Rinaldo (2024); `MeanDetector` on ``(loss - base_phase + max base) / scale``.
    """
    loss = 1.0 - np.asarray(values, dtype=np.float64)
    if not 20 <= first < loss.size:
        raise ArgumentError(f"expected at least 20 values of the reference and some after it, got {first} and {loss.size - first}")
    micro = np.array(all_us(known), dtype=np.int64)
    phase = _phases(micro, season)
    means, bases = _reference(loss[:first], phase[:first])
    rest, at = loss[first:], phase[first:]
    seen = np.isin(at, list(means))
    base, mean = (np.array([table.get(one, np.nan) for one in range(PHASES)])[at] for table in (bases, means))
    highest, lowest = max(bases.values()), min(bases.values())
    scale = 1.0 + highest - lowest
    room = 1.0 - 1e-9 - tolerance / scale
    detector = MeanDetector(min(highest / scale, room), tolerance / scale, false_alarms_per_year, columns)
    years = np.diff(micro[first - 1 :]).clip(min=0) / 1e6 / SECONDS
    years = np.diff(np.cumsum(years)[seen], prepend=0.0)
    detector.run(np.clip((rest - base + highest)[seen] / scale, 0.0, 1.0), years)
    residual = (rest - mean)[seen]
    correlation, p = memory(residual)
    rated = not (p < DEPENDENT and correlation > FELT)
    last = residual[-recent:]
    fallen = float(last.mean()) if last.size else 0.0
    spread = float(loss[:first].std())
    return Found(
        name, "cycle", bool(detector.alarm), rated, float(detector.statistic), float(detector.threshold), fallen, "loss",
        -fallen / spread if spread > 0.0 else 0.0, int(seen.sum()), int(seen.sum()), 1, correlation, columns, None,
        "" if rated else f"neighbouring values depend on each other (correlation {correlation:.2f})",
    )  # fmt: skip


def _phases(at: NDArray[np.int64], season: Season | None) -> NDArray[np.int64]:
    if season is None:
        return np.zeros_like(at)
    found: NDArray[np.int64] = (at // DAY) % 7 if season == "week" else (at // (DAY // 24)) % 24
    return found


def _reference(loss: Floats, phase: NDArray[np.int64]) -> tuple[dict[int, float], dict[int, float]]:
    """Each phase's mean loss, and the upper limit of it."""
    kinds = np.unique(phase).tolist()
    means, bases = {}, {}
    for one in kinds:
        part = loss[phase == one]
        means[one] = float(part.mean())
        bases[one] = upper_limit(float(part.sum()), part.size, 1.0 - SURE / len(kinds))
    return means, bases
