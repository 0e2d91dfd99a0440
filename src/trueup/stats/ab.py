# SPDX-License-Identifier: Apache-2.0
"""A/B and canary promotion: units drawn to an arm with a logged propensity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from trueup.stats import _check
from trueup.stats._twoarm import TwoArm


class ABTest(TwoArm):
    """Test that the challenger of an A/B, a canary or a bandit is worse by the margin.

    Null: ``E[Y(1) - Y(0) | past] <= -margin`` at every unit.

    Guarantee: ``P(wealth >= 1/alpha at any time) <= alpha``; the price of promoting on the
    current wealth, instead of its maximum, is only power.

    Conditions: each unit is scored once, in the order of exposure, after the same window in
    both arms; its arm was drawn with the logged `pi`, from information at its exposure; `pi`
    may follow from earlier units, and if it follows from the unit's covariates too (or a
    `baseline` m(x) is used), `pi_min` and `pi_max` were declared before the first look.

    The wealth is ``(1 - w) M + w mean G``: M, the horizon bet, is frozen when it crosses alone
    and at the horizon; the six mixture bets run on. Promote while `promotes` is true, after the
    minimum duration of the stage; until then pass ``may_end=False``, so that M is not frozen on
    an early success.

    Parameters:
        alpha: level, in (0, 1).
        horizon: units of both arms that the stage means to score.
        margin: loss that would be accepted, in units of the outcome, in [0, 1).
        w: share of the wealth on the mixture, in [0, 1].
        pi_min, pi_max: declared range of the propensities, when they follow from covariates.
        start: evidence carried from the step before, as `carried` gives it (1: none).

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> test = ABTest(alpha=0.05, horizon=2000, margin=0.0)
    >>> for _ in range(2000):
    ...     arm = int(rng.random() < 0.5)
    ...     test.update(arm, float(rng.random() < (0.6 if arm else 0.5)), pi=0.5)
    >>> test.promotes
    True

    Source: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, JRSS B (2024, arXiv
    2210.10768); Turner, Ly and Gruenwald (2024); Koning and van Meer, arXiv 2501.03982 (2025).
    """

    KIND = "ABTest"
    GRID = (0.08, 0.15, 0.25, 0.4, 0.65, 1.0)

    __slots__ = ("margin",)

    def __init__(
        self,
        alpha: float,
        horizon: int,
        margin: float,
        w: float = 0.3,
        *,
        pi_min: float | None = None,
        pi_max: float | None = None,
        start: float = 1.0,
    ) -> None:
        self.margin = _check.margin(margin)
        level = _check.level("alpha", alpha)
        super().__init__(
            level, horizon, offset=self.margin, w=w, pi_min=pi_min, pi_max=pi_max, start=start
        )

    @property
    def alpha(self) -> float:
        """The level."""
        return self.level

    def update(
        self,
        arm: int,
        y: float,
        pi: float,
        *,
        baseline: float | None = None,
        may_end: bool = True,
    ) -> None:
        """Take one unit: its arm (1 is the challenger), its outcome in [0, 1], its logged pi."""
        arm, pi = _check.arm(arm), _check.propensity(pi)
        self._step(arm, y, pi, 1.0 - pi, baseline=baseline, freeze=may_end)

    @property
    def promotes(self) -> bool:
        """Whether the current wealth is at least ``1/alpha``."""
        return self.wealth * self.level >= 1.0

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {**self._inner_state(), "alpha": self.level, "margin": self.margin}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a test from `state()`; it goes on with the same bits."""
        _check.kind(state, cls.KIND)
        test = cls(
            state["alpha"],
            state["horizon"],
            state["margin"],
            state["w"],
            pi_min=state["pi_min"],
            pi_max=state["pi_max"],
            start=state["start"],
        )
        return test._restore(state)


def carried(wealth: float) -> float:
    """Evidence that the next canary step starts with: ``(1 + wealth) / 2``.

    Null: that of the step before, unchanged (unit, metric, window, margin, population and
    champion must be the same; otherwise start with 1).

    Guarantee: the result is an e-value if `wealth` is one, and at least 1/2, so that a poor
    start costs at most a factor of two.

    >>> carried(5.0), carried(0.0)
    (3.0, 0.5)

    Source: the mean of two e-values is an e-value.
    """
    return (1.0 + _check.within("wealth", wealth, 0.0, float("inf"), "give an e-value")) / 2.0
