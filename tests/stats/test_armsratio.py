# SPDX-License-Identifier: Apache-2.0
"""The sample ratio of many arms: level, power beside one arm against the rest, states."""

import json

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import ArmsRatio, SampleRatio
from trueup.stats.armsratio import CONCENTRATIONS
from trueup.stats.ratio import SHIFTS


def drawn(rng, shares, tilts):
    """Arms of shape (units, runs) for shares (units, K), tilted by (runs, K)."""
    arms = np.empty((len(shares), len(tilts)), dtype=np.int64)
    for t, p in enumerate(shares):
        q = np.cumsum(p * tilts, axis=1)
        arms[t] = (rng.random(len(tilts))[:, None] * q[:, -1:] > q[:, :-1]).sum(axis=1)
    return arms


def singles(shares, arms, chosen):
    """Log wealths (chosen arms, shifts, units, runs) of arm against the rest."""
    s, logs = np.array(SHIFTS)[:, None, None], []
    for j in chosen:
        step = np.where(arms == j, s, 0.0) - np.log1p(shares[:, j][None, :, None] * np.expm1(s))
        logs.append(np.cumsum(step, axis=1))
    return np.exp(np.minimum(np.stack(logs), 600.0))


def fires(shares, arms, level):
    """`ArmsRatio` on many runs at once, and one against the rest at ``level / (K - 1)`` each."""
    (n, k), runs = shares.shape, arms.shape[1]
    seen, expected = np.zeros((runs, 1, k)), np.zeros(k)
    logs, many, at = np.zeros((runs, CONCENTRATIONS.size)), np.zeros((n, runs)), np.arange(runs)
    for t in range(n):
        weight = CONCENTRATIONS[:, None] * (expected + shares[t]) / (t + 1)
        tilt = (weight + seen) / (weight + expected)
        logs += np.log(tilt[at, :, arms[t]] / (tilt @ shares[t]))
        many[t] = np.exp(np.minimum(logs, 600.0)).mean(axis=1)
        seen[at, 0, arms[t]] += 1
        expected = expected + shares[t]
    every = singles(shares, arms, range(k)).mean(axis=1)
    mixed = 0.5 * many + 0.5 * every.mean(axis=0)
    rest = (every[1:] * level / (k - 1) >= 1).any(axis=(0, 1))
    return (mixed * level >= 1).any(axis=0), rest


RAMP = np.concatenate([np.tile([0.85, 0.05, 0.05, 0.05], (600, 1)), np.tile([0.25] * 4, (900, 1)), np.tile([0.1, 0.2, 0.3, 0.4], (500, 1))])


def test_level_of_many_arms_under_ramps_and_its_control():
    # 800 runs of 2,000 units, seed 181, level .05 plus two standard errors (.0154)
    arms = drawn(np.random.default_rng(181), RAMP, np.ones((800, 4)))
    assert fires(RAMP, arms, 0.05)[0].mean() <= 0.0654
    constant = np.tile(RAMP[0], (len(RAMP), 1))  # wrong: the first shares for all units
    assert fires(constant, arms[:, :50], 0.05)[0].mean() == 1.0


@pytest.mark.parametrize(("k", "spread", "least"), [(4, 0.12, 0.08), (10, 0.145, 0.08)])
def test_power_where_all_arms_are_a_little_wrong(k, spread, least):
    # 300 truly broken runs of 4,000 units (log-odds of every arm moved by a normal draw), seed 182, level .001:
    # .65 where one against the rest finds .57 (4 arms), .92 where it finds .69 (10 arms)
    rng = np.random.default_rng(182)
    shares = np.full((4000, k), 1.0 / k)
    many, rest = fires(shares, drawn(rng, shares, np.exp(spread * rng.normal(size=(300, k)))), 0.001)
    assert many.mean() >= rest.mean() + least


def test_the_price_where_one_of_ten_arms_is_wrong():
    # 200 runs of 4,000 units, seed 183, level .001: one arm short by a fifth; .42 where one against the rest finds .50
    rng = np.random.default_rng(183)
    shares, tilts = np.full((4000, 10), 0.1), np.ones((200, 10))
    tilts[:, 3] = 0.77
    many, rest = fires(shares, drawn(rng, shares, tilts), 0.001)
    assert many.mean() >= rest.mean() - 0.1


def test_the_runs_of_these_tests_agree_with_the_test_itself():
    arms = drawn(np.random.default_rng(184), RAMP, np.exp(np.random.default_rng(1).normal(size=(6, 4)) * 0.15))
    told = fires(RAMP, arms, 0.01)[0]
    for run in range(6):
        ratio = ArmsRatio(0.01, 4)
        for arm, p in zip(arms[:, run], RAMP, strict=True):
            ratio.update(int(arm), p.tolist())
        assert ratio.alarm == told[run]


def test_at_constant_shares_it_is_the_dirichlet_multinomial():
    from math import lgamma

    ratio, p = ArmsRatio(1e-9, 3), np.array([0.5, 0.3, 0.2])
    arms = [0, 2, 2, 1, 2, 0, 2]
    for arm in arms:
        ratio.update(arm, p.tolist())
    counts = np.bincount(arms, minlength=3)
    for a, log in zip(CONCENTRATIONS, ratio._logs, strict=True):
        exact = lgamma(a) - lgamma(a + len(arms)) + sum(lgamma(a * q + n) - lgamma(a * q) - n * np.log(q) for q, n in zip(p, counts, strict=True))
        assert log == pytest.approx(exact, abs=1e-7)


def test_two_arms_are_those_of_the_sample_ratio():
    both, one = ArmsRatio(0.001, 2), SampleRatio(0.001)
    for unit in range(300):
        arm, pi = int(unit % 3 == 0), 0.5 if unit < 100 else 0.3
        both.update(arm, [1 - pi, pi])
        one.update(arm, pi)
    assert np.exp(both._single[1]).mean() == pytest.approx(one.wealth)


def test_closed_arms_overrides_states_and_arguments():
    ratio = ArmsRatio(0.001, 3)
    ratio.update(2, [0.5, 0.5, 0.0], override=True)
    for arm in (0, 1, 1, 0):
        ratio.update(arm, [0.5, 0.5, 0.0])
    ratio.update(2, [0.2, 0.3, 0.5])
    again = ArmsRatio.from_state(json.loads(json.dumps(ratio.state())))
    for one in (ratio, again):
        one.update(1, [0.1, 0.1, 0.8])
    assert again.state() == ratio.state()
    assert ratio.n == 6
    assert not ratio.alarm
    ratio.update(2, [0.5, 0.5, 0.0])
    assert ratio.crossed_at == 7
    for arm, shares in ((3, [0.5, 0.5, 0.0]), (0, [0.5, 0.5]), (0, [0.5, 0.6, 0.1]), (0, [1.5, -0.5, 0.0]), (0, [float("nan"), 0.5, 0.5]), (True, [0.5, 0.5, 0.0])):
        with pytest.raises(ArgumentError):
            ArmsRatio(0.01, 3).update(arm, shares)
    with pytest.raises(ArgumentError, match="arms"):
        ArmsRatio(0.01, 1)
