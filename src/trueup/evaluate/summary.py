# SPDX-License-Identifier: Apache-2.0
"""Means with intervals, and how many rows could not be measured and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.core.errors import DataError
from trueup.core.protocols import Measured, Unmeasured

Z = 1.959963984540054  # normal, two-sided .05
T19 = 2.093024054408263  # Student, 19 degrees of freedom, two-sided .05
GROUPS = 20
MOST_ROWS = 20_000
UNMEASURED_LIMIT = 0.05


@dataclass(frozen=True, slots=True)
class Summary:
    """A mean with its 95 % interval over a fixed set, and what could not be measured, by reason.

    `mean`, `low` and `high` are None where nothing was measured. The interval is for one look at
    a set that was fixed before: never for a stream that is looked at again and again.
    """

    n: int
    n_measured: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    unmeasured: Mapping[str, int] = field(default_factory=dict)

    @property
    def too_few(self) -> bool:
        """Whether more than 5 % of the rows, or all of them, are unmeasured: gates fail closed."""
        return self.n_measured == 0 or self.n - self.n_measured > UNMEASURED_LIMIT * self.n

    def why_not(self) -> str:
        """The unmeasured rows in words, the commonest reason first; empty where there are none."""
        missing = self.n - self.n_measured
        if not missing:
            return ""
        reasons = sorted(self.unmeasured.items(), key=lambda item: (-item[1], item[0]))
        said = "; ".join(f"{reason} ({count})" for reason, count in reasons[:3])
        return f"{missing} of {self.n} unmeasured: {said}"

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n, "n_measured": self.n_measured, "mean": self.mean, "low": self.low,
            "high": self.high, "unmeasured": dict(self.unmeasured),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Any) -> Summary:
        try:
            return cls(**data)
        except TypeError as error:
            raise DataError(f"expected a summary of scores, got {data!r:.200}: {error}") from None


def reasons(scores: Sequence[Measured]) -> dict[str, int]:
    """The reasons of the unmeasured, counted."""
    return dict(sorted(Counter(s.reason for s in scores if isinstance(s, Unmeasured)).items()))


def summarise(scores: Sequence[Measured]) -> Summary:
    """The mean of scores in [0, 1] with its interval.

    Wilson's interval at the effective size ``n p (1 - p) / s^2``: for scores of 0 and 1 it is
    Wilson's own; for others it uses their smaller variance, with one row of the largest possible
    added so that a set without variance does not claim certainty. (Wilson 1927; Korn and Graubard
    1998 for the effective size.)
    """
    known = np.asarray([s for s in scores if not isinstance(s, Unmeasured)], np.float64)
    n = known.size
    if not n:
        return Summary(len(scores), 0, unmeasured=reasons(scores))
    mean = float(known.mean())
    low, high = wilson(mean, n, float(known.var()))
    return Summary(len(scores), n, mean, low, high, reasons(scores))


def wilson(mean: float, n: int, variance: float) -> tuple[float, float]:
    """A 95 % interval for a mean in [0, 1] from its variance, at most mean (1 - mean)."""
    largest = mean * (1.0 - mean)
    size = float(n)
    if largest > 0.0:
        size = n / max(min((n * variance + largest) / ((n + 1) * largest), 1.0), 1e-9)
    z2 = Z * Z / size
    middle = (mean + z2 / 2.0) / (1.0 + z2)
    half = Z * math.sqrt(largest / size + z2 / (4.0 * size)) / (1.0 + z2)
    return max(0.0, min(middle - half, mean)), min(1.0, max(middle + half, mean))


def difference(new: NDArray[np.float64], champ: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of the paired differences with a 95 % interval, within [-1, 1].

    Wald's interval with one pair of difference 1 added to the squares, so that full agreement on
    few items does not claim certainty (after Agresti and Min, 2005). At least one pair.
    """
    gaps = new - champ
    n, mean = gaps.size, float(gaps.mean())
    half = Z * math.sqrt((float(((gaps - mean) ** 2).sum()) + 1.0) / n / n)
    return mean, max(-1.0, mean - half), min(1.0, mean + half)


def jackknife(
    measure: Callable[[NDArray[np.intp]], Measured], n: int, seed: int
) -> tuple[float, float] | None:
    """A 95 % interval of a metric of a whole set, from leaving out each of 20 random groups.

    None where it cannot be had: fewer than 40 rows, a part that cannot be measured, or more than
    20,000 rows, where it would be slow and narrow.
    """
    if not 2 * GROUPS <= n <= MOST_ROWS:
        return None
    order = np.random.default_rng(seed).permutation(n)
    whole = measure(np.arange(n))
    if isinstance(whole, Unmeasured):
        return None
    parts = []
    for group in range(GROUPS):
        part = measure(np.sort(np.delete(order, np.s_[group::GROUPS])))
        if isinstance(part, Unmeasured):
            return None
        parts.append(part)
    spread = float(np.var(parts)) * (GROUPS - 1)
    half = T19 * math.sqrt(spread)
    return whole - half, whole + half
