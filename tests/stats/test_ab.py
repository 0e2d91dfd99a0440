# SPDX-License-Identifier: Apache-2.0
"""A/B promotion: rows of power, level, carried evidence, the current wealth."""

import json

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import ABTest, carried
from trueup.stats.streams import ab_streams


def world(rng, reps, champion, challenger, pi=0.5):
    def draw(t):
        arm = rng.random(reps) < pi
        return arm, (rng.random(reps) < np.where(arm, challenger, champion)).astype(float)

    return draw


def rate(reps, units, champion, challenger, seed, pi=0.5, alpha=0.05, margin=0.0, **options):
    draw = world(np.random.default_rng(seed), reps, champion, challenger, pi)
    options.setdefault("horizon", units)
    return ab_streams(draw, reps=reps, units=units, alpha=alpha, margin=margin, pi=pi, **options)


def test_the_streams_agree_with_the_test_itself():
    draw = world(np.random.default_rng(1), 12, 0.3, 0.4, pi=0.4)
    rows = [draw(t) for t in range(300)]
    run = ab_streams(
        lambda t: rows[t], reps=12, units=300, alpha=0.05, horizon=250, margin=0.01, pi=0.4
    )
    for i in range(12):
        test = ABTest(0.05, 250, 0.01)
        first = 0
        for t, (arm, y) in enumerate(rows):
            test.update(int(arm[i]), y[i], 0.4)
            first = first or (t + 1 if test.promotes else 0)
        assert run.wealth[i] == pytest.approx(test.wealth, rel=1e-9)
        assert run.crossed_at[i] == first


def test_a_restart_through_json_keeps_every_bit():
    rng = np.random.default_rng(2)
    units = [(int(rng.random() < 0.5), float(rng.random()), 0.5) for _ in range(200)]
    straight, first = ABTest(0.05, 150, 0.02), ABTest(0.05, 150, 0.02)
    for unit in units:
        straight.update(*unit)
    for unit in units[:77]:
        first.update(*unit)
    again = ABTest.from_state(json.loads(json.dumps(first.state())))
    for unit in units[77:]:
        again.update(*unit)
    assert again.state() == straight.state()


@pytest.mark.parametrize(
    ("champion", "challenger", "floor"),
    [(0.60, 0.65, 0.92), (0.02, 0.04, 0.96), (0.05, 0.10, 0.985)],
)
def test_power_quick(champion, challenger, floor):
    # 150 reps, seed 21; expected .96 to .97, .99, 1.00; two standard errors are .03, .02, .00
    assert rate(150, 5000, champion, challenger, seed=21).rate >= floor - 0.02


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("champion", "challenger", "floor"),
    [
        (0.60, 0.65, 0.93),
        (0.02, 0.04, 0.97),
        (0.05, 0.10, 0.99),
        (0.90, 0.95, 0.99),
        (0.97, 0.99, 0.99),
    ],
)
def test_power_at_5000_requests(champion, challenger, floor):
    # 1,000 reps, seed 22, 50/50, level .05
    run = rate(1000, 5000, champion, challenger, seed=22)
    assert run.rate >= floor
    if champion == 0.60:
        assert np.where(run.crossed_at == 0, 5000, run.crossed_at).mean() <= 2500


def test_aa_quick():
    # 2,000 reps, 600 units, seed 23: .05 plus two standard errors (.0097)
    assert rate(2000, 600, 0.3, 0.3, seed=23).rate <= 0.0597


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("p", [0.02, 0.50, 0.95])
def test_aa_at_5000_requests(p):
    # 1,000 reps, seed 24, any crossing at 5,000 looks: .05 plus two standard errors (.0138)
    assert rate(1000, 5000, p, p, seed=24).rate <= 0.0638


def test_wrong_direction_never_promotes():
    # 300 reps, seed 25
    assert rate(300, 1500, 0.10, 0.05, seed=25).rate == 0.0


def test_the_boundary_of_the_margin_and_a_small_share():
    # 2,000 reps, seed 26, pi .05, worse by exactly the margin
    assert rate(2000, 800, 0.30, 0.27, seed=26, pi=0.05, margin=0.03).rate <= 0.0597


def test_control_a_baseline_of_one_half_loses_the_power_on_rare_outcomes():
    # the pooled mean is what finds .02 against .04: at m = .5 the same bet is nearly blind
    rng = np.random.default_rng(27)
    reps, n, alpha = 200, 5000, 0.05
    wealth, top = np.zeros((6, reps)), np.zeros(reps)
    effects = np.array([0.005, 0.01, 0.02, 0.04, 0.08, 0.16])[:, None]
    stakes = np.minimum(effects / (1.0 + effects**2), 0.9)
    for _ in range(n):
        arm = rng.random(reps) < 0.5
        y = rng.random(reps) < np.where(arm, 0.04, 0.02)
        wealth += np.log1p(stakes * np.where(arm, 2 * (y - 0.5), -2 * (y - 0.5)))
        top = np.maximum(top, np.exp(wealth).mean(axis=0))
    assert (top >= 1 / alpha).mean() < 0.5


def test_promote_on_the_current_wealth():
    test = ABTest(0.05, 4000, 0.0)
    for i in range(200):  # the challenger wins every time
        test.update(i % 2, float(i % 2), 0.5, may_end=False)
    assert test.promotes
    for i in range(1500):  # and then loses every time, before the minimum duration is over
        test.update(i % 2, float(1 - i % 2), 0.5, may_end=False)
    assert not test.promotes


def test_carried_evidence_starts_the_next_step():
    assert ABTest(0.05, 100, 0.0, start=carried(9.0)).wealth == pytest.approx(5.0)
    assert carried(0.0) == 0.5


def test_covariates_need_declared_propensities():
    with pytest.raises(ArgumentError, match="pi_min and pi_max"):
        ABTest(0.05, 100, 0.0).update(1, 1.0, 0.5, baseline=0.3)
    test = ABTest(0.05, 100, 0.0, pi_min=0.1, pi_max=0.9)
    test.update(1, 1.0, 0.2, baseline=0.3)
    with pytest.raises(ArgumentError, match=r"declared \[0.1, 0.9\]"):
        test.update(1, 1.0, 0.05)
    with pytest.raises(ArgumentError, match="both pi_min and pi_max"):
        ABTest(0.05, 100, 0.0, pi_min=0.1)


@pytest.mark.parametrize(
    ("arm", "y", "pi"),
    [(2, 0.0, 0.5), (1, 1.1, 0.5), (1, 0.0, 0.0), (0, 0.0, 1.0), (1, float("nan"), 0.5)],
)
def test_bad_units_are_refused(arm, y, pi):
    test = ABTest(0.05, 100, 0.0)
    with pytest.raises(ArgumentError):
        test.update(arm, y, pi)
    assert test.n == 0
