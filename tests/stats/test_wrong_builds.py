# SPDX-License-Identifier: Apache-2.0
"""Each test shows a plausible wrong build breaking its bound where ours holds: experiments."""

import numpy as np
import pytest

from trueup.stats import ABTest, ErrorCount, OffPolicyScore
from trueup.stats.errorcount import RATIOS
from trueup.stats.ratio import SHIFTS
from trueup.stats.streams import ab_streams, score_streams

TWO_SE = {100: 0.044, 150: 0.036, 200: 0.031, 300: 0.025, 400: 0.022, 1000: 0.014}  # around .05


def count_fires(arms, pis, level=0.05, tol=0.0, absolute=False):
    """The count guardrail on one sequence of failing units (`absolute`: the wrong grid)."""
    if not absolute:
        count = ErrorCount(level, tol)
        for arm, pi in zip(arms, pis, strict=True):
            count.update(int(arm), float(pi))
        return count.rejected
    r, pi = np.array(RATIOS)[:, None], np.asarray(pis)[None, :]
    null = pi * (1 + tol) / (pi * (1 + tol) + 1 - pi)
    other = pi * r / (pi * r + 1 - pi)
    arms = np.asarray(arms)[None, :]
    steps = np.where(arms, np.log(other / null), np.log((1 - other) / (1 - null)))
    return bool((np.exp(np.cumsum(steps, axis=1).clip(max=600)).mean(axis=0) * level >= 1).any())


def test_tol_of_one_half_with_a_better_canary():
    # 100 reps, 1,500 failing units, seed 101; the canary fails half as often
    rng = np.random.default_rng(101)
    share = 0.5 * 0.5 / (0.5 * 0.5 + 0.5)
    worlds = [rng.random(1500) < share for _ in range(100)]
    pis = np.full(1500, 0.5)
    assert np.mean([count_fires(a, pis, tol=0.5, absolute=True) for a in worlds]) > 0.95
    assert np.mean([count_fires(a, pis, tol=0.5) for a in worlds[:40]]) == 0.0


def daily_errors(rng, units=2000, days=15):
    """A/A: each unit errs on a day with its own rate; fragile units err again and again."""
    rate = rng.beta(0.02, 0.98, size=units)
    return rng.random((days, units)) < 1 - (1 - rate) ** 2


SHARES = np.repeat([0.05, 0.25, 0.50], 5)


def test_the_key_is_the_unit_under_a_ramp():
    # 100 reps, seed 102: 5, 25, 50 %, five days each; a raise moves units to the challenger
    rng = np.random.default_rng(102)
    wrong, right = [], []
    for _ in range(100):
        errors, point = daily_errors(rng), rng.random(2000)
        seen, arms, pis = set(), [], []
        for day in range(15):
            arm_today = point < SHARES[day]
            for unit in rng.permutation(np.flatnonzero(errors[day])):
                if (unit, arm_today[unit]) not in seen:  # wrong: the key is (unit, arm)
                    seen.add((unit, arm_today[unit]))
                    arms.append(arm_today[unit])
                    pis.append(SHARES[day])
        wrong.append(count_fires(arms, pis))
        # ours: a unit is scored once, on its day of exposure, with the pi of its assignment
        exposed = rng.integers(15, size=2000)
        failing = np.flatnonzero(errors[exposed, np.arange(2000)])
        failing = failing[np.argsort(exposed[failing], kind="stable")]
        own = SHARES[exposed[failing]]
        right.append(count_fires(point[failing] < own, own))
    assert np.mean(wrong) > 0.5
    assert np.mean(right) <= 0.05 + TWO_SE[100]


def test_ramp_down_with_first_write_wins():
    # 150 reps, seed 103: assigned at .5 in the first five days, .05 is in force afterwards
    rng = np.random.default_rng(103)
    wrong, right = [], []
    for _ in range(150):
        errors, arm = daily_errors(rng), rng.random(2000) < 0.5
        first = np.where(errors.any(axis=0), errors.argmax(axis=0), 99)
        failing = np.flatnonzero(first < 99)
        failing = failing[np.argsort(first[failing], kind="stable")]
        in_force = np.where(first[failing] < 5, 0.5, 0.05)
        wrong.append(count_fires(arm[failing], in_force))
        right.append(count_fires(arm[failing], np.full(failing.size, 0.5)))
    assert np.mean(wrong) > 0.3
    assert np.mean(right) <= 0.05 + TWO_SE[150]


def test_half_as_many_requests_again_on_one_arm():
    # 100 reps, 12,000 units, seed 104: the same 2 % of requests fail
    rng = np.random.default_rng(104)
    wrong, right = [], []
    for _ in range(100):
        arm = rng.random(12_000) < 0.25
        requests = 1 + rng.poisson(np.where(arm, 5.0, 3.0))
        any_error = rng.random(12_000) < 1 - 0.98**requests
        first_error = rng.random(12_000) < 0.02
        wrong.append(count_fires(arm[any_error], np.full(any_error.sum(), 0.25)))
        right.append(count_fires(arm[first_error], np.full(first_error.sum(), 0.25)))
    assert np.mean(wrong) > 0.8
    assert np.mean(right) <= 0.05 + TWO_SE[100]


def test_errors_of_the_champion_that_surface_late():
    # 200 reps, seed 105: 1,000 requests a minute for 20 minutes, 2 % fail in both arms
    rng = np.random.default_rng(105)
    wrong, right = [], []
    for _ in range(200):
        minute = np.sort(rng.random(400) * 20)  # the failing requests
        arm = rng.random(400) < 0.05
        surfaced = minute + np.where(arm, 0.0, 5.0)
        order = np.argsort(surfaced)
        order = order[surfaced[order] <= 20]
        wrong.append(count_fires(arm[order], np.full(order.size, 0.05)))
        matured = minute <= 20 - 10  # ours: order of exposure, only requests older than L
        right.append(count_fires(arm[matured], np.full(matured.sum(), 0.05)))
    assert np.mean(wrong) > 0.8
    assert np.mean(right) <= 0.05 + TWO_SE[200]


def test_contextual_traffic_needs_the_declared_floor():
    # 3,000 units, seed 106: +.2 where pi is .5, -.24 where it is .05; worse by .02 on average
    rng = np.random.default_rng(106)

    def promotes(**floor):
        test = ABTest(0.05, 3000, 0.0, **floor)
        for _ in range(3000):
            x = rng.random() < 0.5
            pi = 0.5 if x else 0.05
            arm = int(rng.random() < pi)
            y = rng.random() < (0.5 if not arm else 0.7 if x else 0.26)
            test.update(arm, float(y), pi)
            if test.promotes:
                return True
        return False

    assert np.mean([promotes() for _ in range(12)]) > 0.8
    assert np.mean([promotes(pi_min=0.05, pi_max=0.5) for _ in range(25)]) <= 0.12


def test_sticky_units_are_scored_once():
    # 400 reps, 100 units, 30 days, seed 107: A/A with units that differ
    rng = np.random.default_rng(107)
    rate, arm = rng.beta(0.5, 0.5, size=(100, 400)), rng.random((100, 400)) < 0.5

    def unit_day(t):
        return arm[t % 100], (rng.random(400) < rate[t % 100]).astype(float)

    def once(t):
        return arm[t], rng.binomial(30, rate[t]) / 30

    wrong = ab_streams(unit_day, reps=400, units=3000, alpha=0.05, horizon=3000, margin=0.0)
    right = ab_streams(once, reps=400, units=100, alpha=0.05, horizon=100, margin=0.0)
    assert wrong.rate > 0.15
    assert right.rate <= 0.05 + TWO_SE[400]


def test_a_unit_is_not_closed_when_it_converts():
    # 1,000 reps, 1,000 units, window of 1,000, seed 108: equal conversion of .1, early on the
    # challenger, late on the champion; a unit that leaves is closed after 300
    rng = np.random.default_rng(108)
    reps, n, leaves = 1000, 1000, 300
    arm = rng.random((n, reps)) < 0.5
    y = rng.random((n, reps)) < 0.1
    start = np.arange(n)[:, None]
    delay = rng.random((n, reps)) * 100 + np.where(arm, 0, 800)
    closed = start + np.where(y, delay, leaves)
    order = np.argsort(closed, axis=0, kind="stable")
    early_arm, early_y = np.take_along_axis(arm, order, 0), np.take_along_axis(y, order, 0)

    def run(a, outcome):
        return ab_streams(
            lambda t: (a[t], outcome[t].astype(float)),
            reps=reps, units=n, alpha=0.05, horizon=n, margin=0.0,
        ).rate  # fmt: skip

    assert run(early_arm, early_y) > 0.3
    assert run(arm, y) <= 0.05 + TWO_SE[1000]


def test_a_hill_climbed_golden_set_carries_no_level():
    # 100 lives of 52 challengers, 500 items, 10 % of the answers differ, seed 109, .05/52 each
    rng = np.random.default_rng(109)
    items, lives = 500, 100

    def flips():
        return (rng.random((items, lives)) < 0.05) * 1.0 - (rng.random((items, lives)) < 0.05)

    def passes(difference):
        return score_streams(
            lambda t, streams: difference[t, streams],
            reps=lives, alpha=0.05 / 52, horizon=items, bound=1.0, spread=0.25,
        ).promotes  # fmt: skip

    best, reused, fresh = flips(), np.zeros(lives, bool), np.zeros(lives, bool)
    for _ in range(52):
        challenger = np.where(rng.random((items, lives)) < 0.8, best, flips())
        best = np.where(challenger.sum(axis=0) > best.sum(axis=0), challenger, best)
        reused |= passes(challenger)
        fresh |= passes(flips())
    assert reused.mean() > 0.3
    assert fresh.mean() <= 0.05 + TWO_SE[100]


def scores_fire(draw, bound, n=4000, reps=200):
    return score_streams(draw, reps=reps, alpha=0.05, horizon=n, bound=bound, spread=1.0).rate


def test_a_clipped_score_is_never_negated():
    # 200 reps, 4,000 rows, seed 110: the two policies are equal, weights up to 25, cap 10
    rng = np.random.default_rng(110)
    score = OffPolicyScore(cap=10.0, champion_max=25.0, margin=0.0)

    def rows(streams):
        w = np.where(rng.random(streams.size) < 0.04, 12.5, 0.5 / 0.96)
        return w, (rng.random(streams.size) < 0.5).astype(float)

    def negated(t, streams):
        w, r = rows(streams)
        return -(np.minimum(w, 10.0) * r - w * r)

    def ours(t, streams):
        w, r = rows(streams)
        return np.minimum(w, score.cap) * (1 - r) - w * (1 - r) - score.margin

    assert score.harm(12.5, 12.5, 0.0) == 10.0 - 12.5
    assert scores_fire(negated, 10.0) > 0.95
    assert scores_fire(ours, score.harm_bound) <= 0.05


def test_logging_with_exploration_compares_with_the_champion():
    # 200 reps, 6,000 rows, seed 111: champion .60 logged under 40 % exploration (.478), new .58
    rng = np.random.default_rng(111)

    def rows(streams):
        action = rng.choice(4, p=[0.7, 0.1, 0.1, 0.1], size=streams.size)
        return action, rng.random(streams.size) < np.array([0.60, 0.58, 0.0, 0.0])[action]

    def against_the_log(t, streams):
        action, r = rows(streams)
        return np.where(action == 1, 10.0, 0.0) * r - r

    def ours(t, streams):
        action, r = rows(streams)
        return np.where(action == 1, 10.0, 0.0) * r - np.where(action == 0, 1 / 0.7, 0.0) * r

    assert scores_fire(against_the_log, 1.0, n=6000) > 0.6
    assert scores_fire(ours, 1 / 0.7, n=6000) <= 0.05 + TWO_SE[200]


def test_sample_ratio_after_a_ramp():
    # 100 reps, 6,000 units at .05, then 6,000 at .5, log-odds moved by .3, level .01, seed 112
    rng = np.random.default_rng(112)
    pis = np.r_[np.full(6000, 0.05), np.full(6000, 0.5)][:, None]
    for shift, least in ((0.0, 0.0), (0.3, 0.98)):
        moved = np.where(pis > 0.1, shift, 0.0)
        odds = pis / (1 - pis) * np.exp(moved)
        arms = rng.random((12_000, 100)) < odds / (1 + odds)
        null = np.cumsum(np.where(arms, np.log(pis), np.log1p(-pis)), axis=0)
        # wrong: one share for all units, here even the best one in hindsight at each look
        k, n = np.cumsum(arms, axis=0), np.arange(1, 12_001)[:, None]
        share = np.clip(k / n, 1e-9, 1 - 1e-9)
        best = k * np.log(share) + (n - k) * np.log1p(-share) - np.log(n + 1)
        constant = ((best - null)[::50] >= np.log(100)).any(axis=0).mean()
        logs = np.zeros((len(SHIFTS), 100))
        ours = np.zeros(100, bool)
        s = np.array(SHIFTS)[:, None]
        for pi, arm in zip(pis[:, 0], arms, strict=True):
            logs += np.where(arm, s, 0.0) - np.log1p(pi * np.expm1(s))
            ours |= np.exp(logs).mean(axis=0) >= 100
        assert constant < 0.1
        assert ours.mean() >= least
        assert least or ours.mean() <= 0.03


def test_creep_is_stopped_by_the_anchor_gate():
    # 100 lives, seed 113: 10 releases of -.8 points each, D = 2 points, 2,000 pairs a release
    rng = np.random.default_rng(113)
    lives, creep = 100, 0.02

    def gate(loss, sign):
        up, down = (0.12 - loss) / 2, (0.12 + loss) / 2

        def draw(t, streams):
            u = rng.random(streams.size)
            difference = (u < up) * 1.0 - (u > 1 - down)
            return sign * (difference + creep)

        return score_streams(
            draw, reps=lives, alpha=0.05, horizon=2000, bound=1 + creep, spread=0.25
        ).promotes

    blocked, let_through = np.full(lives, 99.0), np.zeros(lives, bool)
    for release in range(1, 11):
        loss = 0.008 * release
        found = gate(loss, sign=-1.0)  # wrong: released until harm against the anchor is found
        blocked = np.where(found & (blocked == 99.0), loss, blocked)
        if loss >= creep:  # ours: released only if "anchor - D or worse" is rejected
            let_through |= gate(loss, sign=1.0)
    assert np.median(blocked) >= 1.5 * creep
    assert let_through.mean() <= 0.05 + TWO_SE[100]


def test_a_peeked_z_test_breaks_and_the_simulator_is_right():
    # 2,000 A/A runs, 20,000 units, 100 looks, seed 114
    rng = np.random.default_rng(114)
    hits = rng.binomial(100, 0.1, size=(100, 2, 2000)).cumsum(axis=0)
    n = 100 * np.arange(1, 101)[:, None]
    a, b = hits[:, 0] / n, hits[:, 1] / n
    pooled = (a + b) / 2
    z = (a - b) / np.sqrt(2 * pooled * (1 - pooled) / n)
    assert (np.abs(z) > 1.96).any(axis=0).mean() > 0.25
    assert (np.abs(z[-1]) > 1.96).mean() == pytest.approx(0.05, abs=0.012)
