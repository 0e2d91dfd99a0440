# SPDX-License-Identifier: Apache-2.0
"""Bandits: probabilities are computed, floored, then sampled from and returned for the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Integral = Literal["grid", "quantiles"]

GRID = np.linspace(0.0, 1.0, 130)[1:-1]
LEVELS = np.sin(np.linspace(0.0, np.pi / 2.0, 257)) ** 2
"""Quantiles of an arm between which the others' distributions are taken as linear in its own."""


class Choice(NamedTuple):
    """A drawn arm, its propensity (to be logged), and the probabilities of all arms.

    Null: none. Guarantee: `arm` was drawn from exactly these probabilities.

    >>> Choice(arm=1, pi=0.9, probabilities=(0.1, 0.9)).pi
    0.9

    Source: the policy that drew it.
    """

    arm: int
    pi: float
    probabilities: tuple[float, ...]


def draw(probabilities: Floats, floor: float, rng: np.random.Generator) -> Choice:
    """Mix in the floor, draw an arm, and return it with the probabilities it was drawn from.

    Null: none. Guarantee: the propensities are exact, at least `floor` each.

    Parameters:
        probabilities: of the policy, at least 0, with sum 1; floor: at most 1 / arms.

    >>> draw(np.array([0.0, 1.0]), 0.25, np.random.default_rng(1)).probabilities
    (0.25, 0.75)

    Source: Beygelzimer et al., AISTATS 2011.
    """
    rest = 1.0 - len(probabilities) * floor
    mixed = [floor + rest * p for p in probabilities.tolist()]
    u, arm = float(rng.random()), 0
    while arm < len(mixed) - 1 and u >= mixed[arm]:
        u -= mixed[arm]
        arm += 1
    return Choice(arm, mixed[arm], tuple(mixed))


def draw_greedy(best: int, arms: int, floor: float, rng: np.random.Generator) -> Choice:
    """`draw` for a policy that is sure of its arm.

    Null: none. Guarantee: the propensities are exact, at least `floor` each.

    >>> draw_greedy(1, 2, 0.25, np.random.default_rng(1)).probabilities
    (0.25, 0.75)

    Source: `draw`.
    """
    top = 1.0 - (arms - 1) * floor
    mixed = [floor] * arms
    mixed[best] = top
    u = float(rng.random())
    if u < top or floor == 0.0:
        return Choice(best, top, tuple(mixed))
    other = min(int((u - top) / floor), arms - 2)
    return Choice(other + (other >= best), floor, tuple(mixed))


def checked_floor(floor: float | None, arms: int) -> float:
    """The floor, ``1 / (10 arms)`` by default; a bandit that should also decide needs about .3.

    Null: none. Guarantee: in [0, 1/arms].

    >>> checked_floor(None, 2), checked_floor(0.3, 2)
    (0.05, 0.3)

    Source: docs/guarantees.md.
    """
    default = 1.0 / (10 * arms) if floor is None else floor
    return _check.within("floor", default, 0.0, 1.0 / arms, "give at most 1 / arms")


def best_of(successes: Sequence[float], failures: Sequence[float]) -> Floats:
    """P(arm is best) for independent Beta posteriors, ``int prod_{k != j} F_k dF_j``.

    Null: none. Guarantee: the answers sum to 1; each errs by less than 1e-5, however much or little
    data the arms have.

    The line is cut at 257 quantiles of every arm, so that no distribution gains more than .7 % in a cell.
    Within a cell all are taken as linear in one another, and the product is integrated exactly.

    Parameters:
        successes, failures: the parameters of the arms' Beta posteriors, each above 0.

    >>> [round(p, 3) for p in best_of([10.0, 30.0, 0.1], [9990.0, 9970.0, 2.0]).tolist()]
    [0.0, 0.614, 0.386]

    Source: Thompson (1933), equation for the probability that one rate exceeds another; here for K arms.
    """
    from scipy.special import betainc, betaincinv  # 0.2 s, so only where it is asked for

    a = np.asarray(successes, dtype=np.float64)
    b = np.asarray(failures, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size < 2 or not ((a > 0.0) & (b > 0.0)).all():
        raise ArgumentError(
            f"expected successes and failures above 0 for at least two arms, got {successes!r:.200} and "
            f"{failures!r:.200}; begin with a prior such as 1 and 1"
        )
    points = np.unique(np.concatenate([[0.0, 1.0], betaincinv(a[:, None], b[:, None], LEVELS).ravel()]))
    below = np.maximum.accumulate(betainc(a, b, points[:, None]), axis=0)  # (points, arms)
    start, gain = below[:-1], np.diff(below, axis=0)
    keep = gain.any(axis=1)
    start, gain = start[keep], gain[keep]
    nodes, weights = np.polynomial.legendre.leggauss(a.size // 2 + 1)  # exact for arms - 1 linear factors
    best = np.zeros(a.size)
    for node, weight in zip((nodes + 1.0) / 2.0, weights / 2.0, strict=True):
        at = start + node * gain
        ones = np.ones((len(at), 1))
        left = np.cumprod(np.concatenate([ones, at[:, :-1]], axis=1), axis=1)
        right = np.cumprod(np.concatenate([ones, at[:, :0:-1]], axis=1), axis=1)[:, ::-1]
        best += weight * (gain * left * right).sum(axis=0)
    result: Floats = best / best.sum()
    return result


class BetaThompson:
    """Thompson sampling for rewards in [0, 1], without context.

    Null: none: a policy that earns. Guarantee: the logged propensities are exact and at least
    `floor`, so that `ArmTest` stays valid on its traffic.

    Conditions: rewards in [0, 1]; any delay.

    P(arm is best) is integrated (an approximation), floored, and then sampled.

    Parameters:
        arms: at least 2; floor: in [0, 1/arms], by default ``1 / (10 arms)``.
        integral: how P(arm is best) is integrated. "quantiles" (`best_of`) errs by less than 1e-5 for
            any posteriors, and needs scipy. "grid" takes 128 points over all arms together: arms with much
            data, beside one with little, become alike to it (an error of up to .8 was seen). It is the
            default because decisions were recorded with it; choose "quantiles" for new ones.

    >>> rng = np.random.default_rng(1)
    >>> bandit = BetaThompson(arms=2)
    >>> for _ in range(500):
    ...     choice = bandit.decide(rng)
    ...     bandit.update(choice.arm, float(rng.random() < (0.3, 0.6)[choice.arm]))
    >>> [round(p, 2) for p in bandit.decide(rng).probabilities]
    [0.06, 0.94]

    Source: Thompson (1933); Agrawal and Goyal, COLT 2012.
    """

    __slots__ = ("_cached", "arms", "failures", "floor", "integral", "successes")

    def __init__(self, arms: int, floor: float | None = None, *, integral: Integral = "grid") -> None:
        self.arms = _check.count("arms", arms, 2)
        self.floor = checked_floor(floor, self.arms)
        if integral not in ("grid", "quantiles"):
            raise ArgumentError(f"expected integral to be 'grid' or 'quantiles', got {integral!r}; choose one of them")
        self.integral: Integral = integral
        self.successes = [1.0] * self.arms
        self.failures = [1.0] * self.arms
        self._cached: Floats | None = None

    def decide(self, rng: np.random.Generator) -> Choice:
        """Draw an arm."""
        if self._cached is None:
            exact = self.integral == "quantiles"
            self._cached = best_of(self.successes, self.failures) if exact else self._best()
        return draw(self._cached, self.floor, rng)

    def _best(self) -> Floats:
        """P(arm is best) under the posteriors, on a grid that covers them."""
        a, b = np.array(self.successes), np.array(self.failures)
        mean = a / (a + b)
        sd = np.sqrt(mean * (1.0 - mean) / (a + b + 1.0))
        low = max(float((mean - 7.0 * sd).min()), 0.0)
        high = min(float((mean + 7.0 * sd).max()), 1.0)
        x = low + (high - low) * GRID[:, None]
        logs = (a - 1.0) * np.log(x) + (b - 1.0) * np.log1p(-x)
        density = np.exp(logs - logs.max(axis=0))
        density /= density.sum(axis=0)
        below = np.cumsum(density, axis=0) - 0.5 * density
        own = np.arange(a.size)
        others = np.repeat(below[:, None, :], a.size, axis=1)
        others[:, own, own] = 1.0
        best = (density * others.prod(axis=2)).sum(axis=0)
        result: Floats = best / best.sum() if best.sum() > 0.0 else np.eye(a.size)[mean.argmax()]
        return result

    def update(self, arm: int, reward: float) -> None:
        """Take the reward in [0, 1] of a drawn arm."""
        arm = _which(arm, self.arms)
        reward = _check.outcome("reward", reward)
        self.successes[arm] += reward
        self.failures[arm] += 1.0 - reward
        self._cached = None

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        state: dict[str, Any] = {
            "kind": "BetaThompson",
            "floor": self.floor,
            "successes": list(self.successes),
            "failures": list(self.failures),
        }
        return state if self.integral == "grid" else {**state, "integral": self.integral}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a bandit from `state()`; it goes on with the same bits."""
        _check.kind(state, "BetaThompson")
        bandit = cls(len(state["successes"]), state["floor"], integral=state.get("integral", "grid"))
        bandit.successes = list(state["successes"])
        bandit.failures = list(state["failures"])
        return bandit


class EpsilonGreedy:
    """The best arm so far, and a coin for exploration, without context.

    Null: none: a policy that earns. Guarantee: the logged propensities are exact and at least
    ``epsilon / arms``.

    Parameters:
        arms: at least 2; epsilon: share of exploration, in [0, 1].

    >>> rng = np.random.default_rng(1)
    >>> bandit = EpsilonGreedy(arms=2, epsilon=0.1)
    >>> bandit.update(1, 1.0)
    >>> [round(p, 3) for p in bandit.decide(rng).probabilities]
    [0.05, 0.95]

    Source: Sutton and Barto (1998).
    """

    __slots__ = ("arms", "counts", "epsilon", "sums")

    def __init__(self, arms: int, epsilon: float = 0.1) -> None:
        self.arms = _check.count("arms", arms, 2)
        self.epsilon = _check.within("epsilon", epsilon, 0.0, 1.0, "give a share")
        self.sums = [0.5] * self.arms
        self.counts = [1] * self.arms

    def decide(self, rng: np.random.Generator) -> Choice:
        """Draw an arm."""
        means = [s / c for s, c in zip(self.sums, self.counts, strict=True)]
        best = means.index(max(means))
        return draw_greedy(best, self.arms, self.epsilon / self.arms, rng)

    def update(self, arm: int, reward: float) -> None:
        """Take the reward in [0, 1] of a drawn arm."""
        arm = _which(arm, self.arms)
        self.sums[arm] += _check.outcome("reward", reward)
        self.counts[arm] += 1

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {
            "kind": "EpsilonGreedy",
            "epsilon": self.epsilon,
            "sums": list(self.sums),
            "counts": list(self.counts),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a bandit from `state()`; it goes on with the same bits."""
        _check.kind(state, "EpsilonGreedy")
        bandit = cls(len(state["sums"]), state["epsilon"])
        bandit.sums, bandit.counts = list(state["sums"]), list(state["counts"])
        return bandit


def _which(arm: int, arms: int) -> int:
    if not 0 <= arm < arms:
        raise ArgumentError(f"expected an arm from 0 to {arms - 1}, got {arm!r}; see decide()")
    return int(arm)
