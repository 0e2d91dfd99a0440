# SPDX-License-Identifier: Apache-2.0
"""Alarms at the stated rate."""

import json

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import Alarm, MeanDetector, upper_limit


def run_lengths(m, rate, target, streams, limit, seed):
    """Steps to the first alarm of each stream, `limit` where there was none."""
    rng = np.random.default_rng(seed)
    detector = MeanDetector(m, 0.0, 1.0, streams=streams)
    out = np.full(streams, limit)
    for t in range(limit):
        detector.update((rng.random(streams) < rate).astype(float), years=1 / target)
        out[detector.alarm & (out == limit)] = t + 1
        if (out < limit).all():
            break
    return out


def test_false_alarms_per_year_with_restarts():
    # 400 streams, seed 51, one alarm a year asked, irregular steps of 0 to 1/100 year, 3 years
    rng = np.random.default_rng(51)
    detector = MeanDetector(0.3, 0.0, 1.0, streams=400)
    alarms, years = 0, 0.0
    while years < 3.0:
        w = float(rng.random() / 100)
        years += w
        detector.update((rng.random(400) < 0.3).astype(float), w)
        fired = detector.alarm
        alarms += int(fired.sum())
        detector.accept(fired)
    assert alarms / 400 / years <= 1.0 + 2 * (1.0 / (400 * 3)) ** 0.5


def test_run_length_on_400_streams():
    # target 200 steps, seed 52: the mean is at least the target; measured about 330
    assert run_lengths(0.2, 0.2, 200, 400, 3000, seed=52).mean() >= 200


def test_control_a_base_below_the_truth_breaks_the_run_length():
    assert run_lengths(0.2, 0.26, 200, 400, 3000, seed=53).mean() < 200


@pytest.mark.parametrize("streams", [None, 3])
def test_a_run_gives_the_same_bits_as_its_steps(streams):
    """Over the edge of a chunk, through an alarm, and where the statistic has met its ceiling."""
    rng = np.random.default_rng(8)
    shape = (9_000, 8) if streams is None else (9_000, streams, 8)
    evalues, years = 1.0 + rng.uniform(-0.3, 0.6, shape), rng.random(shape[0]) / 1_000
    one, other = (Alarm(1.0, 8, streams=streams) for _ in range(2))
    for e, w in zip(evalues, years.tolist(), strict=True):
        one.step(e, w)
    assert other.run(evalues, years).state() == one.state()
    assert np.all(other.alarm)
    assert np.max(other.statistic) > 1e300
    assert Alarm(1.0, 8).run(np.ones((0, 8)), 0.1).state() == Alarm(1.0, 8).state()
    with pytest.raises(ArgumentError, match="years"):
        Alarm(1.0, 8).run(np.ones((2, 8)), [0.1, -0.1])


def test_control_a_threshold_counted_in_steps_of_other_traffic_breaks_the_rate():
    # the wrong build counts steps of a tenth of the traffic: 10 times the alarms
    assert run_lengths(0.2, 0.2, 20, 400, 3000, seed=54).mean() < 200


@pytest.mark.parametrize(("after", "median"), [(0.13, 1250), (0.20, 190)])
def test_a_rise_is_found(after, median):
    # 100 streams, seed 55, one alarm in 100,000 rows: measured 1,140 and 162
    assert np.median(run_lengths(0.10, after, 100_000, 100, 4000, seed=55)) <= median * 1.6


def test_columns_share_the_rate():
    one, five = MeanDetector(0.1, 0.0, 2.0), MeanDetector(0.1, 0.0, 2.0, columns=5)
    assert (one.threshold, five.threshold) == (0.5, 2.5)


def test_an_alarm_is_held_until_it_is_accepted():
    detector = MeanDetector(0.1, 0.0, 1.0).run(np.ones(50), 0.01)
    assert detector.alarm
    detector.run(np.zeros(500), 0.01)
    assert detector.alarm
    detector.accept()
    assert (detector.alarm, detector.statistic) == (False, 0.0)


def test_a_restart_through_json_keeps_every_bit():
    xs = np.random.default_rng(3).random(200)
    years = np.random.default_rng(4).random(200) / 50
    straight = MeanDetector(0.5, 0.01, 0.5, columns=3).run(xs, years)
    first = MeanDetector(0.5, 0.01, 0.5, columns=3).run(xs[:90], years[:90])
    again = MeanDetector.from_state(json.loads(json.dumps(first.state())))
    assert again.run(xs[90:], years[90:]).state() == straight.state()


def test_parallel_streams_equal_single_ones():
    xs = np.random.default_rng(5).random((80, 3))
    many = MeanDetector(0.5, 0.0, 1.0, streams=3).run(xs, 0.01)
    for i in range(3):
        one = MeanDetector(0.5, 0.0, 1.0).run(xs[:, i], 0.01)
        assert many.statistic[i] == one.statistic


def test_upper_limit_covers():
    # 2,000 draws of 500 rows at .03, seed 56: missed at most .05 plus two standard errors
    k = np.random.default_rng(56).binomial(500, 0.03, size=2000)
    limits = {x: upper_limit(x, 500) for x in np.unique(k)}
    assert np.mean([limits[x] < 0.03 for x in k]) <= 0.0597
    assert upper_limit(10, 10) == 1.0


@pytest.mark.parametrize("bad", [1.1, -0.1, float("nan")])
def test_values_outside_their_bounds_are_refused(bad):
    with pytest.raises(ArgumentError, match=r"\[0, 1\]"):
        MeanDetector(0.1, 0.0, 1.0).update(bad, 0.1)
    with pytest.raises(ArgumentError):
        MeanDetector(0.6, 0.5, 1.0)
    with pytest.raises(ArgumentError):
        Alarm(0.0, bets=1)
