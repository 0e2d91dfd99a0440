# SPDX-License-Identifier: Apache-2.0
"""The primitive: an anytime-valid test on a stream of bounded scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats._bet import GAMMA, fraction


class ScoreTest:
    """Test, with as many looks as you like, that a stream of bounded scores has no positive mean.

    Null: ``E[S_t | past] <= 0`` at every t (for a promotion: "worse at every moment").

    Guarantee: ``P(rejected at any time) <= alpha``, whatever the horizon, for finite samples,
    whatever the dependence that the null allows.

    Conditions: ``S_t >= -bound``, the bound declared before the unit's covariates, arm and
    outcome are seen; scores come in an order fixed without looking at them.

    The wealth ``prod(1 + c_t S_t)`` uses the horizon bet: ``c_t`` hedges the test that would
    have been made once, after `horizon` units. The horizon decides the power and nothing else.
    The wealth is frozen when it reaches ``1/alpha`` and at the horizon; scores that come later
    change nothing.

    Parameters:
        alpha: level, in (0, 1).
        horizon: units that the stage means to score, at least 1.
        bound: the largest possible loss, ``S >= -bound``, above 0.
        spread: a first guess of ``E[S^2]``, worth one observation; by default ``bound ** 2``.
        start: wealth carried from an earlier stage, an e-value (1 when nothing is carried).

    >>> test = ScoreTest(alpha=0.05, horizon=40, bound=1.0)
    >>> while not test.finished:
    ...     test.update(1.0)
    >>> test.rejected, test.crossed_at
    (True, 13)

    Source: Ville (1939); Waudby-Smith and Ramdas, JRSS B 86 (2024); Koning and van Meer,
    arXiv 2501.03982 (2025).
    """

    __slots__ = ("_q", "alpha", "bound", "crossed_at", "horizon", "n", "spread", "start", "wealth")

    def __init__(
        self,
        alpha: float,
        horizon: int,
        bound: float,
        spread: float | None = None,
        start: float = 1.0,
    ) -> None:
        self.alpha = _check.level("alpha", alpha)
        self.horizon = _check.count("horizon", horizon)
        self.bound = _check.inside("bound", bound, 0.0, float("inf"), "give the largest loss")
        self.spread = _check.inside(
            "spread",
            self.bound**2 if spread is None else spread,
            0.0,
            float("inf"),
            "give a guess of the mean squared score",
        )
        self.start = _check.within("start", start, 0.0, 1e12, "give an e-value")
        self.n = 0
        self.wealth = self.start
        self.crossed_at: int | None = None
        self._q = 0.0

    def update(self, score: float, bound: float | None = None) -> None:
        """Take the score of the next unit; `bound`, if given, holds for this unit alone.

        A bound of its own must follow from earlier units only, like the stake.
        """
        bound = self.bound if bound is None else bound
        if not score >= -bound * (1.0 + 1e-12) or score == float("inf"):
            raise ArgumentError(
                f"expected a finite score of at least {-bound:g}, got {score!r}; "
                "declare the bound before the first look, or treat the experiment as invalid"
            )
        if self.finished:
            return
        variance = max((self.spread + self._q) / (1 + self.n), 1e-12)
        stake = fraction(self.alpha * GAMMA * self.wealth, variance, self.horizon - self.n, bound)
        self.wealth *= 1.0 + stake * score
        self._q += score * score
        self.n += 1
        if self.alpha * self.wealth >= 1.0:
            self.crossed_at = self.n

    def run(self, scores: Iterable[float]) -> Self:
        """Take a whole sequence; the same bits as one update after the other."""
        for score in scores:
            self.update(score)
        return self

    @property
    def rejected(self) -> bool:
        """Whether the null is rejected at alpha."""
        return self.crossed_at is not None

    @property
    def finished(self) -> bool:
        """Whether the stage has ended: rejected, or the horizon reached."""
        return self.crossed_at is not None or self.n >= self.horizon

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {
            "kind": "ScoreTest",
            "alpha": self.alpha,
            "horizon": self.horizon,
            "bound": self.bound,
            "spread": self.spread,
            "start": self.start,
            "n": self.n,
            "wealth": self.wealth,
            "crossed_at": self.crossed_at,
            "q": self._q,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a test from `state()`; it goes on with the same bits."""
        _check.kind(state, "ScoreTest")
        test = cls(
            state["alpha"], state["horizon"], state["bound"], state["spread"], state["start"]
        )
        test.n = state["n"]
        test.wealth = state["wealth"]
        test.crossed_at = state["crossed_at"]
        test._q = state["q"]
        return test


class OnScores:
    """What every test that bets by a `ScoreTest` says of it.

    Null, guarantee, source: those of the test.
    """

    __slots__ = ("_test",)
    _test: ScoreTest

    @property
    def alpha(self) -> float:
        """The level."""
        return self._test.alpha

    @property
    def horizon(self) -> int:
        """Scores that the stage means to take."""
        return self._test.horizon

    @property
    def n(self) -> int:
        """Scores taken so far (those after the end are not counted)."""
        return self._test.n

    @property
    def wealth(self) -> float:
        """The evidence: an e-process, rejected at ``1/alpha``."""
        return self._test.wealth

    @property
    def rejected(self) -> bool:
        """Whether the null is rejected at alpha."""
        return self._test.rejected

    @property
    def crossed_at(self) -> int | None:
        """The number of scores at which the wealth crossed, or None."""
        return self._test.crossed_at

    @property
    def finished(self) -> bool:
        """Whether the stage has ended: rejected, or the horizon reached."""
        return self._test.finished
