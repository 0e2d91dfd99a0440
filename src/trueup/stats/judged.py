# SPDX-License-Identifier: Apache-2.0
"""A judge whose mistakes are audited: people's labels correct it, whatever its bias."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats.score import OnScores, ScoreTest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Powered:
    """A prediction-powered mean: the answer of `ppi_mean`.

    Null, guarantee, source: those of `ppi_mean`.

    >>> Powered(0.5, 0.1, 0.8, 0.7, 0.3, (0.3, 0.7)).correlation
    0.7
    """

    mean: float
    se: float
    lam: float
    correlation: float
    saved: float
    interval: tuple[float, float]


def ppi_mean(
    labels: ArrayLike, judged: ArrayLike, judged_only: ArrayLike, alpha: float = 0.05
) -> Powered:
    """The mean of people's labels, sharpened by a judge's scores on many more items (PPI++).

    Null: the mean lies outside the interval. Guarantee: ``P(outside) <= alpha`` asymptotically,
    whatever the judge's bias.

    Conditions: the labelled items are a random sample of the items; the judge did not see the
    labels.

    The estimate is ``lam mean(F_N) + mean(Y - lam F_n)``. Its variance is
    ``Var Y / n - (2 lam Cov - lam^2 (1 + n/N) Var F) / n``, least at
    ``lam* = Cov / ((1 + n/N) Var F)``; lam is lam* clipped to [0, 1]. `saved` is the share of
    labels that the judge replaces, 1 - variance / (Var Y / n):

    - 0 < lam* < 1: ``rho^2 N / (n + N)``. It follows the correlation, where plain agreement misleads.
    - lam* <= 0 (a judge no better than chance, rho <= 0): lam = 0 and the judge is not used: 0.
    - lam* >= 1 (scores on a smaller scale than the labels): ``(2 Cov - (1 + n/N) Var F) / Var Y``,
      between 0 and ``rho^2 N / (n + N)``.

    Parameters:
        labels: n labels of people; judged: the judge on the same n items, in the same order.
        judged_only: the judge on N further items.
        alpha: in (0, 1).

    Raises ArgumentError for fewer than two of either, sequences that do not pair, and numbers that
    are not finite.

    >>> rng = np.random.default_rng(1)
    >>> truth = (rng.random(5400) < 0.7).astype(float)
    >>> judge = np.where(rng.random(5400) < 0.9, truth, 1 - truth)
    >>> answer = ppi_mean(truth[:400], judge[:400], judge[400:])
    >>> round(answer.mean, 2), round(answer.correlation, 2), round(answer.saved, 2)
    (0.72, 0.7, 0.46)

    Source: Angelopoulos, Duchi and Zrnic, "PPI++" (arXiv 2311.01453).
    """
    y = _check.numbers("labels", labels, "leave items without a label among those judged only")
    f = _check.numbers("scores of the judge", judged, "leave out items that were not judged")
    far = _check.numbers("scores of the judge", judged_only, "leave out items that were not judged")
    if y.shape != f.shape or min(y.size, far.size) < 2:
        raise ArgumentError(
            f"expected labels and judge on the same items and the judge on others, got shapes "
            f"{y.shape}, {f.shape} and {far.shape}; pass sequences of at least two"
        )
    n, big = y.size, far.size
    variance = float(np.concatenate([f, far]).var(ddof=1))
    covariance = float(np.cov(y, f, ddof=1)[0, 1])
    lam = 0.0
    if variance > 0.0:
        lam = min(max(covariance / ((1.0 + n / big) * variance), 0.0), 1.0)
    mean = lam * float(far.mean()) + float((y - lam * f).mean())
    rest = float((y - lam * f).var(ddof=1))
    se = math.sqrt(lam * lam * float(far.var(ddof=1)) / big + rest / n)
    spread = float(y.std(ddof=1)) * float(f.std(ddof=1))
    rho = covariance / spread if spread > 0.0 else 0.0
    saved = rho * rho * big / (n + big) if 0.0 < lam < 1.0 else 0.0
    if lam == 1.0 and (whole := float(y.var(ddof=1))) > 0.0:
        saved = min(max((2.0 * covariance - (1.0 + n / big) * variance) / whole, 0.0), 1.0)
    half = NormalDist().inv_cdf(1.0 - _check.level("alpha", alpha) / 2.0) * se
    return Powered(mean, se, lam, rho, saved, (mean - half, mean + half))


class AuditedTest(OnScores):
    """Paired test by a judge, with a random share of items audited by people.

    Null: ``E[Y | past] <= -margin``, Y the difference of people's labels, new minus champion.

    Guarantee: ``P(rejected at any time) <= alpha``, **whatever the judge's bias**.

    Conditions: labels and the judge's scores in [0, 1]; whether an item is audited is a coin of
    probability `rho`, drawn before the judge's and the models' answers are used for anything
    else; items come in the order in which they arose, not in which labels came back; whether an
    audit is answered must not depend on the item (otherwise the test is invalid).

    The score is ``lam F + (audited / rho)(Y - lam F) + margin``; lam in [0, 1] is learned from
    earlier audited items, ``E[F Y] / E[F^2]``.

    Parameters:
        alpha: level, in (0, 1); horizon: items that the stage means to judge.
        margin: accepted loss, in [0, 1).
        rho: probability of an audit, in (0, 1].

    >>> rng = np.random.default_rng(1)
    >>> test = AuditedTest(alpha=0.05, horizon=4000, margin=0.05, rho=0.25)
    >>> for _ in range(4000):
    ...     y = float(rng.random() < 0.1) - float(rng.random() < 0.1)
    ...     judge = y if rng.random() < 0.9 else 0.0
    ...     test.update(judge, y if rng.random() < 0.25 else None)
    >>> test.rejected
    True

    Source: Angelopoulos et al. (2023) as a bet: Waudby-Smith and Ramdas (2024); Csillag,
    Struchiner and Goedert, "Prediction-powered e-values" (arXiv 2502.04294).
    """

    __slots__ = ("_ff", "_fy", "margin", "rho")

    def __init__(self, alpha: float, horizon: int, margin: float, rho: float) -> None:
        self.margin = _check.margin(margin)
        if not 0.0 < rho <= 1.0:
            raise ArgumentError(
                f"expected rho in (0, 1], got {rho!r}; give the probability of an audit"
            )
        self.rho = float(rho)
        self._test = ScoreTest(alpha, horizon, self._bound(1.0), spread=0.25 / self.rho)
        self._fy = 0.0
        self._ff = 0.0

    def _bound(self, lam: float) -> float:
        return (1.0 + lam) / self.rho - lam - self.margin

    @property
    def lam(self) -> float:
        """How far the judge is trusted for the next item, in [0, 1]."""
        return min(max(self._fy / self._ff, 0.0), 1.0) if self._ff > 0.0 else 0.0

    def update(self, judged: float, audited: float | None = None) -> None:
        """Take one item: the judge's difference in [-1, 1], and people's if it was audited."""
        judged = _check.within("judged", judged, -1.0, 1.0, "give the difference of two scores")
        lam = self.lam
        score = lam * judged + self.margin
        if audited is not None:
            audited = _check.within("audited", audited, -1.0, 1.0, "give the difference")
            score += (audited - lam * judged) / self.rho
        self._test.update(score, self._bound(lam))
        if audited is not None:
            self._fy += judged * audited
            self._ff += judged * judged

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {
            "kind": "AuditedTest",
            "margin": self.margin,
            "rho": self.rho,
            "fy": self._fy,
            "ff": self._ff,
            "test": self._test.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a test from `state()`; it goes on with the same bits."""
        _check.kind(state, "AuditedTest")
        inner = state["test"]
        test = cls(inner["alpha"], inner["horizon"], state["margin"], state["rho"])
        test._test = ScoreTest.from_state(inner)
        test._fy = state["fy"]
        test._ff = state["ff"]
        return test
