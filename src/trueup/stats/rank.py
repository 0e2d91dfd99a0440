# SPDX-License-Identifier: Apache-2.0
"""Any batch score with a stated rate of false alarms: ranks among the scores of the past."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats.detect import Alarm, Alarming

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

POWERS = np.array([0.05, 0.1, 0.2, 0.4, 0.7])
LEAST_CHECKED = 20  # batches below which the order of the scores cannot be checked


def lag_correlation(scores: ArrayLike) -> float:
    """Rank correlation of each score with the next one; 0 for fewer than three.

    Null: the scores are exchangeable. Guarantee: then it is about normal with mean ``-1/n`` and
    standard deviation ``1/sqrt(n)``.

    >>> lag_correlation([1.0, 2.0, 3.0, 4.0, 5.0])
    1.0

    Source: Wald and Wolfowitz (1943), on ranks.
    """
    x = np.asarray(scores, dtype=np.float64)
    if x.size < 3:
        return 0.0
    ranks = np.searchsorted(np.sort(x), x, side="left") + np.searchsorted(
        np.sort(x), x, side="right"
    )
    a, b = ranks[:-1] - ranks[:-1].mean(), ranks[1:] - ranks[1:].mean()
    spread = math.sqrt(float(a @ a) * float(b @ b))
    return round(float(a @ b) / spread, 12) if spread > 0.0 else 0.0


class BatchDetector(Alarming):
    """Alarm when the scores of batches (shift norm, PSI, MMD, classifier AUC) become larger.

    Null: the batches are exchangeable, calibration and new ones together.

    Guarantee: **E[false alarms in T years] <= false_alarms_per_year * T**.

    Conditions: clustering inside a batch is harmless, dependence between batches is not:
    `rated` is false, and no rate may be printed, when neighbouring calibration scores are
    correlated (or there are fewer than 20); then widen the batches or thin them. Calibration
    batches are disjoint from the reference they are compared with and of the size in use; a new
    size opens a new detector.

    ``p = (#{past > S} + U (1 + ties)) / (1 + #past)``, e-values ``k p^(k-1)``. Every score
    joins the past.

    Parameters:
        calibration: scores of batches from before the monitoring, in the order of time.
        false_alarms_per_year: for all `columns` together, above 0.
        columns: detectors that share the rate.

    >>> rng = np.random.default_rng(1)
    >>> detector = BatchDetector(rng.normal(size=200), false_alarms_per_year=0.5)
    >>> for day in range(30):
    ...     detector.update(rng.normal(3.0), years=1 / 365, rng=rng)
    >>> detector.rated, detector.alarm
    (True, True)

    Source: Vovk, Nouretdinov and Gammerman (2003); Shin, Ramdas and Rinaldo (2024).
    """

    __slots__ = ("_calibrated", "_past")

    def __init__(
        self, calibration: Sequence[float], false_alarms_per_year: float, columns: int = 1
    ) -> None:
        self._past = [_check.finite("a calibration score", float(s)) for s in calibration]
        self._calibrated = len(self._past)
        self._alarm = Alarm(false_alarms_per_year, POWERS.size, columns)

    def update(self, score: float, years: float, rng: np.random.Generator) -> None:
        """Take the score of the next batch; `rng` breaks ties."""
        score = _check.finite("score", float(score))
        past = np.asarray(self._past)
        above, ties = int((past > score).sum()), int((past == score).sum())
        u = 1.0 - float(rng.random())  # in (0, 1], so that p > 0
        p = (above + u * (1 + ties)) / (1 + past.size)
        self._alarm.step(POWERS * p ** (POWERS - 1.0), years)
        self._past.append(score)

    @property
    def correlation(self) -> float:
        """Lag-1 rank correlation of the calibration scores."""
        return lag_correlation(self._past[: self._calibrated])

    @property
    def rated(self) -> bool:
        """Whether the rate may be stated: enough calibration batches, and no sign of memory."""
        n = self._calibrated
        return n >= LEAST_CHECKED and abs(self.correlation + 1.0 / n) <= 2.0 / math.sqrt(n)

    def accept(self, calibration: Sequence[float]) -> None:
        """Start afresh with the calibration scores of a new reference."""
        if not len(calibration):
            raise ArgumentError(
                f"expected calibration scores of the new reference, got {calibration!r}; "
                "score batches that are disjoint from it"
            )
        self._past = [_check.finite("a calibration score", float(s)) for s in calibration]
        self._calibrated = len(self._past)
        self._alarm.accept()

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values (one number for each batch)."""
        return {
            "kind": "BatchDetector",
            "past": list(self._past),
            "calibrated": self._calibrated,
            "alarm": self._alarm.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a detector from `state()`; it goes on with the same bits."""
        _check.kind(state, "BatchDetector")
        inner = state["alarm"]
        detector = cls(state["past"], inner["false_alarms_per_year"], inner["columns"])
        detector._calibrated = state["calibrated"]
        detector._alarm = Alarm.from_state(inner)
        return detector
