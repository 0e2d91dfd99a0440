# SPDX-License-Identifier: Apache-2.0
"""How good are answers without labels? An estimate, with the assumption that it stands on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.errors import ArgumentError, DataError
from trueup.core.protocols import Prediction

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

BINS, LEAST = 10, 100
ASSUMPTION = (
    "answers of the same probability are right as often as they were on the labelled rows: what is asked may "
    "change, what is right for an input may not (no concept drift)"
)
BLIND = "the model's probabilities are taken as they are: no labelled rows were given to check them"


@dataclass(frozen=True, slots=True)
class Expected:
    """An estimated share of right answers, its 95 % interval, the assumption, and a warning where
    one is due ("": none). `off` is the calibration error: how far stated probabilities lie from
    the shares that were right, on average (None: not checked)."""

    value: float
    low: float
    high: float
    n: int
    assumption: str
    warning: str = ""
    off: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Expected:
        try:
            return cls(**data)
        except TypeError as error:
            raise DataError(f"expected the keys {[one.name for one in fields(cls)]}: {error}") from None


def expected_score(
    probabilities: ArrayLike, *, labelled: tuple[ArrayLike, ArrayLike] | None = None
) -> Expected:
    """The share of right answers that probabilities promise, without a label (asymptotic interval).

    `probabilities` are those of the given answers, in [0, 1] (`confidences` reads them off
    Predictions). `labelled` = (probabilities, right or not) of rows **that were not trained on**
    corrects them, by the difference of stated and true share in ten bins of equal counts; at least 100 rows. Where stated and true shares
    differ by more than chance (chi-squared over the bins, p < .01) a warning says so; without
    labelled rows the warning is that nothing was checked. Raises ArgumentError outside [0, 1].

    It is an estimate and not a test: concept drift is invisible to it, whatever its size.
    """
    p = _probabilities(probabilities)
    if labelled is None:
        se = math.sqrt(float((p * (1.0 - p)).sum())) / p.size
        mean = float(p.mean())
        return Expected(mean, max(0.0, mean - 1.96 * se), min(1.0, mean + 1.96 * se), p.size, BLIND, BLIND)
    known, right = _probabilities(labelled[0]), np.asarray(labelled[1], dtype=np.float64)
    if known.size < LEAST or right.shape != known.shape or not ((right >= 0) & (right <= 1)).all():
        raise ArgumentError(
            f"expected at least {LEAST} labelled rows with right in [0, 1], got {known.size} and {right.size}"
        )
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins, at = np.searchsorted(edges, known, "right"), np.searchsorted(edges, p, "right")
    count = np.bincount(bins, minlength=edges.size + 1).astype(float)
    stated = np.bincount(bins, known, edges.size + 1) / np.maximum(count, 1)
    true = np.bincount(bins, right, edges.size + 1) / np.maximum(count, 1)
    share = np.bincount(at, minlength=edges.size + 1) / p.size
    mean = float(np.clip(p + (true - stated)[at], 0.0, 1.0).mean())
    smooth = (np.bincount(bins, right, edges.size + 1) + 1.0) / (count + 2.0)
    variance = smooth * (1.0 - smooth)
    se = math.sqrt(float((share**2 * variance / np.maximum(count, 1)).sum()) + float(share @ variance) / p.size)
    filled = count > 0
    off = float((count * np.abs(stated - true)).sum() / known.size)
    chi2 = float(((stated - true)[filled] ** 2 * count[filled] / variance[filled]).sum())
    warning = ""
    if _chi2_tail(chi2, int(filled.sum())) < 0.01:
        warning = f"the model's probabilities are off by {off:.3f} on average; they were recalibrated on {known.size:,} labelled rows"
    outside = float(((p < known.min()) | (p > known.max())).mean())
    if outside > 0.01:
        warning = "; ".join(filter(None, [warning, f"{outside:.0%} of the probabilities lie outside those of the labelled rows"]))
    return Expected(mean, max(0.0, mean - 1.96 * se), min(1.0, mean + 1.96 * se), p.size, ASSUMPTION, warning, off)


def confidences(answers: Sequence[Prediction]) -> Floats:
    """The probability that each model gave to its own answer; raises DataError where there is none."""
    found = np.empty(len(answers))
    for at, answer in enumerate(answers):
        key = answer.value if isinstance(answer.value, str) else None
        if not answer.scores or (key is not None and key not in answer.scores):
            raise DataError(f"expected the probability of the answer in row {at}, got {answer!r:.80}")
        found[at] = answer.scores[key] if key is not None else max(answer.scores.values())
    return found


def _probabilities(values: ArrayLike) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size or not ((found >= 0) & (found <= 1)).all():
        raise ArgumentError(f"expected one probability an answer, in [0, 1], got {values!r:.80}")
    return found


def _chi2_tail(x: float, degrees: int) -> float:
    from scipy.special import chdtrc

    return float(chdtrc(degrees, x))
