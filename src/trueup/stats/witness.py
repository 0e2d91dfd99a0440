# SPDX-License-Identifier: Apache-2.0
"""Drift of embeddings with a stated rate: a direction learned on one half, ranks on the other."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats.detect import Alarm, Alarming

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Rows = NDArray[np.float32]

BETS = np.array([0.03, 0.06, 0.12, 0.25, 0.5, 0.8])
POOL = 10_000  # rows above which a pinned pool is the better choice


class RandomFeatures:
    """Random Fourier features of the Gaussian kernel: rows to rows whose mean tells all.

    Null: none. Guarantee: inner products are those of the kernel up to ``1/sqrt(features)``.

    Parameters:
        bandwidth: of the kernel, in units of the rows (`median_distance` of a reference).
        dimension: of the rows; features: at least 1; seed: of the random directions.

    >>> features = RandomFeatures(bandwidth=1.0, dimension=2, features=4000)
    >>> a, b = features([[0.0, 0.0], [1.0, 0.0]])
    >>> round(float(a @ b), 1)  # exp(-1/2)
    0.6

    Source: Rahimi and Recht, NeurIPS 2007.
    """

    __slots__ = ("_phase", "_w", "bandwidth", "dimension", "features", "seed")

    def __init__(self, bandwidth: float, dimension: int, features: int = 256, seed: int = 0):
        self.bandwidth = _check.inside("bandwidth", bandwidth, 0.0, math.inf, "above 0")
        self.dimension = _check.count("dimension", dimension)
        self.features = _check.count("features", features)
        self.seed = seed
        rng = np.random.default_rng(seed)
        w = rng.standard_normal((self.dimension, self.features)) / self.bandwidth
        self._w = w.astype(np.float32)
        self._phase = (2.0 * np.pi * rng.random(self.features)).astype(np.float32)

    def __call__(self, rows: ArrayLike) -> Rows:
        """Features of rows, shape (n, features)."""
        x = np.asarray(rows, dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self.dimension or not np.isfinite(x).all():
            raise ArgumentError(
                f"expected finite rows of dimension {self.dimension}, got shape {x.shape}; "
                "embed the batch with the encoder of the reference"
            )
        out: Rows = np.cos(x @ self._w + self._phase)
        out *= np.float32(math.sqrt(2.0 / self.features))
        return out


def median_distance(rows: ArrayLike, most: int = 500) -> float:
    """Median distance between the first `most` rows: the usual bandwidth.

    Null: none. Guarantee: above 0.

    >>> median_distance([[0.0], [1.0], [3.0]])
    2.0

    Source: Gretton et al., JMLR (2012).
    """
    x = np.asarray(rows, dtype=np.float64)[:most]
    square = (x * x).sum(axis=1)
    d2 = square[:, None] + square[None, :] - 2.0 * (x @ x.T)
    upper = d2[np.triu_indices(len(x), 1)]
    return float(np.sqrt(max(float(np.median(upper)), 1e-12))) if upper.size else 1.0


def sequential_ranks(pool: Floats, new: Floats, u: Floats) -> Floats:
    """p of each new score among **all** pool scores and the new ones before it, ties broken by u.

    Null: pool and new scores are exchangeable. Guarantee: the p are then independent and
    uniform on (0, 1); near 1 means a large score.

    >>> sequential_ranks(np.array([1.0, 2.0]), np.array([3.0, 0.0]), np.array([0.5, 0.5])).tolist()
    [0.8333333333333334, 0.125]

    Source: Vovk, Gammerman and Shafer (2005), conformal p-values.
    """
    ordered = np.sort(pool)
    below = np.searchsorted(ordered, new, side="left").astype(np.float64)
    ties = np.searchsorted(ordered, new, side="right") - below
    for start in range(0, new.size, 1024):
        part = new[start : start + 1024]
        earlier = np.arange(new.size)[None, :] < np.arange(start, start + part.size)[:, None]
        below[start : start + part.size] += ((new[None, :] < part[:, None]) & earlier).sum(axis=1)
        ties[start : start + part.size] += ((new[None, :] == part[:, None]) & earlier).sum(axis=1)
    count = pool.size + np.arange(new.size)
    p: Floats = (below + u * (1.0 + ties)) / (1.0 + count)
    return p


def _evalues(p: Floats) -> Floats:
    """One e-value for each bet: the product over the rows of 1 + e (2p - 1)."""
    logs = np.log1p(BETS[:, None] * (2.0 * p[None, :] - 1.0)).sum(axis=1)
    evalues: Floats = np.exp(np.minimum(logs, 690.0))
    return evalues


class WitnessDetector(Alarming):
    """Alarm when rows (embeddings) change in distribution, at any batch size.

    Null: rows are exchangeable, calibration rows and new ones together.

    Guarantee: **E[false alarms in T years] <= false_alarms_per_year * T**.

    Conditions: dedup, and cap the rows of one unit, first; calibration rows are disjoint from
    the training rows, which make the direction and the covariance; batch sizes and restarts do
    not depend on the values of the rows.

    Each batch is split by coin. Half A moves the direction ``Cov^-1 (mean A - mean train)``,
    in random Fourier features; each row of half B is ranked along it among **all** calibration
    rows and all earlier B rows, those of its own batch included, all rescored with the current
    direction. The pool grows with every batch: above 10,000 rows (`full`) go over to
    `PinnedDetector`.

    Parameters:
        train, calibration: reference rows, shape (n, dimension), disjoint.
        false_alarms_per_year: for all `columns` together, above 0.
        columns: detectors that share the rate.
        window: batches whose A halves make the direction.
        features, seed: of the random features; ridge: on the covariance, relative to its mean
            variance.

    >>> rng = np.random.default_rng(1)
    >>> reference = rng.normal(size=(800, 5))
    >>> detector = WitnessDetector(reference[:400], reference[400:], 1.0, features=64)
    >>> for day in range(4):
    ...     detector.update(rng.normal(0.8, size=(100, 5)), years=1 / 365, rng=rng)
    >>> detector.alarm, detector.auc > 0.6
    (True, True)

    Source: Shekhar and Ramdas, arXiv 2309.09111; Vovk et al., arXiv 2102.10439; Shin, Ramdas
    and Rinaldo (2024). Proof: docs/guarantees.md.
    """

    __slots__ = ("_a", "_mean", "_phi", "_pool", "_precision", "auc", "shift", "window")

    def __init__(
        self,
        train: ArrayLike,
        calibration: ArrayLike,
        false_alarms_per_year: float,
        *,
        columns: int = 1,
        window: int = 5,
        features: int = 256,
        ridge: float = 0.1,
        seed: int = 0,
    ) -> None:
        train = np.asarray(train, dtype=np.float32)
        if train.ndim != 2 or len(train) < 2:
            raise ArgumentError(
                f"expected at least two training rows, got shape {train.shape}; pass (n, dimension)"
            )
        self._phi = RandomFeatures(median_distance(train), train.shape[1], features, seed)
        rows: Floats = self._phi(train).astype(np.float64)
        self._mean: Floats = rows.mean(axis=0).astype(np.float64)
        cov = np.cov(rows, rowvar=False).reshape(features, features)
        ridge = _check.inside("ridge", ridge, 0.0, math.inf, "above 0, for few training rows")
        lift = max(ridge * float(np.trace(cov)) / features, 1e-12)
        self._precision: Floats = np.linalg.inv(cov + lift * np.eye(features)).astype(np.float64)
        self._pool = self._phi(calibration)
        self.window = _check.count("window", window)
        self._a: list[Floats] = []
        self._alarm = Alarm(false_alarms_per_year, BETS.size, columns)
        self.auc = 0.5
        self.shift = 0.0

    def update(self, rows: ArrayLike, years: float, rng: np.random.Generator) -> None:
        """Take the next batch of at least two rows; `rng` splits it and breaks ties."""
        phi = self._phi(rows)
        if len(phi) < 2:
            raise ArgumentError(f"expected at least two rows, got {len(phi)!r}; wait for more")
        order = rng.permutation(len(phi))
        half = len(phi) // 2
        a, b = phi[order[:half]], phi[order[half:]]
        self._a = [*self._a, np.append(a.sum(axis=0, dtype=np.float64), half)][-self.window :]
        total = np.sum(self._a, axis=0)
        direction = (self._precision @ (total[:-1] / total[-1] - self._mean)).astype(np.float32)
        old = (self._pool @ direction).astype(np.float64)
        new = (b @ direction).astype(np.float64)
        p = sequential_ranks(old, new, rng.random(new.size))
        self._alarm.step(_evalues(p), years)
        self._pool = np.concatenate([self._pool, b])
        self.auc = float(p.mean())
        spread = float(old.std())
        self.shift = (float(new.mean()) - float(old.mean())) / spread if spread > 0.0 else 0.0

    @property
    def full(self) -> bool:
        """Whether the pool has more than 10,000 rows: time for a pinned pool."""
        return len(self._pool) > POOL

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values; the pool makes it large."""
        return {
            "kind": "WitnessDetector",
            "bandwidth": self._phi.bandwidth,
            "dimension": self._phi.dimension,
            "features": self._phi.features,
            "seed": self._phi.seed,
            "mean": _pack(self._mean),
            "precision": _pack(self._precision),
            "pool": _pack(self._pool),
            "window": self.window,
            "a": [_pack(a) for a in self._a],
            "auc": self.auc,
            "shift": self.shift,
            "alarm": self._alarm.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a detector from `state()`; it goes on with the same bits."""
        _check.kind(state, "WitnessDetector")
        detector = cls.__new__(cls)
        size = state["features"]
        detector._phi = RandomFeatures(state["bandwidth"], state["dimension"], size, state["seed"])
        detector._mean = _unpack(state["mean"], np.float64)
        detector._precision = _unpack(state["precision"], np.float64).reshape(size, size)
        detector._pool = _unpack(state["pool"], np.float32).reshape(-1, size)
        detector.window = state["window"]
        detector._a = [_unpack(a, np.float64) for a in state["a"]]
        detector.auc, detector.shift = state["auc"], state["shift"]
        detector._alarm = Alarm.from_state(state["alarm"])
        return detector


def _pack(x: NDArray[Any]) -> str:
    little = x.astype(x.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(np.ascontiguousarray(little).tobytes()).decode("ascii")


def _unpack(text: str, dtype: Any) -> NDArray[Any]:
    raw = np.frombuffer(base64.b64decode(text), dtype=np.dtype(dtype).newbyteorder("<"))
    return raw.astype(dtype)
