# SPDX-License-Identifier: Apache-2.0
"""Silence of one arm: rare by chance in any season, soon seen where feedback stops."""

import math

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import silence

SEASON = 0.2 * np.exp(-4.0 * (1 - np.cos(np.arange(4000) * 2 * np.pi / 2000)) / 2)  # feedback of .2, and of .004 at night


def world(rng, *, ratio=1.0, shares=0.5, stops=None):
    """Marks and shares of the units with feedback; and the marks of all units, told or not."""
    p = np.broadcast_to(shares, SEASON.shape)
    mine = rng.random(SEASON.size) < p
    told = rng.random(SEASON.size) < np.where(mine, np.minimum(SEASON * ratio, 1.0), SEASON)
    if stops is not None:
        told &= ~mine | (np.arange(SEASON.size) < stops)
    return mine, told, p


def by_own_rate(mine, told):
    """The wrong build: (1 - rate of before)^run for each arm, an alarm where one is unlikely and another is not."""
    logs = []
    for arm in (True, False):
        marks = told[mine == arm]
        run = int(np.argmax(marks[::-1]))
        before = marks[: marks.size - run]
        logs.append(run * math.log1p(-before.mean()))
    return min(logs) < math.log(1e-3) and max(logs) > math.log(0.1)


@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("shares", [0.5, 0.1, np.where(np.arange(4000) < 2000, 0.5, 0.1)], ids=["half", "tenth", "ramp"])
def test_seasons_and_ramps_are_no_silence(ratio, shares):
    # 800 worlds that end at a moment of low season, level .01 plus two standard errors (.007), seed 191
    rng = np.random.default_rng(191)
    alarms = 0
    for _ in range(800):
        end = int(rng.integers(2500, 4000))
        mine, told, p = world(rng, ratio=ratio, shares=shares)
        told[end:] = False
        alarms += silence(mine[told], p[told]) <= math.log(0.01)
    assert alarms / 800 <= 0.017


def test_control_a_rate_of_its_own_takes_the_season_for_silence():
    # 800 equal arms with a season, the same ends: the wrong build at 1e-3 against ours
    rng = np.random.default_rng(192)
    wrong = ours = 0
    for _ in range(800):
        end = int(rng.integers(2500, 4000))
        mine, told, p = world(rng)
        wrong += by_own_rate(mine[:end], told[:end])
        told[end:] = False
        ours += min(silence(mine[told], p[told]), silence(~mine[told], 1 - p[told])) <= math.log(1e-3)
    assert wrong / 800 > 0.02
    assert ours / 800 <= 0.005


def test_an_arm_whose_feedback_stops_is_found():
    # 100 worlds: 1e-6 is reached after about 20 answers of the other arm
    rng = np.random.default_rng(193)
    found, needed = 0, []
    for _ in range(100):
        mine, told, p = world(rng, stops=1800)
        marks, shares = mine[told], p[told]
        found += silence(marks, shares) < math.log(1e-6)
        last = int(np.flatnonzero(marks)[-1]) + 1
        needed.append(next((n - last for n in range(last, marks.size + 1) if silence(marks[:n], shares[:n]) < math.log(1e-6)), 999))
    assert found == 100
    assert 18 <= np.median(needed) <= 26


def test_what_is_no_run_and_what_is_refused():
    assert silence([], []) == 0.0
    assert silence([False, True], [0.5, 0.5]) == 0.0
    assert silence([False] * 3, [0.5] * 3) > math.log(0.3), "without any feedback before, nothing is known of its rate"
    for mine, shares in (([True], []), ([True], [1.0]), ([True], [0.0]), ([True, False], [0.5, float("nan")])):
        with pytest.raises(ArgumentError):
            silence(mine, shares)
