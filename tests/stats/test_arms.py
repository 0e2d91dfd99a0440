# SPDX-License-Identifier: Apache-2.0
"""Several arms, winsorising, reports over many columns, the forecast of an A/B."""

import json

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import ArmTest, Winsor, benjamini_hochberg, e_bh, forecast_ab

RATES = (0.5, 0.2, 0.5)


def run(rng, n, rates=RATES, score_all_others=False):
    """The arm 2 (equal to the champion) against the champion, with a bad arm 1 beside it."""
    test = ArmTest(0.05, n, 0.0)
    for _ in range(n):
        drawn = int(rng.integers(3))
        y = float(rng.random() < rates[drawn])
        if score_all_others:
            test.update(int(drawn == 2), y, 1 / 3)
        else:
            test.update_of(2, drawn, y, pi_arm=1 / 3, pi_champion=1 / 3)
        if test.promotes:
            return True
    return False


def test_a_bad_third_arm_does_not_help_and_its_control():
    # 60 reps, 1,000 units, seed 71; wrong: "all the others" in place of the champion
    rng = np.random.default_rng(71)
    assert np.mean([run(rng, 1000, score_all_others=True) for _ in range(30)]) > 0.8
    assert np.mean([run(rng, 1000) for _ in range(60)]) <= 0.05 + 0.056


def test_units_of_other_arms_score_the_margin_and_move_no_baseline():
    test = ArmTest(0.05, 100, 0.0)
    test.update_of(1, 2, 1.0, pi_arm=0.3, pi_champion=0.3)
    assert (test.n, test.wealth) == (1, 1.0)
    again = ArmTest.from_state(json.loads(json.dumps(test.state())))
    assert again.state() == test.state()
    with pytest.raises(ArgumentError, match="sum to at most 1"):
        test.update_of(1, 1, 1.0, pi_arm=0.7, pi_champion=0.5)


def test_winsor():
    cap = Winsor(10.0, 30.0)
    assert cap.scale([5.0, 10.0, 20.0, 99.0]).tolist() == [0.0, 0.0, 0.5, 1.0]
    assert cap.cut([5.0, 10.0, 20.0, 99.0]) == 0.5
    assert cap.unscale(0.1) == pytest.approx(2.0)
    with pytest.raises(ArgumentError, match="finite outcomes"):
        cap.scale([float("nan")])
    with pytest.raises(ArgumentError, match="low < high"):
        Winsor(1.0, 1.0)


def test_benjamini_hochberg_controls_false_reports():
    # 400 reports of 50 columns, 10 of them changed, seed 72
    rng = np.random.default_rng(72)
    shares, hits, naive = [], [], []
    for _ in range(400):
        z = rng.standard_normal(50)
        z[:10] += 3.5
        p = np.array([0.5]) * 0 + 1 - 0.5 * (1 + np.array([_erf(v / 2**0.5) for v in z]))
        chosen = benjamini_hochberg(p, 0.1)
        shares.append(chosen[10:].sum() / max(chosen.sum(), 1))
        hits.append(chosen[:10].mean())
        below = p < 0.1
        naive.append(below[10:].sum() / max(below.sum(), 1))
    assert np.mean(shares) <= 0.1
    assert np.mean(hits) > 0.8
    assert np.mean(naive) > 0.2  # control: no correction


def _erf(x):
    from math import erf

    return erf(x)


def test_e_bh_is_benjamini_hochberg_on_inverted_e_values():
    e = np.array([200.0, 3.0, 0.0, 90.0, 60.0])
    assert e_bh(e, 0.05).tolist() == [True, False, False, True, True]
    assert not e_bh([], 0.05).size
    with pytest.raises(ArgumentError):
        e_bh([-1.0])
    with pytest.raises(ArgumentError):
        benjamini_hochberg([float("nan")])


def test_the_forecast_of_an_ab():
    answer = forecast_ab(0.10, 0.05, 0.0, 0.05, seed=1)
    assert answer.reachable
    assert answer.power >= 0.95
    assert 1600 <= answer.horizon <= 2400
    assert not forecast_ab(0.10, 0.001, 0.0, 0.05, max_horizon=500).reachable
    assert not forecast_ab(0.10, 0.0, 0.0, 0.05).reachable
    with pytest.raises(ArgumentError, match="give rates"):
        forecast_ab(0.99, 0.05, 0.0, 0.05)
