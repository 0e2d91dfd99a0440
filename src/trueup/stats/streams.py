# SPDX-License-Identifier: Apache-2.0
"""The bets over many simulated streams at once: for forecasts, studies and tests.

The vectorised wealths equal those of `PairedTest` and `ABTest` up to rounding; a decision on
real units is always made by those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trueup.stats import _check
from trueup.stats._bet import GAMMA, fractions
from trueup.stats._twoarm import GRID_CAP
from trueup.stats.paired import SPREAD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """What happened to each stream: `crossed_at` (0: never), `wealth` at the end, `promotes`."""

    crossed_at: NDArray[np.int64]
    wealth: Floats
    promotes: NDArray[np.bool_]

    @property
    def rate(self) -> float:
        """Share of the streams that promote."""
        return float(self.promotes.mean())


def score_streams(
    draw: Callable[[int, NDArray[np.int64]], Floats],
    *,
    reps: int,
    alpha: float,
    horizon: int,
    bound: float,
    spread: float | None = None,
    units: int | None = None,
    group: int = 1,
) -> Run:
    """`ScoreTest` on `reps` streams at once.

    Null, guarantee, conditions: those of `ScoreTest`.

    Parameters:
        draw: ``draw(t, streams)`` gives the scores of unit t for the streams that still run;
            with ``group > 1`` an array of shape (group, streams): the stake is then renewed
            once per group only (a faster bet, a little weaker, used to search a horizon).
        units: units that come, by default the horizon.

    >>> rng = np.random.default_rng(1)
    >>> coin = lambda t, streams: rng.choice([-1.0, 1.0], size=streams.size)
    >>> run = score_streams(coin, reps=1000, alpha=0.05, horizon=200, bound=1.0)
    >>> run.rate <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5
    True

    Source: `ScoreTest`.
    """
    alpha = _check.level("alpha", alpha)
    spread = bound**2 if spread is None else spread
    wealth = np.ones(reps)
    crossed = np.zeros(reps, dtype=np.int64)
    live = np.arange(reps)
    w, q = np.ones(reps), np.zeros(reps)
    for t in range(0, min(horizon, horizon if units is None else units), group):
        variance = np.maximum((spread + q) / (1 + t), 1e-12)
        stake = fractions(alpha * GAMMA * w, variance, horizon - t, bound)
        scores = draw(t, live)
        if group == 1:
            w = w * (1.0 + stake * scores)
            q = q + scores * scores
        else:
            w = w * np.prod(1.0 + stake * scores, axis=0)
            q = q + (scores * scores).sum(axis=0)
        hit = w * alpha >= 1.0
        if hit.any():
            crossed[live[hit]] = t + group
            wealth[live[hit]] = w[hit]
            live, w, q = live[~hit], w[~hit], q[~hit]
            if not live.size:
                break
    wealth[live] = w
    return Run(crossed, wealth, crossed > 0)


def paired_streams(
    y_new: Floats, y_champ: Floats, *, alpha: float, horizon: int, margin: float
) -> Run:
    """`PairedTest` on many streams: outcomes of shape (units, streams).

    Null, guarantee, conditions: those of `PairedTest`.

    >>> ones = np.ones((60, 2))
    >>> paired_streams(ones, ones, alpha=0.05, horizon=60, margin=0.1).promotes.tolist()
    [True, True]

    Source: `PairedTest`.
    """
    scores = y_new - y_champ + margin
    return score_streams(
        lambda t, streams: scores[t, streams],
        reps=scores.shape[1],
        alpha=alpha,
        horizon=horizon,
        bound=1.0 - margin,
        spread=SPREAD,
        units=scores.shape[0],
    )


def ab_streams(
    draw: Callable[[int], tuple[NDArray[np.bool_], Floats]],
    *,
    reps: int,
    units: int,
    alpha: float,
    horizon: int,
    margin: float,
    pi: float = 0.5,
    w: float = 0.3,
    grid: tuple[float, ...] = (0.08, 0.15, 0.25, 0.4, 0.65, 1.0),
    group: int = 1,
) -> Run:
    """`ABTest` with a constant propensity on `reps` streams at once.

    Null, guarantee, conditions: those of `ABTest`. `crossed_at` is the first unit at which the
    wealth is enough, `promotes` says whether it ever was, `wealth` is the last one.

    Parameters:
        draw: ``draw(t)`` gives the arms (True is the challenger) and outcomes of unit t; with
            ``group > 1`` arrays of shape (group, reps) for the units from t on: the stakes are
            then renewed once per group only (a faster bet, a little weaker, for forecasts).

    >>> rng = np.random.default_rng(1)
    >>> def draw(t):
    ...     arm = rng.random(50) < 0.5
    ...     return arm, (rng.random(50) < np.where(arm, 0.9, 0.5)).astype(float)
    >>> ab_streams(draw, reps=50, units=300, alpha=0.05, horizon=300, margin=0.0).rate
    1.0

    Source: `ABTest`.
    """
    main, logs = np.ones(reps), np.zeros((len(grid), reps))
    k, kk = np.zeros(reps), np.zeros(reps)
    crossed = np.zeros(reps, dtype=np.int64)
    ell = np.asarray(grid)[:, None]
    total = main
    for t in range(0, units, group):
        m = (k + 1.0) / (t + 2)
        variance = ((kk + 1.0) / (t + 2) - m * m) / (pi * (1.0 - pi))
        bound = np.maximum(m / pi, (1.0 - m) / (1.0 - pi)) - margin
        arm, y = draw(t)
        score = np.where(arm, (y - m) / pi, -(y - m) / (1.0 - pi)) + margin
        if t < horizon:
            stake = fractions(alpha * (1 - w) * GAMMA * main, variance, horizon - t, bound)
            stake[(1.0 - w) * main * alpha >= 1.0] = 0.0
            main = main * (1.0 + stake * score if group == 1 else np.prod(1.0 + stake * score, axis=0))
        if w > 0.0:
            odds = m / (1.0 - m)
            up, down = odds * np.exp(ell * (1.0 - pi)), odds * np.exp(-ell * pi)
            gain = up / (1.0 + up) - down / (1.0 + down) + margin
            stakes = np.minimum(gain / (variance + gain * gain), GRID_CAP / bound)
            if group == 1:
                logs += np.log1p(stakes * score)
            else:
                logs += np.log1p(stakes * score[:, None, :]).sum(axis=0)
        k, kk = (k + y, kk + y * y) if group == 1 else (k + y.sum(axis=0), kk + (y * y).sum(axis=0))
        total = (1.0 - w) * main + w * np.exp(np.minimum(logs, 700.0)).mean(axis=0)
        crossed[(crossed == 0) & (total * alpha >= 1.0)] = min(t + group, units)
    return Run(crossed, total, crossed > 0)
