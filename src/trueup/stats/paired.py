# SPDX-License-Identifier: Apache-2.0
"""Paired shadow: both models answer the same unit, and the difference is scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats.score import OnScores, ScoreTest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SPREAD = 0.25  # first guess of the mean squared score, worth one pair


class PairedTest(OnScores):
    """Test, on units that both models answered, that the challenger is worse by the margin.

    Null: ``E[y_new - y_champ | past] <= -margin`` at every unit.

    Guarantee: ``P(rejected at any time) <= alpha``; rejecting says "not worse by `margin` or
    more at every moment".

    Conditions: outcomes in [0, 1]; labels that do not depend on the answer that was shown, or
    a scorer; a pair without a label is left out (the claim is then about labelled units); a
    challenger that gave no answer scores 0.

    The wealth is frozen when it crosses ``1/alpha`` and at the horizon; units that come later
    change nothing.

    Parameters:
        alpha: level, in (0, 1).
        horizon: pairs that the stage means to score (see `forecast`), at least 1.
        margin: loss that would be accepted, in units of the outcome, in [0, 1).

    >>> import numpy as np
    >>> rng = np.random.default_rng(7)
    >>> champ = rng.random(1000) < 0.80
    >>> new = np.where(rng.random(1000) < 0.05, True, champ)
    >>> test = PairedTest(alpha=0.05, horizon=1000, margin=0.01).run(new, champ)
    >>> test.rejected, test.crossed_at
    (True, 395)

    Source: `ScoreTest` on ``S = y_new - y_champ + margin``.
    """

    __slots__ = ("margin",)

    def __init__(self, alpha: float, horizon: int, margin: float) -> None:
        self.margin = _check.margin(margin)
        self._test = ScoreTest(alpha, horizon, bound=1.0 - self.margin, spread=SPREAD)

    def update(self, y_new: float, y_champ: float) -> None:
        """Take one pair of outcomes, each in [0, 1]."""
        y_new = _check.outcome("y_new", y_new)
        y_champ = _check.outcome("y_champ", y_champ)
        self._test.update(y_new - y_champ + self.margin)

    def run(self, y_new: ArrayLike, y_champ: ArrayLike) -> Self:
        """Take a whole sequence of pairs; the same bits as one update after the other."""
        new = np.asarray(y_new, dtype=np.float64)
        champ = np.asarray(y_champ, dtype=np.float64)
        if new.ndim != 1 or new.shape != champ.shape:
            raise ArgumentError(
                f"expected two sequences of one length, got shapes {new.shape} and "
                f"{champ.shape}; pass one outcome of each model per unit"
            )
        for name, values in (("y_new", new), ("y_champ", champ)):
            bad = ~((values >= 0.0) & (values <= 1.0))
            if bad.any():
                _check.outcome(name, float(values[bad][0]))
        self._test.run((new - champ + self.margin).tolist())
        return self

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {"kind": "PairedTest", "margin": self.margin, "test": self._test.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a test from `state()`; it goes on with the same bits."""
        _check.kind(state, "PairedTest")
        inner = state["test"]
        test = cls(inner["alpha"], inner["horizon"], state["margin"])
        test._test = ScoreTest.from_state(inner)
        return test


def paired(
    y_new: ArrayLike, y_champ: ArrayLike, *, alpha: float, horizon: int, margin: float
) -> PairedTest:
    """Score a whole sequence of pairs and return the test.

    Null: ``E[y_new - y_champ | past] <= -margin`` at every unit.

    Guarantee: ``P(rejected at any time) <= alpha``.

    Conditions and parameters: those of `PairedTest`; the order of the pairs is fixed without
    looking at the outcomes (order of arrival).

    >>> paired([1.0] * 60, [1.0] * 60, alpha=0.05, horizon=60, margin=0.1).rejected
    True

    Source: `PairedTest`.
    """
    return PairedTest(alpha, horizon, margin).run(y_new, y_champ)
