# SPDX-License-Identifier: Apache-2.0
"""How many pairs a paired shadow needs, before the first labelled look."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Self

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats._bet import CAP, GAMMA
from trueup.stats.paired import SPREAD, PairedTest
from trueup.stats.streams import score_streams

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NORMAL = NormalDist()
GROUPS = 250  # stakes per run while a horizon is searched


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a paired shadow will need: the answer of `forecast`.

    Null, guarantee, conditions: those of `forecast`; validity of the test depends on none of it.

    `horizon` is None when no horizon up to `max_horizon` reaches the power; `power` is then
    the power at `max_horizon`. `power` was simulated at the horizon, over `reps` runs.

    >>> forecast(disagreement=0.1, margin=0.05, alpha=0.05, seed=1).reachable
    True

    Source: `forecast`.
    """

    horizon: int | None
    power: float
    disagreement: float
    margin: float
    alpha: float
    effect: float
    reps: int
    seed: int
    max_horizon: int

    @property
    def reachable(self) -> bool:
        """Whether some horizon up to `max_horizon` reaches the power."""
        return self.horizon is not None

    def __str__(self) -> str:
        world = (
            f"disagreement {self.disagreement:.3g}, effect {self.effect:+.3g}, "
            f"margin {self.margin:.3g}, level {self.alpha:.3g}"
        )
        if self.horizon is None:
            return (
                f"no horizon up to {self.max_horizon:,} pairs is enough: at {world} the power "
                f"is {self.power:.2f}; accept a wider margin or bring more labels"
            )
        return f"{self.horizon:,} pairs give power {self.power:.2f} at {world}"


@dataclass(frozen=True, slots=True)
class _World:
    """Probabilities that only the challenger is right, and that only the champion is."""

    better: float
    worse: float
    margin: float
    alpha: float

    @classmethod
    def of(cls, disagreement: float, margin: float, alpha: float, effect: float) -> Self:
        share = _check.within("disagreement", disagreement, 0.0, 1.0, "give a share of items")
        if not abs(effect) <= share:
            raise ArgumentError(
                f"expected an effect of at most the disagreement {share:g}, got {effect!r}; "
                "two models differ in quality by no more than the share on which they differ"
            )
        return cls((share + effect) / 2, (share - effect) / 2, _check.margin(margin), alpha)

    def power(self, n: int, reps: int, seed: int, group: int = 1) -> float:
        """Share of simulated runs that pass with horizon n."""
        if self.better + self.worse == 0.0:
            return float(_agreement_passes(n, self.margin, self.alpha))
        rng = np.random.default_rng([seed, n])

        def draw(t: int, streams: NDArray[np.int64]) -> NDArray[np.float64]:
            u = rng.random(streams.size if group == 1 else (min(group, n - t), streams.size))
            wins, losses = u < self.better, u >= 1.0 - self.worse
            return wins.astype(np.float64) - losses + self.margin

        return score_streams(
            draw,
            reps=reps,
            alpha=self.alpha,
            horizon=n,
            bound=1.0 - self.margin,
            spread=SPREAD,
            group=group,
        ).rate

    @property
    def variance(self) -> float:
        """Of one score."""
        gain = self.better - self.worse + self.margin
        square = self.better * (1 + self.margin) ** 2 + self.worse * (1 - self.margin) ** 2
        square += (1.0 - self.better - self.worse) * self.margin**2
        return max(square - gain * gain, 1e-9)


def _agreement_passes(n: int, margin: float, alpha: float) -> bool:
    ones = np.ones(n)
    return PairedTest(alpha, n, margin).run(ones, ones).rejected


def needed_items(margin: float, alpha: float) -> int:
    """The smallest number of items on which two models in full agreement pass the paired bet.

    Null: that of `PairedTest` with this margin; every item scores ``S = margin``.

    Guarantee: with fewer items no outcome without a win for the challenger can pass, so a gate
    on such a set cannot be met by an equally good model. It is found by running the bet of
    `PairedTest` itself, and is a little above the lower limit
    ``ln(1/alpha) / ln(1 + (margin/2) / (1 - margin))`` (595 at margin .01, level .05), which
    holds for every stake up to the cap of ``1/2`` of the largest loss.

    Parameters:
        margin: in (0, 1).
        alpha: level, in (0, 1).

    >>> needed_items(margin=0.05, alpha=0.05), needed_items(margin=0.01, alpha=0.05)
    (116, 597)

    Source: `PairedTest`.
    """
    margin = _check.inside("margin", margin, 0.0, 1.0, "with margin 0 agreement proves nothing")
    alpha = _check.level("alpha", alpha)
    n = math.ceil(-math.log(alpha) / math.log1p(CAP * margin / (1.0 - margin)))
    while not _agreement_passes(n, margin, alpha):
        n += 1 + n // 2000
    return n


def paired_pass_probability(
    n: int,
    disagreement: float,
    margin: float,
    alpha: float,
    effect: float = 0.0,
    *,
    reps: int = 1000,
    seed: int = 0,
    exact: bool = True,
) -> float:
    """The probability that a challenger of this effect passes the paired bet on n items.

    Null: none is tested: a forecast. At ``effect = -margin`` the result is the level reached.

    Guarantee: an unbiased simulation of `PairedTest` with horizon n: the standard error is
    ``sqrt(p (1 - p) / reps)``.

    Conditions: each item is 0 or 1 for each model; items on which the models differ are taken
    to be right for exactly one of them (the least favourable reading of `disagreement`).

    Parameters:
        n: items, at least 1.
        disagreement: share of items on which the models differ, in [0, 1].
        margin, alpha: those of the gate.
        effect: true difference, challenger minus champion, in [-disagreement, disagreement].
        reps, seed: of the simulation; exact: as in `forecast`.

    >>> paired_pass_probability(400, 0.1, margin=0.05, alpha=0.05, seed=1) > 0.8
    True

    Source: `PairedTest`.
    """
    world = _World.of(disagreement, margin, _check.level("alpha", alpha), effect)
    n = _check.count("n", n)
    return world.power(n, _check.count("reps", reps), seed, 1 if exact else max(1, n // GROUPS))


def _limit_power(drift: float, alpha: float) -> float:
    """Power of the bet for a very long horizon: a Brownian motion that meets a line."""
    line = -_NORMAL.inv_cdf(alpha * GAMMA)
    mirrored = min(2.0 * drift * line, 700.0)
    return _NORMAL.cdf(drift - line) + math.exp(mirrored) * _NORMAL.cdf(-line - drift)


def first_guess(gain: float, spread: float, alpha: float, power: float) -> float:
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _limit_power(middle, alpha) >= power else (middle, high)
    return spread * (high / gain) ** 2


def forecast(
    disagreement: float,
    margin: float,
    alpha: float,
    effect: float = 0.0,
    *,
    power: float = 0.95,
    max_horizon: int = 20_000,
    reps: int = 400,
    seed: int = 0,
    exact: bool = True,
) -> Forecast:
    """The smallest horizon at which a paired shadow promotes with the given power.

    Null: none is tested: a forecast, made before the first labelled look.

    Guarantee: `power` of the answer is simulated with the very bet at the horizon given; its
    standard error is at most ``sqrt(power (1 - power) / reps)`` (.011 at .95 and 400), and the
    horizon is the smallest one up to that error and a step of about 2 %. Validity of the test
    does not depend on it.

    Conditions: those of `paired_pass_probability`.

    Parameters:
        disagreement: share of items on which the two models' answers differ, read off logged
            inputs without labels, in [0, 1].
        margin: of the gate, in [0, 1); ``effect + margin`` must be above 0.
        alpha: level of the gate, in (0, 1); 0 (a used-up schedule) is out of reach.
        effect: assumed true difference, from 0 to the margin as a rule.
        power: wanted, in (0, 1).
        max_horizon: the longest horizon to consider.
        reps, seed: of the simulation.
        exact: False renews the stakes in 250 groups of pairs in the answer as in the search: many
            times faster, and the power is a little too low.

    >>> print(forecast(disagreement=0.1, margin=0.05, alpha=0.05, effect=0.02, seed=1))
    307 pairs give power 0.96 at disagreement 0.1, effect +0.02, margin 0.05, level 0.05

    Source: Koning and van Meer, arXiv 2501.03982 (2025); the first guess is the probability
    that a Brownian motion with drift meets a line (Siegmund, 1985).
    """
    world = _World.of(disagreement, margin, alpha, effect)
    _check.level("power", power)
    max_horizon, reps = _check.count("max_horizon", max_horizon), _check.count("reps", reps)

    def answer(horizon: int | None, reached: float) -> Forecast:
        return Forecast(
            horizon, reached, disagreement, margin, alpha, effect, reps, seed, max_horizon
        )

    gain = effect + margin
    if alpha <= 0.0 or gain <= 0.0:
        return answer(None, 0.0)
    _check.level("alpha", alpha)
    if disagreement == 0.0:
        n = needed_items(margin, alpha)
        return answer(n, 1.0) if n <= max_horizon else answer(None, 0.0)

    guess = first_guess(gain, world.variance, alpha, power)

    def simulate(n: int, exact: bool) -> float:
        return world.power(n, reps, seed, 1 if exact else max(1, n // GROUPS))

    n = _search(guess, lambda n: simulate(n, exact=False) >= power, max_horizon)
    while (reached := simulate(n, exact=exact)) < power and n < max_horizon:
        n = min(max_horizon, math.ceil(n * 1.03))
    return answer(n if reached >= power else None, reached)


def _search(guess: float, enough: Callable[[int], bool], most: int) -> int:
    """The least n that is enough, within 2 %, by doubling steps and bisection; at most `most`."""
    low, high, ratio = 0, max(1, min(most, math.ceil(guess))), 1.1
    while not enough(high):
        if high == most:
            return most
        low, high, ratio = high, min(most, math.ceil(high * ratio)), ratio**2
    ratio = 1.1
    while low == 0 and high > 1:
        below = max(1, math.floor(high / ratio))
        if enough(below):
            high, ratio = below, ratio**2
        else:
            low = below
    while high - low > max(1, 0.02 * high):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
