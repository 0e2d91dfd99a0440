# SPDX-License-Identifier: Apache-2.0
"""One question about two sets of embeddings: do they differ, and by how much?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats.witness import RandomFeatures, median_distance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Shift:
    """The answer of `embedding_shift`: p-value, AUC, and shift in standard deviations.

    Null, guarantee, source: those of `embedding_shift`.

    >>> Shift(p=0.2, auc=0.51, shift=0.03).auc
    0.51
    """

    p: float
    auc: float
    shift: float


def embedding_shift(
    reference: ArrayLike,
    rows: ArrayLike,
    rng: np.random.Generator,
    *,
    features: int = 256,
    ridge: float = 0.1,
) -> Shift:
    """Compare two sets of rows once: for a report, not for an alarm that looks again and again.

    Null: all rows are exchangeable.

    Guarantee: ``P(p <= x) <= x`` for large sets (the rank sum is taken as normal), for one look.

    Conditions: dedup, and cap the rows of one unit, first. Both sets are split by coin; one
    half of each makes the direction in random Fourier features, the other halves are ranked
    along it.

    Parameters:
        reference, rows: shape (n, dimension), at least 8 rows each; rng: of the split and the
            random features; features: at least 1; ridge: above 0.

    >>> rng = np.random.default_rng(1)
    >>> answer = embedding_shift(rng.normal(size=(400, 8)), rng.normal(0.4, size=(400, 8)), rng)
    >>> answer.p < 0.001, answer.auc > 0.6
    (True, True)

    Source: Lopez-Paz and Oquab, ICLR 2017; Mann and Whitney (1947).
    """
    sets = [np.asarray(x, dtype=np.float32) for x in (reference, rows)]
    if any(x.ndim != 2 or len(x) < 8 for x in sets) or sets[0].shape[1] != sets[1].shape[1]:
        raise ArgumentError(
            f"expected two sets of at least 8 rows of one dimension, got shapes {sets[0].shape} "
            f"and {sets[1].shape}; collect more rows"
        )
    if not all(np.isfinite(x).all() for x in sets):
        raise ArgumentError("expected finite rows, got NaN or an infinity among them; leave such rows out")
    sets = [x[rng.permutation(len(x))] for x in sets]
    cut = [len(x) // 2 for x in sets]
    width = median_distance(sets[0][: cut[0]])
    phi = RandomFeatures(width, sets[0].shape[1], features, int(rng.integers(2**31)))
    base, new = (phi(x) for x in sets)
    cov = np.cov(base[: cut[0]], rowvar=False).reshape(features, features)
    lift = max(ridge * float(np.trace(cov)) / features, 1e-12)
    gap = new[: cut[1]].mean(axis=0) - base[: cut[0]].mean(axis=0)
    direction = np.linalg.solve(cov + lift * np.eye(features), gap.astype(np.float64))
    old_scores, new_scores = base[cut[0] :] @ direction, new[cut[1] :] @ direction
    ordered = np.sort(old_scores)
    below = np.searchsorted(ordered, new_scores, side="left")
    ties = np.searchsorted(ordered, new_scores, side="right") - below
    n, m = old_scores.size, new_scores.size
    auc = float((below + 0.5 * ties).mean()) / n
    z = (auc - 0.5) / math.sqrt((n + m + 1) / (12.0 * n * m))
    spread = float(old_scores.std())
    moved = float(new_scores.mean() - old_scores.mean()) / spread if spread > 0.0 else 0.0
    return Shift(1.0 - NormalDist().cdf(z), auc, moved)
