# SPDX-License-Identifier: Apache-2.0
"""What would a new policy have earned on logged decisions? Estimates, with a refusal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

LEAST_ESS = 100.0
NOTHING = "no logged decision is one that the new policy would make: explore, or log more of them"
Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value per decision with a normal 95 % interval.

    Null, guarantee, source: those of the function that returned it; asymptotic.

    >>> Estimate(value=0.5, se=0.1).interval
    (0.3040036015459946, 0.6959963984540054)
    """

    value: float
    se: float

    @property
    def interval(self) -> tuple[float, float]:
        """Asymptotic 95 % interval."""
        return self.value - Z95 * self.se, self.value + Z95 * self.se


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """The estimates side by side, and `refused`: why they must not be used, or None.

    `ips`, `snips` and `dr` are None where all weights are 0: the log holds no decision of the new
    policy, and refused says so. `dr` is None too where no model was given.

    Null, guarantee, source: those of `off_policy`.

    >>> off_policy([1.0] * 50, [0.5] * 50).refused
    'effective sample size 50 is below 100: log more decisions, or explore more'
    """

    ips: Estimate | None
    snips: Estimate | None
    dr: Estimate | None
    ess: float
    max_weight: float
    n: int
    refused: str | None


def ess(w: ArrayLike) -> float:
    """Effective sample size of importance weights, ``(sum w)^2 / sum w^2``.

    Null: none. Guarantee: between 1 and the number of rows when any weight is positive; 0 when none
    is, and for no rows. Raises ArgumentError for weights that are negative, not finite, or no sequence.

    >>> ess([1.0, 1.0, 1.0, 1.0]), ess([4.0, 0.0, 0.0, 0.0])
    (4.0, 1.0)

    Source: Kish (1965).
    """
    weights = _weights(w)
    square = float(weights @ weights)
    return float(weights.sum()) ** 2 / square if square > 0.0 else 0.0


def ips(w: ArrayLike, r: ArrayLike) -> Estimate:
    """Inverse propensity scoring, ``mean(w r)``: unbiased, with a wide interval.

    Null: none. Guarantee: unbiased when the logged propensities are right and every action of
    the new policy had a chance.

    Raises ArgumentError for fewer than two rows, sequences that differ in length, numbers that are not
    finite, and weights that are all 0 (no logged decision is one of the new policy: nothing is known).

    >>> ips([2.0, 0.0, 2.0, 0.0], [1.0, 0.0, 0.0, 1.0]).value
    0.5

    Source: Horvitz and Thompson (1952).
    """
    weights, rewards = _rows(w, r=r)
    _some(weights)
    return _mean(weights * rewards)


def snips(w: ArrayLike, r: ArrayLike) -> Estimate:
    """Self-normalised scoring, ``sum(w r) / sum(w)``: a little biased, narrower.

    Null: none. Guarantee: consistent under the conditions of `ips`. Raises ArgumentError as `ips` does.

    >>> snips([2.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]).value
    0.6666666666666666

    Source: Swaminathan and Joachims, NeurIPS 2015.
    """
    weights, rewards = _rows(w, r=r)
    _some(weights)
    total = float(weights.sum())
    value = float(weights @ rewards) / total
    se = math.sqrt(float(np.sum((weights * (rewards - value)) ** 2))) / total
    return Estimate(value, se)


def dr(w: ArrayLike, r: ArrayLike, q_logged: ArrayLike, q_new: ArrayLike) -> Estimate:
    """Doubly robust: ``mean(q_new + w (r - q_logged))``.

    Null: none. Guarantee: consistent when the propensities or the model are right. The model
    is fitted on other rows (cross-fitting). Raises ArgumentError as `ips` does.

    Parameters:
        w: pi_new(a|x) / pi_log(a|x) of the logged action; r: its reward.
        q_logged: the model's value of the logged action.
        q_new: the model's value of the new policy, ``sum_a pi_new(a|x) q(x, a)``.

    >>> dr([2.0, 0.0], [1.0, 0.0], q_logged=[0.5, 0.5], q_new=[0.6, 0.4]).value
    1.0

    Source: Dudik, Langford and Li, ICML 2011.
    """
    weights, rewards, logged, new = _rows(w, r=r, q_logged=q_logged, q_new=q_new)
    _some(weights)
    return _mean(new + weights * (rewards - logged))


def off_policy(
    w: ArrayLike,
    r: ArrayLike,
    q_logged: ArrayLike | None = None,
    q_new: ArrayLike | None = None,
) -> OffPolicy:
    """All estimates of a new policy's reward, refused where the log cannot carry them.

    Null: none: estimates for a plan. A promotion is decided by `promotion_score`.

    Guarantee: asymptotic 95 % intervals under the conditions of the estimators; refused when
    the effective sample size is below 100, or SNIPS and DR (IPS where there is no model) differ
    by more than their intervals together. There is no direct-model estimate: alone it is biased.
    Weights that are all 0 are refused, without estimates. Raises ArgumentError for fewer than two rows,
    sequences that differ in length, and numbers that are not finite.

    Parameters:
        w: pi_new(a|x) / pi_log(a|x) of each logged action, from its logged propensity.
        r: rewards; q_logged, q_new: those of `dr`, both or neither.

    >>> rng = np.random.default_rng(1)
    >>> action = rng.integers(2, size=2000)
    >>> reward = rng.random(2000) < np.where(action == 1, 0.6, 0.4)
    >>> answer = off_policy(np.where(action == 1, 2.0, 0.0), reward)
    >>> answer.refused, round(answer.snips.value, 2), round(answer.ess)
    (None, 0.63, 1014)

    Source: Saito, Aihara, Matsutani and Narita, "Open Bandit Dataset and Pipeline" (2021).
    """
    if (q_logged is None) != (q_new is None):
        raise ArgumentError(
            "expected q_logged and q_new, got one of them; pass both for DR or none"
        )
    models = {} if q_logged is None or q_new is None else {"q_logged": q_logged, "q_new": q_new}
    weights, rewards, *_ = _rows(w, r=r, **models)
    size = ess(weights)
    if size <= 0.0:
        return OffPolicy(None, None, None, 0.0, 0.0, int(weights.size), NOTHING)
    plain, normed = ips(weights, rewards), snips(weights, rewards)
    robust = dr(weights, rewards, **models) if models else None
    other = plain if robust is None else robust
    refused = None
    if size < LEAST_ESS:
        refused = (
            f"effective sample size {size:.0f} is below {LEAST_ESS:.0f}: "
            "log more decisions, or explore more"
        )
    elif abs(normed.value - other.value) > Z95 * (normed.se + other.se):
        refused = (
            f"SNIPS {normed.value:.4g} and {'IPS' if robust is None else 'DR'} {other.value:.4g} "
            "differ by more than their intervals: check the logged propensities and the support"
        )
    return OffPolicy(plain, normed, robust, size, float(weights.max()), int(weights.size), refused)


@dataclass(frozen=True, slots=True)
class OffPolicyScore:
    """Scores for `ScoreTest` on logged decisions: may the new policy replace the champion?

    Null (`promotion`): the new policy's reward is below the **champion's** by the margin or
    more, given the past. Null (`harm`): the new policy loses no more than the champion does,
    plus the margin.

    Guarantee: that of ``ScoreTest(alpha, horizon, bound)``. Clipping the new policy's weight at
    `cap` only lowers its reward, so a promotion stays valid; the harm score clips the **loss**
    ``1 - r``, for a negated promotion score would be certain to roll back.

    Conditions: rewards in [0, 1]; logged propensities are those that the actions were drawn
    with; `champion_max` is declared (``1 / (1 - eps)`` for a greedy champion that was logged
    under epsilon-greedy exploration) and does not depend on the row.

    Parameters:
        cap: the largest weight of the new policy that counts, above 0.
        champion_max: the largest pi_champ / pi_log that can occur, above 0.
        margin: accepted loss (promotion), or tolerated harm, in [0, 1).

    >>> score = OffPolicyScore(cap=10.0, champion_max=1.25, margin=0.02)
    >>> round(score.promotion(w_new=2.0, w_champion=1.0, r=1.0), 3), round(score.bound, 3)
    (1.02, 1.23)
    >>> round(score.harm(w_new=2.0, w_champion=1.0, r=0.0), 3), round(score.harm_bound, 3)
    (0.98, 1.27)

    Source: Karampatziakis, Mineiro and Ramdas, "Off-policy confidence sequences", ICML 2021.
    """

    cap: float
    champion_max: float
    margin: float

    def __post_init__(self) -> None:
        _check.inside("cap", self.cap, 0.0, math.inf, "give a largest weight, such as 20")
        _check.inside("champion_max", self.champion_max, 0.0, math.inf, "declare it")
        _check.margin(self.margin)
        if self.bound <= 0.0:
            raise ArgumentError(
                f"expected champion_max above the margin, got {self.champion_max!r}; declare the "
                "largest pi_champ / pi_log"
            )

    @property
    def bound(self) -> float:
        """Largest loss of the promotion score."""
        return self.champion_max - self.margin

    @property
    def harm_bound(self) -> float:
        """Largest loss of the harm score."""
        return self.champion_max + self.margin

    def _checked(self, w_new: float, w_champion: float, r: float) -> tuple[float, float]:
        r = _check.outcome("r", r)
        _check.within("w_new", w_new, 0.0, math.inf, "give pi_new / pi_log")
        if not 0.0 <= w_champion <= self.champion_max * (1 + 1e-9):
            raise ArgumentError(
                f"expected w_champion in [0, {self.champion_max:g}], got {w_champion!r}; the "
                "declared bound is too small or a propensity is wrong: the test is invalid"
            )
        return min(w_new, self.cap), r

    def promotion(self, w_new: float, w_champion: float, r: float) -> float:
        """Score of one logged decision: rejecting says "not worse than the champion"."""
        clipped, r = self._checked(w_new, w_champion, r)
        return clipped * r - w_champion * r + self.margin

    def harm(self, w_new: float, w_champion: float, r: float) -> float:
        """Score of one logged decision: rejecting says "worse by more than the margin"."""
        clipped, r = self._checked(w_new, w_champion, r)
        return clipped * (1.0 - r) - w_champion * (1.0 - r) - self.margin


UNWEIGHTED = "a decision without a propensity or a reward cannot be weighted: leave the whole analysis, not the row"


def _weights(w: ArrayLike) -> Floats:
    weights = _check.numbers("weights", w, UNWEIGHTED)
    if (weights < 0.0).any():
        raise ArgumentError(f"expected weights of at least 0, got {w!r:.200}; {UNWEIGHTED}")
    return weights


def _rows(w: ArrayLike, **more: ArrayLike) -> list[Floats]:
    """The weights and what goes with them, one of each a logged decision; at least two of them."""
    found = {"w": _weights(w), **{name: _check.numbers(name, given, UNWEIGHTED) for name, given in more.items()}}
    sizes = {one.size for one in found.values()}
    if len(sizes) > 1 or min(sizes) < 2:
        shapes = ", ".join(f"{name} {one.shape}" for name, one in found.items())
        raise ArgumentError(
            f"expected at least two logged decisions with one number of each kind, got the shapes {shapes}; "
            "pass sequences of one length"
        )
    return list(found.values())


def _some(weights: Floats) -> None:
    if not weights.any():
        raise ArgumentError(f"expected a weight above 0, got {weights.size} of 0; {NOTHING}")


def _mean(x: Floats) -> Estimate:
    return Estimate(float(x.mean()), float(x.std(ddof=1)) / math.sqrt(x.size))
