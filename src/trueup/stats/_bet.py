# SPDX-License-Identifier: Apache-2.0
"""The horizon bet: how much to stake on the next unit, given what is left of the horizon."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAMMA = 0.5
CAP = 0.5
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
_inv_cdf = NormalDist().inv_cdf


def fraction(y: float, variance: float, left: int, bound: float) -> float:
    """Stake for one unit: the delta hedge of the fixed-horizon test, capped at CAP / bound.

    `y` is the part of the target that the wealth has reached, `variance` a predictable
    estimate of E[S^2], `left` the units still to come (this one included) and `bound` the
    largest possible loss `-S`.
    """
    y = min(max(y, 1e-12), 1.0 - 1e-9)
    z = _inv_cdf(y)
    stake = math.exp(-0.5 * z * z) / (_ROOT_TWO_PI * y * math.sqrt(variance * left))
    return min(stake, CAP / bound)


def fractions(
    y: NDArray[np.float64],
    variance: NDArray[np.float64],
    left: int,
    bound: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """`fraction` for many streams at once (equal to it up to rounding)."""
    from scipy.special import ndtri  # takes 0.2 s to import, so only where streams are simulated

    y = np.clip(y, 1e-12, 1.0 - 1e-9)
    z: Any = ndtri(y)
    stake = np.exp(-0.5 * z * z) / (_ROOT_TWO_PI * y * np.sqrt(variance * left))
    staked: NDArray[np.float64] = np.minimum(stake, CAP / np.asarray(bound))
    return staked
