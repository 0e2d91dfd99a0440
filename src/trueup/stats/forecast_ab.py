# SPDX-License-Identifier: Apache-2.0
"""How many units an A/B or a canary needs, before the first look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check
from trueup.stats.forecast import GROUPS, first_guess
from trueup.stats.streams import ab_streams

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ABForecast:
    """What an A/B will need: the answer of `forecast_ab`; `horizon` is None when out of reach.

    Null, guarantee, source: those of `forecast_ab`.

    >>> ABForecast(4000, 0.96, 0.1, 0.03, 0.0, 0.05, 0.5, 20_000).reachable
    True
    """

    horizon: int | None
    power: float
    base: float
    effect: float
    margin: float
    alpha: float
    pi: float
    max_horizon: int

    @property
    def reachable(self) -> bool:
        """Whether some horizon up to `max_horizon` reaches the power."""
        return self.horizon is not None


def ab_power(
    n: int,
    base: float,
    effect: float,
    margin: float,
    alpha: float,
    *,
    pi: float = 0.5,
    w: float = 0.3,
    reps: int = 300,
    seed: int = 0,
    exact: bool = True,
) -> float:
    """The probability that an A/B with horizon n promotes a challenger of this effect.

    Null: none is tested: a forecast. At ``effect = -margin`` the result is the level reached.

    Guarantee: an unbiased simulation of `ABTest`: the standard error is ``sqrt(p (1 - p) /
    reps)``; with ``exact=False`` a little too low.

    Parameters: those of `forecast_ab`; n is the number of units, at least 1.

    >>> 0.8 < ab_power(3000, 0.10, 0.04, margin=0.0, alpha=0.05, reps=100, seed=1) <= 1.0
    True

    Source: `ABTest`.
    """
    rng = np.random.default_rng([seed, n])
    group = 1 if exact else max(1, n // GROUPS)

    def draw(t: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        shape = reps if group == 1 else (min(group, n - t), reps)
        arm = rng.random(shape) < pi
        return arm, (rng.random(shape) < np.where(arm, base + effect, base)).astype(np.float64)

    return ab_streams(
        draw, reps=reps, units=n, alpha=alpha, horizon=n, margin=margin, pi=pi, w=w, group=group
    ).rate


def forecast_ab(
    base: float,
    effect: float,
    margin: float,
    alpha: float,
    *,
    pi: float = 0.5,
    w: float = 0.3,
    power: float = 0.95,
    max_horizon: int = 20_000,
    reps: int = 300,
    seed: int = 0,
    exact: bool = True,
) -> ABForecast:
    """The horizon at which an A/B of a rate promotes with the given power.

    Null: none is tested: a forecast, made before the first look.

    Guarantee: `power` of the answer is simulated with the very bet at that horizon; its standard
    error is ``sqrt(power (1 - power) / reps)`` (.013 at .95 and 300). The horizon is the limit
    for long experiments, lengthened by steps of 5 % until the simulation agrees.

    Parameters:
        base: rate of the champion, in (0, 1); effect: challenger minus champion.
        margin: in [0, 1), with ``effect + margin > 0``; alpha: in (0, 1).
        pi: share of the challenger among the units; w: as in `ABTest`.
        power, max_horizon, reps, seed: as in `forecast`.
        exact: False renews the stakes in 250 groups of units in place of at each: many times
            faster, and the power is a little too low.

    >>> answer = forecast_ab(base=0.10, effect=0.04, margin=0.0, alpha=0.05, seed=1)
    >>> answer.reachable, 2500 < answer.horizon < 3600
    (True, True)

    Source: Koning and van Meer, arXiv 2501.03982 (2025).
    """
    new = base + effect
    if not (0.0 < base < 1.0 and 0.0 <= new <= 1.0):
        raise ArgumentError(
            f"expected base in (0, 1) and base + effect in [0, 1], got {base!r} and {new!r}; "
            "give rates"
        )
    alpha, pi = _check.level("alpha", alpha), _check.propensity(pi)
    gain = effect + _check.margin(margin)
    reps, max_horizon = _check.count("reps", reps), _check.count("max_horizon", max_horizon)

    def simulate(n: int) -> float:
        return ab_power(
            n, base, effect, margin, alpha, pi=pi, w=w, reps=reps, seed=seed, exact=exact
        )

    def answer(horizon: int | None, reached: float) -> ABForecast:
        return ABForecast(horizon, reached, base, effect, margin, alpha, pi, max_horizon)

    if gain <= 0.0:
        return answer(None, 0.0)
    variance = new * (1.0 - new) / pi + base * (1.0 - base) / (1.0 - pi)
    guess = first_guess(gain, variance, alpha * (1.0 - w), _check.level("power", power))
    n = min(max_horizon, math.ceil(guess))
    if guess > 4 * max_horizon:
        return answer(None, simulate(n))
    while (reached := simulate(n)) < power and n < max_horizon:
        n = min(max_horizon, math.ceil(n * 1.05))
    return answer(n if reached >= power else None, reached)
