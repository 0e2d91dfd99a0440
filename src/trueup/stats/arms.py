# SPDX-License-Identifier: Apache-2.0
"""Experiments with several challengers: one arm against the champion at a time."""

from __future__ import annotations

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats.ab import ABTest


class ArmTest(ABTest):
    """Test that one arm of several is worse than the champion by the margin.

    Null: ``E[Y(j) - Y(0) | past] <= -margin`` at every unit.

    Guarantee: ``P(wealth >= 1/alpha at any time) <= alpha`` for this arm; divide alpha among
    the arms (or use `e_bh`) when any of them may be promoted.

    Conditions: those of `ABTest`, with the propensities of this arm and of the champion logged
    for every unit. A unit of another arm scores the margin, never "not the challenger".

    Parameters: those of `ABTest`; `pi_min` is the floor of the arm, ``1 - pi_max`` the floor of
    the champion.

    >>> import numpy as np
    >>> rng = np.random.default_rng(2)
    >>> test = ArmTest(alpha=0.05, horizon=3000, margin=0.0)
    >>> for _ in range(3000):
    ...     drawn = int(rng.integers(3))  # 0 is the champion, 2 the arm under test
    ...     y = float(rng.random() < (0.5, 0.2, 0.6)[drawn])
    ...     test.update_of(2, drawn, y, pi_arm=1 / 3, pi_champion=1 / 3)
    >>> test.promotes
    True

    Source: `ABTest`, on ``1[j](Y-m)/pi_j - 1[0](Y-m)/pi_0 + margin``.
    """

    KIND = "ArmTest"
    __slots__ = ()

    def update_of(
        self,
        arm: int,
        drawn: int,
        y: float,
        *,
        pi_arm: float,
        pi_champion: float,
        baseline: float | None = None,
        may_end: bool = True,
    ) -> None:
        """Take one unit of any arm: `drawn` is its arm, `arm` (above 0) the one under test."""
        arm, drawn = _check.count("arm", arm), _check.count("drawn", drawn, 0)
        pi_arm, pi_champion = _check.propensity(pi_arm), _check.propensity(pi_champion)
        if pi_arm + pi_champion > 1.0 + 1e-9:
            raise ArgumentError(
                f"expected propensities that sum to at most 1, got {pi_arm!r} + {pi_champion!r}; "
                "log the probability of each arm"
            )
        which = 1 if drawn == arm else 0 if drawn == 0 else None
        self._step(which, y, pi_arm, pi_champion, baseline=baseline, freeze=may_end)
