# SPDX-License-Identifier: Apache-2.0
"""Heavy tails: an outcome is cut at bounds declared before the first look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trueup.core.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Winsor:
    """Cut an outcome at declared bounds and scale it to [0, 1], as every test here wants it.

    Null: none of its own; the null of the test becomes one about the **winsorised** mean.

    Guarantee: results are in [0, 1] for every finite value.

    Conditions: the bounds are declared before the first look; print the share that was cut.

    Parameters:
        low, high: in units of the outcome, ``low < high``.

    >>> cap = Winsor(low=0.0, high=200.0)
    >>> cap.scale([50.0, 1000.0, -3.0]).tolist(), cap.cut([50.0, 1000.0, -3.0])
    ([0.25, 1.0, 0.0], 0.6666666666666666)
    >>> cap.unscale(0.01)
    2.0

    Source: Dixon (1960); a difference of scaled means is ``1 / (high - low)`` of that in units.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ArgumentError(
                f"expected finite bounds low < high, got {self.low!r} and {self.high!r}; "
                "declare the range of the outcome that matters"
            )

    def _values(self, y: ArrayLike) -> NDArray[np.float64]:
        values = np.asarray(y, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ArgumentError(
                f"expected finite outcomes, got {y!r}; a missing outcome is not a number to cut"
            )
        return values

    def scale(self, y: ArrayLike) -> NDArray[np.float64]:
        """Outcomes in units to outcomes in [0, 1]."""
        scaled = (self._values(y) - self.low) / (self.high - self.low)
        return np.clip(scaled, 0.0, 1.0)

    def unscale(self, difference: float) -> float:
        """A difference of scaled means, back in units of the outcome."""
        return difference * (self.high - self.low)

    def cut(self, y: ArrayLike) -> float:
        """Share of the outcomes that lie outside the bounds."""
        values = self._values(y)
        return float(((values < self.low) | (values > self.high)).mean())
