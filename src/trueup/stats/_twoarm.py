# SPDX-License-Identifier: Apache-2.0
"""The two-arm score with logged propensities, on which the A/B, K-arm and harm tests bet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats._bet import GAMMA, fraction

GRID_CAP = 0.9


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), safe for large arguments."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


class TwoArm:
    """Wealth of ``(1 - w) M + w mean_l G_l`` on ``1[1](Y-m)/pi_1 - 1[0](Y-m)/pi_0 + offset``.

    M is the horizon bet, G_l bets on an odds ratio ``exp(l)`` each. Every stake is fixed from
    earlier units, so the null "the mean of the score is at most 0 given the past" is tested at
    its level at all times.
    """

    KIND = "TwoArm"
    GRID: tuple[float, ...] = ()

    __slots__ = (
        "_g",
        "_k",
        "_kk",
        "_m",
        "_offset",
        "_pis",
        "_q",
        "_scored",
        "horizon",
        "level",
        "n",
        "pi_max",
        "pi_min",
        "start",
        "w",
    )

    def __init__(
        self,
        level: float,
        horizon: int,
        *,
        offset: float,
        w: float,
        pi_min: float | None,
        pi_max: float | None,
        start: float,
    ) -> None:
        self.level = level
        self.horizon = _check.count("horizon", horizon)
        self.w = _check.within("w", w, 0.0, 1.0, "give the share of wealth on the mixture")
        self.pi_min, self.pi_max = _check.propensities(pi_min, pi_max)
        self.start = _check.within("start", start, 0.0, 1e12, "give an e-value")
        self._offset = offset
        self.n = 0
        self._m = self.start  # horizon bet
        self._g = [0.0] * len(self.GRID)  # logarithms of the mixture's wealths
        self._k = 0.0  # sum of outcomes
        self._kk = 0.0  # sum of squared outcomes
        self._q = 0.0  # sum of squared scores
        self._pis = 0.0  # sum of the challenger's shares
        self._scored = 0  # units of the two arms

    @property
    def wealth(self) -> float:
        """The current evidence: an e-process."""
        mixture = sum(math.exp(min(g, 690.0)) for g in self._g) / len(self._g)
        return (1.0 - self.w) * self._m + self.w * self.start * mixture

    def _variance_and_bound(self, m: float, pi1: float, pi0: float) -> tuple[float, float, float]:
        """Predictable E[S^2], largest loss, and the share that shapes the grid."""
        if self.pi_min is None or self.pi_max is None:
            variance = ((self._kk + 1.0) / (self._scored + 2) - m * m) * (1.0 / pi1 + 1.0 / pi0)
            return variance, max(m / pi1, (1.0 - m) / pi0) - self._offset, pi1 / (pi1 + pi0)
        bound = max(1.0 / self.pi_min, 1.0 / (1.0 - self.pi_max))
        middle = 0.5 * (self.pi_min + self.pi_max)
        shape = (self._pis + middle) / (self.n + 1)
        variance = (self._q + 0.25 / (middle * (1.0 - middle))) / (self.n + 1)
        return variance, bound - self._offset, shape

    def _baseline(self, baseline: float | None, pooled: float) -> float:
        if baseline is None:
            return pooled
        if self.pi_min is None:
            raise ArgumentError(
                f"expected no baseline without declared propensities, got {baseline!r}; "
                "pass pi_min and pi_max: a stake must not depend on the unit's covariates"
            )
        return _check.outcome("baseline", baseline)

    def _floor(self, pi1: float, pi0: float) -> None:
        if self.pi_min is None or self.pi_max is None:
            return
        if pi1 < self.pi_min * (1 - 1e-12) or pi0 < (1.0 - self.pi_max) * (1 - 1e-9):
            raise ArgumentError(
                f"expected pi in the declared [{self.pi_min:g}, {self.pi_max:g}], got {pi1!r}; "
                "the experiment is invalid, start a new one with the floor that is in use"
            )

    def _step(
        self,
        arm: int | None,
        y: float,
        pi1: float,
        pi0: float,
        *,
        baseline: float | None = None,
        freeze: bool = True,
    ) -> None:
        """Score one unit; `arm` is 1, 0, or None for a unit of some other arm."""
        y = _check.outcome("y", y)
        self._floor(pi1, pi0)
        pooled = (self._k + 1.0) / (self._scored + 2)
        m = self._baseline(baseline, pooled)
        variance, bound, shape = self._variance_and_bound(pooled, pi1, pi0)
        score = self._offset
        if arm is not None:
            score += (y - m) / pi1 if arm else -(y - m) / pi0
        alive = self.n < self.horizon and self.w < 1.0
        if alive and not (freeze and (1.0 - self.w) * self._m * self.level >= 1.0):
            reached = self.level * (1.0 - self.w) * GAMMA * self._m
            stake = fraction(reached, variance, self.horizon - self.n, bound)
            self._m *= 1.0 + stake * score
        logit = math.log(pooled / (1.0 - pooled))
        for i, ell in enumerate(self.GRID):
            gain = (
                logistic(logit + ell * (1.0 - shape)) - logistic(logit - ell * shape) + self._offset
            )
            if gain > 0.0:
                stake = min(gain / (variance + gain * gain), GRID_CAP / bound)
                self._g[i] += math.log1p(stake * score)
        if arm is not None:
            self._k += y
            self._kk += y * y
            self._scored += 1
        self._q += score * score
        self._pis += pi1 / (pi1 + pi0)
        self.n += 1

    def _inner_state(self) -> dict[str, Any]:
        return {
            "kind": self.KIND,
            "horizon": self.horizon,
            "w": self.w,
            "pi_min": self.pi_min,
            "pi_max": self.pi_max,
            "start": self.start,
            "n": self.n,
            "m": self._m,
            "g": list(self._g),
            "k": self._k,
            "kk": self._kk,
            "q": self._q,
            "pis": self._pis,
            "scored": self._scored,
        }

    def _restore(self, state: Mapping[str, Any]) -> Self:
        self.n = state["n"]
        self._m = state["m"]
        self._g = list(state["g"])
        self._k = state["k"]
        self._kk = state["kk"]
        self._q = state["q"]
        self._pis = state["pis"]
        self._scored = state["scored"]
        return self
