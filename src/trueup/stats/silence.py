# SPDX-License-Identifier: Apache-2.0
"""Feedback that stops in one arm: how unlikely is its silence, whatever the season?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check

if TYPE_CHECKING:
    from collections.abc import Sequence

_RATES = np.exp(np.arange(-40, 41) / 10.0)[:, None]
"""Ratios of the arm's rate of feedback to that of the others, from 1/55 to 55."""


def silence(mine: Sequence[bool], shares: Sequence[float]) -> float:
    """The logarithm of the probability of an arm's present run without feedback, while others have some.

    Null: a unit of this arm has feedback r times as often as one of the other arms, with the same r at
    all times. How often anybody has feedback may change with the hour, the week and the season.

    Guarantee: for a run that is looked at once, ``P(silence <= ln a)`` is about a (simulated: at most a).
    For looks at any time, over n units with feedback, it is at most about n a: take a such as 1e-6.

    Only units with feedback are given, in the order of exposure. Such a unit is of this arm with
    probability ``th(r) = share r / (share r + 1 - share)``: the common rate cancels. The ratio r has a
    flat prior on 81 logarithms, weighed by the units up to the arm's last one with feedback; the answer is
    the predictive probability of the run since, ``ln sum_r w_r prod (1 - th(r))``.

    A test of the run's **own** rate, ``(1 - rate)^run``, takes the low season of both arms for a silence of
    one.

    Parameters:
        mine: whether each unit with feedback is of this arm; shares: the logged probability of this arm
            for each of them, in (0, 1).

    Raises ArgumentError for sequences that differ in length, and shares outside (0, 1).

    >>> round(silence([True, False] * 50 + [False] * 20, [0.5] * 120), 1)
    -13.0
    >>> silence([True], [0.5])
    0.0

    Source: Lindon and Malek, NeurIPS 2022 (the arm of the next event); Geisser (1993), predictive
    inference.
    """
    came = _check.numbers("marks", np.asarray(mine, dtype=np.float64), "say of each unit whether it is of the arm") > 0.0
    p = _check.numbers("shares", shares, "log the probability with which the unit's arm was drawn")
    if came.shape != p.shape or not ((p > 0.0) & (p < 1.0)).all():
        raise ArgumentError(
            f"expected a share in (0, 1) for each unit with feedback, got {came.size} units and {shares!r:.120}; "
            "log the probability with which the unit's arm was drawn"
        )
    last = int(np.flatnonzero(came)[-1]) + 1 if came.any() else 0
    if last == came.size:
        return 0.0
    odds = _RATES * (p / (1.0 - p))
    others = -np.log1p(odds)  # ln(1 - th)
    before = np.where(came[:last], np.log(odds[:, :last]) + others[:, :last], others[:, :last]).sum(axis=1)
    after = before + others[:, last:].sum(axis=1)
    top = float(before.max())
    return float(np.log(np.exp(after - top).sum()) - np.log(np.exp(before - top).sum()))
