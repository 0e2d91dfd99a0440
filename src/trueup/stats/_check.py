# SPDX-License-Identifier: Apache-2.0
"""Checks of arguments, shared by the room: what was expected, what came, what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trueup.core.errors import ArgumentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def inside(name: str, value: float, low: float, high: float, cure: str) -> float:
    """Return `value` as a float if it lies strictly between `low` and `high`."""
    if isinstance(value, bool) or not low < value < high:
        raise ArgumentError(f"expected {name} in ({low:g}, {high:g}), got {value!r}; {cure}")
    return float(value)


def within(name: str, value: float, low: float, high: float, cure: str) -> float:
    """Return `value` as a float if it lies between `low` and `high`, ends included."""
    if not low <= value <= high:
        raise ArgumentError(f"expected {name} in [{low:g}, {high:g}], got {value!r}; {cure}")
    return float(value)


def level(name: str, value: float) -> float:
    """Return a probability strictly between 0 and 1: the level of a test."""
    return inside(name, value, 0.0, 1.0, "give a probability such as 0.05")


def margin(value: float) -> float:
    """Return a margin in [0, 1), in units of the outcome."""
    if not 0.0 <= value < 1.0:
        raise ArgumentError(
            f"expected margin in [0, 1), got {value!r}; "
            "give the loss that you would accept, in units of an outcome scaled to [0, 1]"
        )
    return float(value)


def count(name: str, value: int, least: int = 1) -> int:
    """Return an integer of at least `least`."""
    if isinstance(value, bool) or int(value) != value or value < least:
        raise ArgumentError(
            f"expected {name} to be an integer of at least {least}, got {value!r}; "
            "give a whole number"
        )
    return int(value)


def outcome(name: str, value: float) -> float:
    """Return an outcome in [0, 1]; NaN and infinities are refused."""
    if not 0.0 <= value <= 1.0:
        raise ArgumentError(
            f"expected {name} in [0, 1], got {value!r}; scale the metric to its declared bounds "
            "before it is scored, and treat a value outside them as an invalid experiment"
        )
    return float(value)


def propensity(value: float) -> float:
    """Return a logged propensity strictly between 0 and 1."""
    return inside("pi", value, 0.0, 1.0, "log the probability with which the unit's arm was drawn")


def propensities(low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """Return a declared range of propensities, or (None, None) where none is declared."""
    if (low is None) != (high is None):
        raise ArgumentError(
            f"expected both pi_min and pi_max or neither, got {low!r} and {high!r}; "
            "declare the floor and the ceiling of the propensities"
        )
    if low is None or high is None:
        return None, None
    if propensity(low) > propensity(high):
        raise ArgumentError(f"expected pi_min of at most pi_max, got {low!r} and {high!r}; declare the floor first")
    return float(low), float(high)


def arm(value: int) -> int:
    """Return an arm: 1 is the challenger, 0 the champion."""
    if value not in (0, 1):
        raise ArgumentError(
            f"expected arm 0 (champion) or 1 (challenger), got {value!r}; "
            "map the names of the arms to 0 and 1"
        )
    return int(value)


def finite(name: str, value: float) -> float:
    """Return a finite float."""
    if not math.isfinite(value):
        raise ArgumentError(f"expected {name} to be finite, got {value!r}; leave the unit out")
    return float(value)


def kind(state: Mapping[str, Any], expected: str) -> None:
    """Refuse a state that was written by another class."""
    if state.get("kind") != expected:
        raise ArgumentError(
            f"expected the state of a {expected}, got {state.get('kind')!r}; "
            f"pass the dict that {expected}.state() returned"
        )


def numbers(what: str, given: ArrayLike, cure: str) -> NDArray[np.float64]:
    """Return a sequence of finite numbers as an array of one dimension."""
    import numpy as np

    try:
        found = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.full(1, math.nan)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ArgumentError(f"expected a sequence of finite {what}, got {given!r:.200}; {cure}")
    return found
