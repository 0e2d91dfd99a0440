# SPDX-License-Identifier: Apache-2.0
"""The primitive and the paired shadow."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core.errors import ArgumentError
from trueup.stats import PairedTest, ScoreTest, paired
from trueup.stats.streams import paired_streams, score_streams


def pairs(rng, n, disagreement, effect, champion=0.7):
    u = rng.random(n)
    new_only, champ_only = (disagreement + effect) / 2, (disagreement - effect) / 2
    both = rng.random(n) < champion
    y_new = np.where(u < new_only, 1.0, np.where(u > 1 - champ_only, 0.0, both))
    y_champ = np.where(u < new_only, 0.0, np.where(u > 1 - champ_only, 1.0, both))
    return y_new.astype(float), y_champ.astype(float)


def test_run_and_single_updates_give_the_same_bits():
    y_new, y_champ = pairs(np.random.default_rng(1), 700, 0.2, 0.03)
    whole = paired(y_new, y_champ, alpha=0.01, horizon=700, margin=0.03)
    one = PairedTest(0.01, 700, 0.03)
    for a, b in zip(y_new, y_champ, strict=True):
        one.update(a, b)
    assert one.state() == whole.state()


@given(cut=st.integers(0, 300), seed=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_a_restart_through_json_keeps_every_bit(cut, seed):
    y_new, y_champ = pairs(np.random.default_rng(seed), 300, 0.2, 0.0)
    straight = PairedTest(0.05, 300, 0.02).run(y_new, y_champ)
    first = PairedTest(0.05, 300, 0.02).run(y_new[:cut], y_champ[:cut])
    again = PairedTest.from_state(json.loads(json.dumps(first.state())))
    assert again.run(y_new[cut:], y_champ[cut:]).state() == straight.state()


def test_wealth_is_frozen_at_the_crossing_and_at_the_horizon():
    crossed = paired(np.ones(400), np.ones(400), alpha=0.05, horizon=400, margin=0.05)
    assert crossed.rejected
    assert crossed.finished
    assert crossed.n == crossed.crossed_at < 400
    before = crossed.wealth
    crossed.update(0.0, 1.0)
    assert crossed.wealth == before
    refused = paired(np.zeros(50), np.ones(50), alpha=0.05, horizon=30, margin=0.05)
    assert (refused.n, refused.finished, refused.rejected) == (30, True, False)


@pytest.mark.parametrize("bad", [1.5, -0.1, float("nan"), float("inf")])
def test_outcomes_outside_their_bounds_are_refused(bad):
    test = PairedTest(0.05, 10, 0.0)
    with pytest.raises(ArgumentError, match="y_new"):
        test.update(bad, 0.0)
    with pytest.raises(ArgumentError, match="y_champ"):
        test.run([0.0], [bad])
    assert test.n == 0


@pytest.mark.parametrize(
    ("alpha", "horizon", "margin"),
    [(0, 10, 0), (1, 10, 0), (0.05, 0, 0), (0.05, 10, 1.0), (0.05, 10, -0.1), (0.05, 2.5, 0)],
)
def test_bad_arguments_are_refused(alpha, horizon, margin):
    with pytest.raises(ArgumentError):
        PairedTest(alpha, horizon, margin)


def test_a_score_below_the_bound_is_refused():
    with pytest.raises(ArgumentError, match="at least -1"):
        ScoreTest(0.05, 10, bound=1.0).update(-1.1)


def test_the_streams_agree_with_the_test_itself():
    rng = np.random.default_rng(2)
    new, champ = (
        np.array(y) for y in zip(*(pairs(rng, 400, 0.2, 0.05) for _ in range(20)), strict=True)
    )
    run = paired_streams(new.T, champ.T, alpha=0.05, horizon=400, margin=0.02)
    for i in range(20):
        one = paired(new[i], champ[i], alpha=0.05, horizon=400, margin=0.02)
        assert run.wealth[i] == pytest.approx(one.wealth, rel=1e-9)
        assert run.crossed_at[i] == (one.crossed_at or 0)


def null_rate(reps, n, disagreement, margin, alpha, seed, bound=None, horizon=None):
    """False promotions when the challenger is worse by exactly the margin."""
    rng = np.random.default_rng(seed)
    new_only, champ_only = (disagreement - margin) / 2, (disagreement + margin) / 2

    def draw(t, streams):
        u = rng.random(streams.size)
        return (u < new_only) * 1.0 - (u > 1 - champ_only) + margin

    return score_streams(
        draw,
        reps=reps,
        alpha=alpha,
        horizon=horizon or n,
        units=n,
        bound=bound or 1 - margin,
        spread=0.25,
    ).rate


@pytest.mark.parametrize(("disagreement", "margin"), [(0.1, 0.0), (0.1, 0.05), (0.4, 0.02)])
def test_false_promotions_stay_below_alpha(disagreement, margin):
    # 4,000 reps, seed 11, alpha .05: bound .05 plus two standard errors (.0069)
    assert null_rate(4000, 800, disagreement, margin, 0.05, seed=11) <= 0.0569


def test_a_wrong_horizon_costs_power_and_never_the_level():
    # 4,000 reps, seed 12: 1,000 pairs come where 300 or 5,000 were planned
    for horizon in (300, 5000):
        assert null_rate(4000, 1000, 0.2, 0.02, 0.05, seed=12, horizon=horizon) <= 0.0569


def test_control_a_score_without_the_margin_in_the_null_breaks_the_level():
    # the same world, but the margin is credited twice (S = difference + 2 margin): it must fail
    rng = np.random.default_rng(11)

    def draw(t, streams):
        u = rng.random(streams.size)
        return (u < 0.025) * 1.0 - (u > 1 - 0.075) + 2 * 0.05

    wrong = score_streams(draw, reps=1000, alpha=0.05, horizon=800, bound=0.95, spread=0.25)
    assert wrong.rate > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("disagreement", "floor"), [(0.10, 0.88), (0.20, 0.46)])
def test_power_of_a_shadow_at_a_lifetime_level(disagreement, floor):
    # 1,000 reps, seed 13, level .05/52, 5,000 pairs, +2 points: expected .90 and .50
    rng = np.random.default_rng(13)
    up, down = (disagreement + 0.02) / 2, (disagreement - 0.02) / 2

    def draw(t, streams):
        u = rng.random(streams.size)
        return (u < up) * 1.0 - (u > 1 - down)

    run = score_streams(draw, reps=1000, alpha=0.05 / 52, horizon=5000, bound=1.0, spread=0.25)
    assert run.rate >= floor
