# SPDX-License-Identifier: Apache-2.0
"""Decisions: power and error of our tests beside those of others, on the same streams.

    python benchmarks/decisions.py                  # A/B rows, canary, drift: a minute or two
    python benchmarks/decisions.py --lives 100      # and 52 challengers over a life: some minutes

Peers in the same run: a fixed z-test with one look at the end, the same z-test looked at 100
times, and plain betting (a mixture of seven fixed effects on the same score).
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from trueup.stats import Levels, MeanDetector
from trueup.stats.errorcount import RATIOS
from trueup.stats.streams import ab_streams, score_streams

UNITS = 5000
ROWS = [(0.60, 0.65), (0.02, 0.04), (0.05, 0.10), (0.90, 0.95), (0.97, 0.99)]
NULL = [(0.02, 0.02), (0.50, 0.50), (0.95, 0.95), (0.04, 0.02)]
EFFECTS = np.array([0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3])[:, None]


def streams(rng, champion, challenger, reps, units=UNITS):
    arm = rng.random((units, reps)) < 0.5
    y = rng.random((units, reps)) < np.where(arm, challenger, champion)
    return arm, y


def plain_betting(arm, y, alpha=0.05):
    reps = arm.shape[1]
    logs, k, crossed = np.zeros((7, reps)), np.zeros(reps), np.zeros(reps, dtype=int)
    for t in range(arm.shape[0]):
        m = (k + 1) / (t + 2)
        stake = np.minimum(
            EFFECTS / (m * (1 - m) * 4 + EFFECTS**2), 0.5 / (2 * np.maximum(m, 1 - m))
        )
        logs += np.log1p(stake * np.where(arm[t], 2.0, -2.0) * (y[t] - m))
        k += y[t]
        hit = (crossed == 0) & (np.exp(logs).mean(axis=0) >= 1 / alpha)
        crossed[hit] = t + 1
    return crossed > 0, np.where(crossed == 0, arm.shape[0], crossed).mean()


def z_test(arm, y, looks, bound=1.6449):
    ends = (np.arange(1, looks + 1) * arm.shape[0]) // looks - 1
    n1, k1 = arm.cumsum(axis=0)[ends], (arm & y).cumsum(axis=0)[ends]
    n0, k0 = (~arm).cumsum(axis=0)[ends], (~arm & y).cumsum(axis=0)[ends]
    p1, p0, p = k1 / np.maximum(n1, 1), k0 / np.maximum(n0, 1), (k0 + k1) / (n0 + n1)
    se = np.sqrt(np.maximum(p * (1 - p), 1e-12) * (1 / np.maximum(n0, 1) + 1 / np.maximum(n1, 1)))
    return ((p1 - p0) / se > bound).any(axis=0)


def ours(arm, y, alpha=0.05):
    run = ab_streams(
        lambda t: (arm[t], y[t].astype(float)),
        reps=arm.shape[1],
        units=arm.shape[0],
        alpha=alpha,
        horizon=arm.shape[0],
        margin=0.0,
    )
    return run.promotes, np.where(run.crossed_at == 0, arm.shape[0], run.crossed_at).mean()


def ab_rows(reps, seed):
    print(f"A/B, 50/50, {UNITS:,} units, level .05, {reps} reps, seed {seed}: share promoted")
    print(
        f"{'rates':>13} {'trueup':>8} {'units':>7} {'betting':>8} {'units':>7} {'z once':>7} {'z x100':>7}"
    )
    rng = np.random.default_rng(seed)
    for champion, challenger in ROWS + NULL:
        arm, y = streams(rng, champion, challenger, reps)
        won, used = ours(arm, y)
        plain, plain_used = plain_betting(arm, y)
        once, often = z_test(arm, y, 1), z_test(arm, y, 100)
        print(
            f"{champion:>6.2f}/{challenger:<6.2f} {won.mean():>8.3f} {used:>7.0f} {plain.mean():>8.3f} "
            f"{plain_used:>7.0f} {once.mean():>7.3f} {often.mean():>7.3f}"
        )


def canary(reps, seed):
    print(f"\nCanary: 2 % errors, 1,000 units a minute, pi .05, count at .05, 120 min, {reps} reps")
    rng = np.random.default_rng(seed)
    r, pi = np.array(RATIOS)[:, None, None], 0.05
    for tol in (0.0, 0.25):
        for challenger in (0.02, 0.03, 0.04):
            rate = 1000 * (pi * challenger + (1 - pi) * 0.02)
            share = pi * challenger / (pi * challenger + (1 - pi) * 0.02)
            n = int(rate * 120)
            arm = rng.random((n, reps)) < share
            null = (1 + tol) * pi
            shrink = (null + 1 - pi) / (r * null + 1 - pi)
            logs = np.where(arm, np.log(r * shrink), np.log(shrink)).cumsum(axis=1)
            hit = np.exp(np.minimum(logs, 600)).mean(axis=0) >= 1 / 0.05
            line = f"  tol {tol:.2f}  2 % -> {challenger:.0%}:"
            for name, every in (("each unit", 1), ("each minute", round(rate))):
                looks = hit[every - 1 :: every]
                fired, first = looks.any(axis=0), (looks.argmax(axis=0) + 1) * every / rate
                median = np.median(np.where(fired, first, np.inf))
                line += f"  looked at {name}: fired {fired.mean():.3f}, median {median:.1f} min"
            print(line)


def drift(reps, seed):
    print(
        f"\nMean detector: one alarm in 100,000 rows, 3,000 rows before the change, {reps} streams"
    )
    for after in (0.10, 0.13, 0.20):
        rng = np.random.default_rng(seed)
        detector = MeanDetector(0.10, 0.0, 1.0, streams=reps)
        alarms, found = 0, np.full(reps, 8000)
        for t in range(11_000):
            rate = 0.10 if t < 3000 else after
            detector.update((rng.random(reps) < rate).astype(float), 1e-5)
            fired = detector.alarm
            if t < 3000 or after == 0.10:
                alarms += fired.sum()
                detector.accept(fired)
            else:
                found[fired & (found == 8000)] = t - 2999
                if (found < 8000).all():
                    break
        rows = reps * (11_000 if after == 0.10 else 3000)
        print(f"  .10 -> {after:.2f}: false {alarms / rows * 1e5:.2f} per 100,000", end="")
        print(f", median {np.median(found):.0f} rows" if after > 0.10 else "")


def life(lives, seed, margin, paired, disagreement=0.10):
    """52 challengers; 30 % are +2 points, 30 % equal, 20 % -1 point, 20 % -3 points."""
    rng = np.random.default_rng(seed)
    levels = Levels(0.05, g="1/52")
    effect = rng.choice([0.02, 0.0, -0.01, -0.03], p=[0.3, 0.3, 0.2, 0.2], size=(lives, 52))
    history = [[] for _ in range(lives)]
    won = np.zeros((lives, 52), dtype=bool)
    for k in range(52):
        alphas = np.array([levels.next(h) for h in history])
        for alpha in np.unique(alphas):
            at = np.flatnonzero(alphas == alpha)
            e = effect[at, k]
            if paired:
                up, down = (disagreement + e) / 2, (disagreement - e) / 2

                def scores(t, live, up=up, down=down):
                    u = rng.random(live.size)
                    return (u < up[live]) * 1.0 - (u > 1 - down[live]) + margin

                run = score_streams(
                    scores, reps=at.size, alpha=alpha, horizon=5000, bound=1 - margin, spread=0.25
                )
            else:

                def units(t, e=e):
                    arm = rng.random(e.size) < 0.5
                    return arm, (rng.random(e.size) < 0.70 + arm * e).astype(float)

                run = ab_streams(
                    units, reps=at.size, units=20_000, alpha=alpha, horizon=20_000, margin=margin
                )
            won[at, k] = run.promotes
        for i in range(lives):
            history[i].append((k + 1, bool(won[i, k]), False))
    bad = effect <= -margin if margin else effect <= 0
    return won[effect > 0].mean(), (won & bad).any(axis=1).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=1000)
    parser.add_argument("--lives", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start = time.perf_counter()
    ab_rows(options.reps, options.seed)
    canary(1000, options.seed)
    drift(200, options.seed)
    if options.lives:
        print(f"\nA life: 52 challengers, alpha .05 a life (equal shares), {options.lives} lives")
        for name, margin, paired in (
            ("paired shadow, 5,000 pairs, superiority", 0.0, True),
            ("paired shadow, 5,000 pairs, margin .01", 0.01, True),
            ("A/B, 20,000 units, superiority", 0.0, False),
            ("A/B, 20,000 units, margin .01", 0.01, False),
        ):
            better, violated = life(options.lives, options.seed, margin, paired)
            print(
                f"  {name}: better ones promoted {better:.2f}, lives violated {violated:.3f}",
                flush=True,
            )
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
