# SPDX-License-Identifier: Apache-2.0
"""Contextual bandits with a linear model for each arm (Sherman-Morrison updates)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats.bandits import Choice, _which, checked_floor, draw, draw_greedy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# Gauss-Hermite quadrature with 10 nodes, for the mean of a function of a normal variable
_HALF_NODES = np.array(
    [
        0.48493570751549764,
        1.4659890943911582,
        2.4843258416389546,
        3.581823483551927,
        4.859462828332312,
    ]
)
_HALF_WEIGHTS = np.array(
    [
        0.34464233493201896,
        0.13548370298026777,
        0.01911158050077027,
        7.580709343122171e-4,
        4.31065e-6,
    ]
)
_NODES = np.concatenate([-_HALF_NODES, _HALF_NODES])
_WEIGHTS = np.concatenate([_HALF_WEIGHTS, _HALF_WEIGHTS])


class _Linear:
    """Ridge regression for each arm, kept as inverse Gram matrix and coefficients."""

    KIND = ""
    __slots__ = ("_inverse", "_theta", "arms", "dimension", "explore", "floor", "ridge")

    def __init__(
        self,
        arms: int,
        dimension: int,
        explore: float,
        floor: float | None = None,
        ridge: float = 1.0,
    ) -> None:
        self.arms = _check.count("arms", arms, 2)
        self.dimension = _check.count("dimension", dimension)
        self.explore = _check.within("explore", explore, 0.0, 1e6, "give at least 0")
        self.floor = checked_floor(floor, self.arms)
        self.ridge = _check.inside("ridge", ridge, 0.0, math.inf, "give a number above 0")
        eye = np.eye(self.dimension) / self.ridge
        self._inverse: Floats = np.repeat(eye[None], self.arms, axis=0)
        self._theta: Floats = np.zeros((self.arms, self.dimension))

    def _rows(self, x: ArrayLike, ndim: int) -> Floats:
        rows = np.asarray(x, dtype=np.float64)
        if rows.ndim != ndim or rows.shape[-1] != self.dimension:
            raise ArgumentError(
                f"expected a context of {self.dimension} numbers, got shape {rows.shape}; "
                "use the features that the bandit was made for"
            )
        self._finite(float(rows.dot(rows)) if ndim == 1 else float(rows.sum()))
        return rows

    def _finite(self, value: float) -> float:
        if not math.isfinite(value):
            raise ArgumentError(f"expected finite contexts, got a sum of {value!r}; fill the gaps")
        return value

    def _one(self, context: ArrayLike) -> tuple[Floats, Floats]:
        """Means and variances of the arms for one context. `dot`, on one matrix for all arms, takes half
        the time of `@` at these sizes."""
        x = self._rows(context, 1)
        spread = self._inverse.reshape(-1, self.dimension).dot(x).reshape(self.arms, -1)
        return self._theta.dot(x), spread.dot(x)

    def _probabilities(self, mean: Floats, variance: Floats) -> Floats:
        raise NotImplementedError

    def decide(self, context: ArrayLike, rng: np.random.Generator) -> Choice:
        """Draw an arm for one context of shape (dimension,)."""
        return draw(self._probabilities(*self._one(context)), self.floor, rng)

    def decide_many(
        self, contexts: ArrayLike, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], Floats]:
        """Draw an arm for each row; returns the arms and all probabilities (rows, arms)."""
        x = self._rows(contexts, 2)
        variance = ((x @ self._inverse) * x).sum(axis=-1).T
        p = self._probabilities(x @ self._theta.T, variance)
        p = self.floor + (1.0 - self.arms * self.floor) * p
        u = rng.random(len(x))
        chosen = (u[:, None] >= np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
        return chosen, p

    def update(self, arm: int, reward: float, context: ArrayLike) -> None:
        """Take the reward of a drawn arm and its context."""
        arm, x = _which(arm, self.arms), self._rows(context, 1)
        inverse = self._inverse[arm]
        gain = inverse.dot(x)
        scale = 1.0 + float(gain.dot(x))
        theta = self._theta[arm]
        theta += gain * ((_check.finite("reward", reward) - float(theta.dot(x))) / scale)
        inverse -= gain[:, None] * (gain / scale)

    def update_many(self, arms: ArrayLike, rewards: ArrayLike, contexts: ArrayLike) -> None:
        """Take a batch of drawn arms, rewards and contexts; the same model as one by one."""
        x, drawn = self._rows(contexts, 2), np.asarray(arms)
        y = np.asarray(rewards, dtype=np.float64)
        if drawn.shape != (len(x),) or y.shape != (len(x),) or not np.isfinite(y).all():
            raise ArgumentError(
                f"expected one arm and one finite reward for each of {len(x)} contexts, got "
                f"shapes {drawn.shape} and {y.shape}; pass arrays of one length"
            )
        _which(int(drawn.min(initial=0)), self.arms)
        _which(int(drawn.max(initial=0)), self.arms)
        chosen = (drawn[None, :] == np.arange(self.arms)[:, None]).astype(np.float64)
        weighted = chosen[:, None, :] * x.T[None]
        gram = np.linalg.inv(self._inverse)
        moment = (gram @ self._theta[:, :, None])[:, :, 0] + weighted @ y
        self._inverse = np.linalg.inv(gram + weighted @ x)
        self._theta = (self._inverse @ moment[:, :, None])[:, :, 0]

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {
            "kind": self.KIND,
            "explore": self.explore,
            "floor": self.floor,
            "ridge": self.ridge,
            "inverse": self._inverse.tolist(),
            "theta": self._theta.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a bandit from `state()`; it goes on with the same bits."""
        _check.kind(state, cls.KIND)
        theta = np.array(state["theta"], dtype=np.float64)
        bandit = cls(
            theta.shape[0], theta.shape[1], state["explore"], state["floor"], state["ridge"]
        )
        bandit._theta = theta
        bandit._inverse = np.array(state["inverse"], dtype=np.float64)
        return bandit


class LinUCB(_Linear):
    """The arm with the highest upper confidence bound of a linear model, plus a floor.

    Null: none: a policy that earns. Guarantee: the logged propensities are exact and at least
    `floor`.

    Parameters:
        arms: at least 2; dimension: of the context; explore: width of the bound, at least 0.
        floor: in [0, 1/arms], by default ``1 / (10 arms)``; ridge: above 0.

    >>> rng = np.random.default_rng(1)
    >>> bandit = LinUCB(arms=2, dimension=2, explore=1.0)
    >>> for _ in range(300):
    ...     x = np.array([1.0, rng.choice([-1.0, 1.0])])
    ...     choice = bandit.decide(x, rng)
    ...     bandit.update(choice.arm, float(x[1] > 0) if choice.arm else 0.5, x)
    >>> round(bandit.decide(np.array([1.0, 1.0]), rng).probabilities[1], 2)
    0.95

    Source: Li, Chu, Langford and Schapire, WWW 2010.
    """

    KIND = "LinUCB"
    __slots__ = ()

    def decide(self, context: ArrayLike, rng: np.random.Generator) -> Choice:
        """Draw an arm for one context of shape (dimension,)."""
        mean, variance = self._one(context)
        best = int((mean + self.explore * np.sqrt(variance)).argmax())
        return draw_greedy(best, self.arms, self.floor, rng)

    def _probabilities(self, mean: Floats, variance: Floats) -> Floats:
        best = (mean + self.explore * np.sqrt(variance)).argmax(axis=-1)
        many: Floats = np.eye(self.arms)[best]
        return many


class LinTS(_Linear):
    """Thompson sampling with a linear model for each arm, plus a floor.

    Null: none: a policy that earns. Guarantee: the logged propensities are exact and at least
    `floor`.

    P(arm is best) is approximated by quadrature over independent normal scores (with a logistic
    curve for the normal one), floored, and then sampled.

    Parameters: those of `LinUCB`; `explore` scales the standard deviation of the posterior.

    >>> rng = np.random.default_rng(1)
    >>> bandit = LinTS(arms=2, dimension=1, explore=0.3)
    >>> for _ in range(300):
    ...     choice = bandit.decide([1.0], rng)
    ...     bandit.update(choice.arm, float(rng.random() < (0.2, 0.6)[choice.arm]), [1.0])
    >>> round(bandit.decide([1.0], rng).probabilities[1], 2)
    0.95

    Source: Agrawal and Goyal, ICML 2013.
    """

    KIND = "LinTS"
    __slots__ = ()

    def _probabilities(self, mean: Floats, variance: Floats) -> Floats:
        sd = self.explore * np.sqrt(variance) + 1e-12
        points = mean[..., None] + sd[..., None] * _NODES  # arm j at node n
        gap = (points[..., None] - mean[..., None, None, :]) / sd[..., None, None, :]
        gap *= -1.702
        above = 1.0 / (1.0 + np.exp(np.minimum(gap, 500.0, out=gap), out=gap))
        best = np.maximum(above, np.eye(self.arms)[:, None, :], out=above).prod(axis=-1) @ _WEIGHTS
        out: Floats = best / best.sum(axis=-1, keepdims=True)
        return out
