# SPDX-License-Identifier: Apache-2.0
"""Guardrails of a contextual bandit: pi follows from the context, and so do the errors.

Equal mean error rates (.11); the challenger is ten times as bad at one context and a tenth as bad at the other.
"""

import json

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import ErrorCount, HarmTest

OPPOSITE = ((0.02, 0.2), (0.2, 0.02))
"""P(fail | context, arm)."""
EQUAL = ((0.11, 0.11), (0.11, 0.11))


def units(rng, pi, fails, n):
    x = (rng.random(n) < 0.5).astype(int)
    pis = np.array(pi)[x]
    arms = (rng.random(n) < pis).astype(int)
    return arms, (rng.random(n) < np.array(fails)[x, arms]).astype(float), pis


def counts(pi, fails, declared, *, tol=0.0, n=3000, reps=300, seed=171):
    """The share of runs in which the count rolls back."""
    rng, found = np.random.default_rng(seed), 0
    low, high = declared or (None, None)
    for _ in range(reps):
        arms, failed, pis = units(rng, pi, fails, n)
        count = ErrorCount(0.05, tol, pi_min=low, pi_max=high)
        for arm, p in zip(arms[failed > 0], pis[failed > 0], strict=True):
            count.update(int(arm), float(p))
        found += count.rejected
    return found / reps


def burdens(pi, fails, declared, *, n=1500, reps=100, seed=172):
    rng, found = np.random.default_rng(seed), 0
    low, high = declared or (None, None)
    for _ in range(reps):
        test = HarmTest(0.05, 0.0, n, pi_min=low, pi_max=high)
        for arm, y, p in zip(*units(rng, pi, fails, n), strict=True):
            test.update(int(arm), float(y), float(p))
            if test.rejected:
                break
        found += test.rejected
    return found / reps


@pytest.mark.parametrize(("pi", "declared"), [
    ((0.1, 0.9), (0.05, 0.95)), ((0.9, 0.1), (0.05, 0.95)), ((0.5, 0.05), (0.05, 0.95)), ((0.05, 0.5), (0.05, 0.95)), ((0.3, 0.7), (0.3, 0.7)),
])
def test_a_declared_range_holds_the_level_whatever_pi_does_with_the_context(pi, declared):
    # level .05 plus two standard errors: count 300 reps (.025), burden 100 reps (.044)
    assert counts(pi, OPPOSITE, declared) <= 0.075
    assert burdens(pi, OPPOSITE, declared) <= 0.094


def test_control_without_a_range_the_stake_follows_the_context_and_rolls_back():
    assert counts((0.1, 0.9), OPPOSITE, None) > 0.3
    assert burdens((0.1, 0.9), OPPOSITE, None) > 0.3
    assert counts((0.1, 0.9), EQUAL, None) <= 0.075, "without dependence on the context it holds"


@pytest.mark.parametrize(("pi", "declared"), [((0.9, 0.1), (0.05, 0.95)), ((0.7, 0.3), (0.3, 0.7))])
def test_a_harm_at_every_context_is_found_with_a_range_as_without(pi, declared):
    # errors of .05 against .1, 3,000 units: within .1 of the power of the test without a range
    harm = ((0.05, 0.1), (0.05, 0.1))
    with_range, without = (counts(pi, harm, one, reps=100) for one in (declared, None))
    assert with_range >= max(without - 0.1, 0.6)


def test_at_a_constant_pi_below_the_cap_both_counts_are_one():
    """pi .5 and a range around it so narrow that no stake is capped: the ratios are the same bets."""
    plain, ranged = ErrorCount(0.01, 0.25), ErrorCount(0.01, 0.25, pi_min=0.5, pi_max=0.5)
    for arm in (1, 0, 1, 1, 0, 1):
        plain.update(arm, 0.5)
        ranged.update(arm, 0.5)
    assert ranged._logs[:4] == pytest.approx(plain._logs[:4])


def test_the_stake_is_fixed_before_the_unit_and_never_ruins():
    """Every factor is above 0, and its mean at equal rates is 1 at each pi: a bet that pi moves would be neither."""
    for low, high in ((0.05, 0.95), (0.3, 0.7), (0.001, 0.999)):
        for pi in (low, 0.5, high):
            factors = []
            for arm in (1, 0):
                count = ErrorCount(0.05, 0.0, pi_min=low, pi_max=high)
                count.update(arm, pi)
                factors.append(np.exp(count._logs))
            assert min(factors[1]) > 0.0
            assert pi * factors[0] + (1 - pi) * factors[1] == pytest.approx(np.ones(7))


def test_states_and_arguments_of_a_declared_range():
    count = ErrorCount(0.05, 0.25, pi_min=0.1, pi_max=0.9)
    count.update(1, 0.3)
    count.update(0, 0.8)
    again = ErrorCount.from_state(json.loads(json.dumps(count.state())))
    for one in (count, again):
        one.update(1, 0.2)
    assert again.state() == count.state()
    assert set(ErrorCount(0.05).state()) == {"kind", "level", "tol", "n", "crossed_at", "logs"}
    for pi in (0.05, 0.95):
        with pytest.raises(ArgumentError, match="declared"):
            count.update(1, pi)
    for bad in ({"pi_min": 0.1}, {"pi_min": 0.9, "pi_max": 0.1}, {"pi_min": 0.0, "pi_max": 0.5}):
        with pytest.raises(ArgumentError):
            ErrorCount(0.05, **bad)
        with pytest.raises(ArgumentError):
            HarmTest(0.05, **bad)
