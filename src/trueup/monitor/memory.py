# SPDX-License-Identifier: Apache-2.0
"""Do neighbours resemble each other? Then rows are not exchangeable, and no rate may be printed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trueup.stats import lag_correlation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LEVEL, LEVEL_WIDE = 0.01, 0.05  # of the checks of a width together: at first, and once one has failed
LEAST_GROUPS, LEAST_SERIES = 5, 20
COMPONENTS = 4
DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Width:
    """What makes a batch whose neighbours do not resemble each other: whole runs (1), or each "day"
    or "week" of UTC.

    Of a day or week at most `rows` rows are taken (0: all): as many as the check had of each, so
    that it speaks of the batches in use. `p` is the p-value of the last width tried: of the spread
    between its batches, and of the rank correlation `correlation` of neighbours where there are
    20. `rated` False: no width passed, or there are too few batches to look.
    """

    of: int | str
    rated: bool
    p: float
    correlation: float
    rows: int = 0
    note: str = ""


def width_of(matrix: ArrayLike, runs: ArrayLike, known: ArrayLike | None = None, columns: int = 1) -> Width:
    """The least width at which the reference shows no batches that hang together.

    `matrix` (n, d) are reference rows in the order of time, `runs` the run of each, `known` the
    time in microseconds. Rows of one hour, one day or one session look alike: their batch means
    spread more than chance allows (F test on up to four principal components), or follow each
    other (lag-1 rank correlation). Cycles of a day or a week are gone in whole days or weeks, and
    in nothing between. The level of the first check is split over `columns`.
    """
    scores = _components(np.asarray(matrix, dtype=np.float64))
    p, correlation, groups = _check(scores, np.asarray(runs, dtype=np.int64))
    if not groups:
        return Width(1, False, 0.0, 0.0, 0, "too few reference rows to see whether neighbours resemble each other")
    if p > LEVEL / columns:
        return Width(1, True, p, correlation)
    if known is not None:
        for name in ("day", "week"):
            at = periods(np.asarray(known, dtype=np.int64), name)
            whole = (at > at.min()) & (at < at.max())
            wide, follows, groups = _check(scores[whole], at[whole])
            if groups and wide > LEVEL_WIDE:
                return Width(name, True, wide, follows, max(2, 2 * int(whole.sum()) // groups))
    words = "rows that came together resemble each other, and no whole days or weeks of the reference are alike"
    return Width(1, False, p, correlation, 0, words)


def periods(known: Ints, name: str) -> Ints:
    """The number of each moment's day or week (from Monday), in UTC."""
    found: Ints = known // DAY if name == "day" else (known - 4 * DAY) // (7 * DAY)
    return found


def memory(values: ArrayLike, block: int = 50) -> tuple[float, float]:
    """Lag-1 correlation of a series within blocks, and its p-value (one-sided, normal).

    The mean of each block is taken away first, so that a slow change of the level is no memory.
    (0, 1) for fewer than two blocks, or where nothing varies.
    """
    x = np.asarray(values, dtype=np.float64)
    blocks = x.size // block
    if blocks < 2:
        return 0.0, 1.0
    parts = x[: blocks * block].reshape(blocks, block)
    parts = parts - parts.mean(axis=1, keepdims=True)
    spread = float((parts * parts).sum())
    if spread <= 0.0:
        return 0.0, 1.0
    raw = float((parts[:, 1:] * parts[:, :-1]).sum()) / spread
    found = raw + 1.0 / block  # centring alone gives about -1/block
    return found, _upper(found * math.sqrt(blocks * block))


def _components(matrix: Floats) -> Floats:
    """Up to four principal components of the rows."""
    centred = matrix - matrix.mean(axis=0)
    if centred.shape[1] <= COMPONENTS:
        return np.asarray(centred, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    found: Floats = centred @ vectors[:, -COMPONENTS:]
    return found


def _check(scores: Floats, groups: Ints) -> tuple[float, float, int]:
    """p-value, largest correlation of neighbours and number of groups."""
    from scipy.special import fdtrc  # takes 0.1 s to import

    _, at, counts = np.unique(groups, return_inverse=True, return_counts=True)
    n, k = len(scores), len(counts)
    if k < LEAST_GROUPS or n <= 2 * k:
        return 0.0, 0.0, 0
    ps, largest = [1.0], 0.0
    for column in scores.T:
        sums = np.bincount(at, weights=column, minlength=k)
        between = float((sums**2 / counts).sum()) - float(column.sum()) ** 2 / n
        within = float((column**2).sum()) - float((sums**2 / counts).sum())
        if within <= 0.0:
            ps.append(1.0 if between <= 1e-12 else 0.0)
            continue
        ps.append(float(fdtrc(k - 1, n - k, (between / (k - 1)) / (within / (n - k)))))
        if k >= LEAST_SERIES:
            correlation = lag_correlation(sums / counts)
            largest = max(largest, correlation, key=abs)
            ps.append(2.0 * _upper(abs(correlation + 1.0 / k) * math.sqrt(k)))
    return min(1.0, min(ps) * (len(ps) - 1)), largest, k


def _upper(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2.0))
