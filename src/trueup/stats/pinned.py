# SPDX-License-Identifier: Apache-2.0
"""Drift against a pinned pool: bounded memory, no slow absorption, a stated blind zone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats.detect import Alarm, Alarming
from trueup.stats.witness import BETS, _evalues

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class PinnedDetector(Alarming):
    """Alarm when the scores of rows become larger than those of a fixed pool.

    Null: rows are independent draws of one distribution, pool and new rows alike.

    Guarantee: with probability 1 - delta over the draw of the pool,
    **E[false alarms in T years] <= false_alarms_per_year * T**.

    Conditions: the score of a row is **one** fixed function of it (a pinned direction, a frozen
    classifier), made from rows that are not in the pool. Ranks are lowered by the margin
    ``sqrt(ln(1/delta) / (2N)) + 1/(N+1)``, so shifts below it are not seen: `blind` says how
    large, in standard deviations of a normal score (about .04 at N = 10,000).

    Parameters:
        pool: scores of N calibration rows, at least 200.
        false_alarms_per_year: for all `columns` together, above 0.
        delta: in (0, 1).
        columns: detectors that share the rate.

    >>> rng = np.random.default_rng(1)
    >>> detector = PinnedDetector(rng.normal(size=10_000), false_alarms_per_year=1.0)
    >>> for day in range(5):
    ...     detector.update(rng.normal(0.3, size=250), years=1 / 365, rng=rng)
    >>> detector.alarm, round(detector.blind, 3)
    (True, 0.044)

    Source: Dvoretzky, Kiefer, Wolfowitz and Massart (1990); Shin, Ramdas and Rinaldo (2024).
    """

    __slots__ = ("_pool", "delta", "shrink")

    def __init__(
        self,
        pool: ArrayLike,
        false_alarms_per_year: float,
        delta: float = 0.05,
        columns: int = 1,
    ) -> None:
        self._pool = np.sort(np.asarray(pool, dtype=np.float64))
        n = self._pool.size
        if self._pool.ndim != 1 or n < 200 or not np.isfinite(self._pool).all():
            raise ArgumentError(
                f"expected at least 200 finite scores, got {n!r}; a small pool has a wide blind "
                "zone: 10,000 rows are a good number"
            )
        self.delta = _check.level("delta", delta)
        self.shrink = math.sqrt(math.log(1.0 / self.delta) / (2 * n)) + 1.0 / (n + 1)
        if float(BETS[-1]) * (1.0 + 2.0 * self.shrink) >= 1.0:
            raise ArgumentError(f"expected a larger delta, got {delta!r}; or bring more rows")
        self._alarm = Alarm(false_alarms_per_year, BETS.size, columns)

    @property
    def blind(self) -> float:
        """Shift of a normal score, in standard deviations, that is never seen."""
        return self.shrink * 2.0 * math.sqrt(math.pi)

    def update(self, scores: ArrayLike, years: float, rng: np.random.Generator) -> None:
        """Take the scores of the next batch of rows; `rng` breaks ties."""
        new = np.asarray(scores, dtype=np.float64)
        if new.ndim != 1 or not np.isfinite(new).all():
            raise ArgumentError(f"expected finite scores, got {scores!r}; one for each row")
        below = np.searchsorted(self._pool, new, side="left")
        ties = np.searchsorted(self._pool, new, side="right") - below
        p = (below + rng.random(new.size) * (1.0 + ties)) / (self._pool.size + 1.0)
        self._alarm.step(_evalues(p - self.shrink), years)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values (one number for each pool row)."""
        return {
            "kind": "PinnedDetector",
            "pool": self._pool.tolist(),
            "delta": self.delta,
            "alarm": self._alarm.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a detector from `state()`; it goes on with the same bits."""
        _check.kind(state, "PinnedDetector")
        inner = state["alarm"]
        detector = cls(
            state["pool"], inner["false_alarms_per_year"], state["delta"], inner["columns"]
        )
        detector._alarm = Alarm.from_state(inner)
        return detector
