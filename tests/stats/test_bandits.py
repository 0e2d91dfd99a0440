# SPDX-License-Identifier: Apache-2.0
"""Bandits: propensities are exact, floors hold, the models are those of ridge regression."""

import json

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import ABTest, BetaThompson, EpsilonGreedy, LinTS, LinUCB
from trueup.stats.bandits import best_of, draw, draw_greedy


def test_logged_propensities_are_those_of_the_draw():
    # 20,000 draws, seed 141: shares within four standard errors
    rng = np.random.default_rng(141)
    bandit = BetaThompson(3)
    for arm, wins in ((0, 3), (1, 5), (2, 9)):
        for i in range(12):
            bandit.update(arm, float(i < wins))
    p = np.array(bandit.decide(rng).probabilities)
    assert p.sum() == pytest.approx(1.0)
    shares = np.bincount([bandit.decide(rng).arm for _ in range(20_000)], minlength=3) / 20_000
    assert np.abs(shares - p).max() < 4 * (0.25 / 20_000) ** 0.5
    greedy = [draw_greedy(1, 3, 0.1, rng) for _ in range(20_000)]
    shares = np.bincount([c.arm for c in greedy], minlength=3) / 20_000
    assert np.abs(shares - [0.1, 0.8, 0.1]).max() < 0.014
    assert all(c.pi == c.probabilities[c.arm] for c in greedy[:50])


def test_thompson_probabilities_are_close_to_monte_carlo():
    rng = np.random.default_rng(142)
    bandit = BetaThompson(3, floor=0.0)
    bandit.successes, bandit.failures = [4.0, 30.0, 900.0], [8.0, 50.0, 1600.0]
    sample = rng.beta(bandit.successes, bandit.failures, size=(40_000, 3))
    expected = np.bincount(sample.argmax(axis=1), minlength=3) / 40_000
    assert np.abs(np.array(bandit.decide(rng).probabilities) - expected).max() < 0.02


BESIDE = ([10.04, 30.04, 0.04], [9991.96, 9971.96, 1.96])  # two arms of 10,000 units beside one of two


@pytest.mark.parametrize("posteriors", [
    BESIDE, ([4.0, 30.0, 900.0], [8.0, 50.0, 1600.0]), ([0.04] * 4, [1.96] * 4), ([1e6, 1e6 + 500, 3.0], [1e6, 1e6, 3.0]),
    ([1.0, 2.0], [1.0, 500.0]), ([50.0, 51.0, 49.0, 3.0, 700.0, 1.0, 0.5, 20.0], [50.0, 52.0, 48.0, 4.0, 690.0, 1.0, 0.5, 30.0]),
])
def test_thompson_by_quantiles_equals_sampling_for_any_posteriors(posteriors):
    # 400,000 draws, seed 146: within four standard errors (.0032)
    rng = np.random.default_rng(146)
    bandit = BetaThompson(len(posteriors[0]), floor=0.0, integral="quantiles")
    bandit.successes, bandit.failures = (list(part) for part in posteriors)
    sample = rng.beta(*posteriors, size=(400_000, bandit.arms))
    expected = np.bincount(sample.argmax(axis=1), minlength=bandit.arms) / 400_000
    assert np.abs(np.array(bandit.decide(rng).probabilities) - expected).max() < 4 * (0.25 / 400_000) ** 0.5


def test_thompson_by_quantiles_equals_the_closed_form_of_two_arms():
    # P(X > Y) for whole parameters is a finite sum of Beta functions
    from math import exp, lgamma

    def beta(a, b):
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    for a, b, c, d in ((3, 5, 4, 4), (100, 900, 2, 3), (1, 1, 40, 60), (5000, 5000, 5050, 5000)):
        exact = sum(exp(beta(c + i, b + d) - np.log(b + i) - beta(1 + i, b) - beta(c, d)) for i in range(a))
        assert best_of([a, c], [b, d])[0] == pytest.approx(exact, abs=1e-5)


def test_the_grid_that_decisions_were_recorded_with_keeps_its_bits():
    rng = np.random.default_rng(0)
    bandit = BetaThompson(3, 0.05)
    bandit.successes, bandit.failures = [4.0, 30.0, 900.0], [8.0, 50.0, 1600.0]
    assert [round(p, 12) for p in bandit.decide(rng).probabilities] == [0.327932711808, 0.416285780195, 0.255781507997]
    assert set(bandit.state()) == {"kind", "floor", "successes", "failures"}
    exact = BetaThompson(3, 0.0, integral="quantiles")
    exact.update(1, 1.0)
    again = BetaThompson.from_state(json.loads(json.dumps(exact.state())))
    assert again.decide(np.random.default_rng(1)) == exact.decide(np.random.default_rng(1))
    grid = BetaThompson(3, 0.0)
    grid.successes, grid.failures = (list(part) for part in BESIDE)
    assert grid.decide(rng).probabilities[2] > 0.85, "why there is another integral: by sampling it is .18"


def test_what_is_no_integral_and_no_posterior_is_refused():
    with pytest.raises(ArgumentError, match="quantiles"):
        BetaThompson(2, integral="trapezoid")  # type: ignore[arg-type]
    for bad in (([1.0], [1.0]), ([1.0, 0.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, float("nan")]), ([1.0, 1.0], [1.0])):
        with pytest.raises(ArgumentError, match="prior"):
            best_of(*bad)


def test_linear_thompson_probabilities_are_close_to_monte_carlo():
    rng = np.random.default_rng(143)
    bandit = LinTS(3, 2, explore=0.5, floor=0.0)
    for _ in range(60):
        x = rng.normal(size=2)
        bandit.update(int(rng.integers(3)), float(x[0]), x)
    x = np.array([0.3, -0.4])
    mean, variance = bandit._one(x)
    sample = mean + 0.5 * np.sqrt(variance) * rng.standard_normal((40_000, 3))
    expected = np.bincount(sample.argmax(axis=1), minlength=3) / 40_000
    assert np.abs(np.array(bandit.decide(x, rng).probabilities) - expected).max() < 0.03


@pytest.mark.parametrize("kind", [LinUCB, LinTS])
def test_one_by_one_and_in_batches_give_ridge_regression(kind):
    rng = np.random.default_rng(144)
    x, arms, y = rng.normal(size=(200, 4)), rng.integers(3, size=200), rng.random(200)
    one, many = kind(3, 4, 0.5), kind(3, 4, 0.5)
    for i in range(200):
        one.update(int(arms[i]), float(y[i]), x[i])
    many.update_many(arms, y, x)
    for arm in range(3):
        a = x[arms == arm]
        ridge = np.linalg.solve(a.T @ a + np.eye(4), a.T @ y[arms == arm])
        np.testing.assert_allclose(one._theta[arm], ridge, rtol=1e-8)
        np.testing.assert_allclose(many._theta[arm], ridge, rtol=1e-8)
    chosen, p = many.decide_many(x, rng)
    single = one.decide(x[0], rng)
    np.testing.assert_allclose(single.probabilities, p[0], atol=1e-9)
    assert p.min() >= one.floor - 1e-12
    assert chosen.min() >= 0
    assert chosen.max() <= 2
    np.testing.assert_allclose(p.sum(axis=1), 1.0)


def test_context_is_used():
    # 1,500 rounds, seed 145: the better arm depends on the sign of the context
    rng = np.random.default_rng(145)
    for bandit in (LinUCB(2, 2, 0.5), LinTS(2, 2, 0.3)):
        earned = 0.0
        for _ in range(1500):
            x = np.array([1.0, rng.choice([-1.0, 1.0])])
            choice = bandit.decide(x, rng)
            reward = float(rng.random() < (0.8 if (choice.arm == 1) == (x[1] > 0) else 0.2))
            bandit.update(choice.arm, reward, x)
            earned += reward
        assert earned / 1500 > 0.72  # at random .5, at best .77 under the floor


@pytest.mark.parametrize(
    "make", [lambda: BetaThompson(3), lambda: EpsilonGreedy(3, 0.2), lambda: LinUCB(3, 2, 1.0)]
)
def test_states_keep_every_bit(make):
    rng = np.random.default_rng(146)
    bandit = make()
    context = [np.array([1.0, 0.5])] if isinstance(bandit, LinUCB) else []
    for _ in range(40):
        bandit.update(int(rng.integers(3)), float(rng.random()), *context)
    again = type(bandit).from_state(json.loads(json.dumps(bandit.state())))
    assert again.state() == bandit.state()
    one, two = np.random.default_rng(1), np.random.default_rng(1)
    assert bandit.decide(*context, one) == again.decide(*context, two)


def bandit_ab(rng, n, log):
    """Equal arms under Thompson, batches of 20; `log` says what is taken for the propensity."""
    bandit, test = BetaThompson(2, floor=0.1), ABTest(0.05, n, 0.0)
    wealth = test
    for start in range(0, n, 20):
        pending = []
        for _ in range(min(20, n - start)):
            choice = bandit.decide(rng)
            y = float(rng.random() < 0.3)
            test.update(choice.arm, y, log(choice))
            pending.append((choice.arm, y))
            if wealth.promotes:
                return True
        for arm, y in pending:
            bandit.update(arm, y)
    return False


def test_equal_arms_under_thompson_promote_at_the_level():
    # 150 reps of 500 units, seed 147, logged propensities: .05 plus two standard errors
    rng = np.random.default_rng(147)
    rate = np.mean([bandit_ab(rng, 500, lambda c: c.probabilities[1]) for _ in range(150)])
    assert rate <= 0.05 + 0.036


def test_control_a_naive_comparison_of_means_is_biased_under_thompson():
    # 300 reps, seed 148: equal arms; the worse-looking arm is starved, so its mean is too low
    rng = np.random.default_rng(148)
    gaps = []
    for _ in range(300):
        bandit = BetaThompson(2, floor=0.05)
        sums, counts = np.zeros(2), np.zeros(2)
        for _ in range(10):
            choices = [bandit.decide(rng) for _ in range(20)]
            for c in choices:
                y = float(rng.random() < 0.3)
                bandit.update(c.arm, y)
                sums[c.arm] += y
                counts[c.arm] += 1
        gaps.append((sums / np.maximum(counts, 1)).mean() - 0.3)
    assert np.mean(gaps) < -2 * np.std(gaps) / 300**0.5


def test_arguments():
    rng = np.random.default_rng(1)
    with pytest.raises(ArgumentError, match="floor"):
        BetaThompson(4, floor=0.3)
    with pytest.raises(ArgumentError, match="arm from 0 to 1"):
        BetaThompson(2).update(2, 1.0)
    with pytest.raises(ArgumentError, match="reward"):
        EpsilonGreedy(2).update(0, 1.5)
    bandit = LinUCB(2, 3, 1.0)
    with pytest.raises(ArgumentError, match="context of 3"):
        bandit.decide([1.0, 2.0], rng)
    with pytest.raises(ArgumentError, match="finite"):
        bandit.decide([1.0, float("nan"), 0.0], rng)
    with pytest.raises(ArgumentError, match="finite"):
        bandit.update(0, 1.0, [1.0, float("inf"), 0.0])
    with pytest.raises(ArgumentError, match="one length"):
        bandit.update_many([0, 1], [1.0], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    assert draw(np.array([1.0, 0.0]), 0.0, rng).arm == 0
