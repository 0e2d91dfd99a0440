# SPDX-License-Identifier: Apache-2.0
"""Forecasts keep their word, and an impossible gate is known before it is run."""

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import PairedTest, forecast, needed_items, paired_pass_probability


@pytest.mark.parametrize(("margin", "alpha"), [(0.01, 0.05), (0.05, 0.05), (0.1, 0.001)])
def test_needed_items_is_the_smallest_number_that_passes(margin, alpha):
    n = needed_items(margin, alpha)

    def passes(n):
        return PairedTest(alpha, n, margin).run(np.ones(n), np.ones(n)).rejected

    assert passes(n)
    assert not passes(n - 1)
    least = -np.log(alpha) / np.log1p(0.5 * margin / (1 - margin))
    assert least <= n <= 1.02 * least + 2


def test_a_forecast_is_repeatable_and_its_power_is_real():
    world = {"disagreement": 0.12, "margin": 0.03, "alpha": 0.01, "effect": 0.01}
    one, two = forecast(**world, seed=5), forecast(**world, seed=5)
    assert one == two
    assert one.horizon is not None
    # 1,000 fresh reps, seed 6; the search itself has an error of .011, this check one of .007
    check = paired_pass_probability(one.horizon, **world, reps=1000, seed=6)
    assert 0.91 <= check <= 0.985


def test_a_forecast_says_that_it_cannot_be_reached():
    answer = forecast(0.3, 0.0, 0.01, effect=0.005, max_horizon=500)
    assert not answer.reachable
    assert answer.power < 0.3
    assert "no horizon up to 500" in str(answer)
    assert not forecast(0.1, 0.0, 0.05, effect=0.0).reachable  # equal, and no margin
    assert not forecast(0.1, 0.05, 0.0).reachable  # a level that is used up


def test_full_agreement_needs_exactly_the_needed_items():
    assert forecast(0.0, 0.05, 0.05).horizon == needed_items(0.05, 0.05)


def test_the_pass_probability_at_the_null_is_the_level():
    # 2,000 reps, seed 7: .05 plus two standard errors
    assert paired_pass_probability(300, 0.1, 0.05, 0.05, effect=-0.05, reps=2000, seed=7) <= 0.0597


def test_arguments():
    with pytest.raises(ArgumentError, match="at most the disagreement"):
        forecast(0.1, 0.05, 0.05, effect=0.2)
    with pytest.raises(ArgumentError, match="margin"):
        needed_items(0.0, 0.05)
    with pytest.raises(ArgumentError, match="disagreement"):
        paired_pass_probability(10, 1.2, 0.05, 0.05)
