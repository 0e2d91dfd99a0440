# SPDX-License-Identifier: Apache-2.0
"""Sample ratio and intervals."""

import json

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import SampleRatio, mean_interval
from trueup.stats.ratio import SHIFTS


def fires(pis, shift, reps, level, seed):
    """`SampleRatio` on many streams; the true log-odds are moved by `shift`."""
    rng = np.random.default_rng(seed)
    odds = pis / (1 - pis) * np.exp(shift)
    arms = rng.random((pis.size, reps)) < (odds / (1 + odds))[:, None]
    best = np.zeros((len(SHIFTS), reps))
    fired = np.zeros(reps, bool)
    s = np.array(SHIFTS)[:, None]
    for pi, arm in zip(pis, arms, strict=True):
        best += np.where(arm, s, 0.0) - np.log1p(pi * np.expm1(s))
        fired |= np.exp(best).mean(axis=0) * level >= 1
    return fired.mean()


RAMP = np.r_[np.full(2000, 0.05), np.full(4000, 0.5)]


def test_level_under_a_ramp():
    # 1,000 reps, seed 61, level .05 plus two standard errors (.0138)
    assert fires(RAMP, 0.0, 1000, 0.05, seed=61) <= 0.0638


def test_a_shift_after_a_ramp_is_found():
    # 200 reps, seed 62: log-odds moved by .3, level .001
    assert fires(RAMP, 0.3, 200, 0.001, seed=62) >= 0.99


def test_the_streams_of_these_tests_agree_with_the_test_itself():
    pis = np.r_[np.full(100, 0.1), np.full(300, 0.5)]
    rng = np.random.default_rng(63)
    arms = rng.random(400) < 0.6
    ratio = SampleRatio(0.01)
    logs = np.zeros(len(SHIFTS))
    for pi, arm in zip(pis, arms, strict=True):
        ratio.update(int(arm), float(pi))
        logs += np.where(arm, SHIFTS, 0.0) - np.log1p(pi * np.expm1(SHIFTS))
        if np.exp(logs).mean() >= 100:
            break
    assert ratio.wealth == pytest.approx(np.exp(logs).mean())


def test_a_unit_in_a_closed_arm_is_an_alarm_unless_it_is_an_override():
    ratio = SampleRatio(0.001)
    ratio.update(1, 0.0, override=True)
    ratio.update(0, 0.0)
    assert not ratio.alarm
    ratio.update(1, 0.0)
    assert ratio.alarm
    again = SampleRatio.from_state(json.loads(json.dumps(ratio.state())))
    assert again.state() == ratio.state()
    with pytest.raises(ArgumentError):
        ratio.update(1, 1.2)


def test_the_interval_agrees_with_the_formula_of_the_field():
    # two half-widths that a widely used experimentation library reports
    interval = mean_interval(0.0, se=1.0, n=100, alpha=0.05, n_star=100)
    assert interval.half == pytest.approx(interval.high)
    widths = [mean_interval(0.0, se=1 / np.sqrt(n), n=n, n_star=5000).half for n in (50, 500, 5000)]
    assert widths[0] > widths[1] > widths[2]
    # narrowest near n_star: no other r gives a narrower one there
    at = mean_interval(0.0, se=1.0, n=5000, n_star=5000).half
    for other in (500, 50_000):
        assert at < mean_interval(0.0, se=1.0, n=5000, n_star=other).half


def test_the_interval_covers_at_all_times():
    # 500 runs of 4,000 units looked at 40 times after a burn-in, seed 64
    rng = np.random.default_rng(64)
    x = rng.standard_normal((4000, 500)).cumsum(axis=0)
    missed = np.zeros(500, bool)
    for n in range(100, 4001, 100):
        half = mean_interval(0.0, se=n**-0.5, n=n, n_star=2000).half
        missed |= np.abs(x[n - 1] / n) > half
    assert missed.mean() <= 0.05 + 2 * (0.05 * 0.95 / 500) ** 0.5


def test_control_a_fixed_interval_looked_at_often_misses():
    rng = np.random.default_rng(64)
    x = rng.standard_normal((4000, 500)).cumsum(axis=0)
    missed = np.zeros(500, bool)
    for n in range(100, 4001, 100):
        missed |= np.abs(x[n - 1] / n) > 1.96 * n**-0.5
    assert missed.mean() > 0.15
