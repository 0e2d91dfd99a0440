# SPDX-License-Identifier: Apache-2.0
"""Off-policy: estimates, refusals, scores."""

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import OffPolicyScore, dr, ess, ips, off_policy, snips

LOG = np.array([0.5, 0.3, 0.2])
NEW = np.array([0.1, 0.2, 0.7])
VALUE = np.array([0.2, 0.5, 0.6])


def logged(rng, n):
    action = rng.choice(3, p=LOG, size=n)
    return action, (rng.random(n) < VALUE[action]).astype(float)


def test_estimators_are_right_and_cover():
    # 400 logs of 1,000 rows, seed 91: truth .54; coverage .95 within three standard errors
    rng = np.random.default_rng(91)
    truth, covered, values = float(NEW @ VALUE), np.zeros(3), np.zeros((400, 3))
    model = VALUE + np.array([0.1, -0.1, 0.05])  # a wrong model, for DR
    for i in range(400):
        action, r = logged(rng, 1000)
        w = (NEW / LOG)[action]
        answer = off_policy(w, r, model[action], np.full(1000, float(NEW @ model)))
        assert answer.refused is None
        assert answer.dr is not None
        for j, estimate in enumerate((answer.ips, answer.snips, answer.dr)):
            low, high = estimate.interval
            covered[j] += low <= truth <= high
            values[i, j] = estimate.value
    assert np.abs(values.mean(axis=0) - truth).max() < 0.006
    assert (covered / 400).min() >= 0.95 - 3 * 0.011
    assert values.std(axis=0)[1:].max() < values.std(axis=0)[0]  # SNIPS and DR beat IPS


def test_control_the_direct_mean_of_the_log_is_biased():
    _, r = logged(np.random.default_rng(92), 20_000)
    assert abs(r.mean() - NEW @ VALUE) > 0.15


def test_formulas():
    w, r = np.array([2.0, 0.5, 1.0]), np.array([1.0, 0.0, 1.0])
    assert ips(w, r).value == pytest.approx((2 + 1) / 3)
    assert snips(w, r).value == pytest.approx(3 / 3.5)
    assert dr(w, r, [0.5] * 3, [0.4] * 3).value == pytest.approx(0.4 + (1 - 0.25 + 0.5) / 3)
    assert ess(w) == pytest.approx(3.5**2 / 5.25)


def test_refusals():
    rng = np.random.default_rng(93)
    action, r = logged(rng, 300)
    few = off_policy(np.where(np.arange(300) < 20, 10.0, 0.0), r)
    assert few.refused is not None
    assert "below 100" in few.refused
    assert few.ess == pytest.approx(20)
    # weights that are twice too large: IPS is twice SNIPS
    wrong = off_policy(2.0 * (NEW / LOG)[action], r)
    assert wrong.refused is not None
    assert "differ by more" in wrong.refused
    for bad in ([1.0, float("nan")], [1.0, -1.0]):
        with pytest.raises(ArgumentError, match="weights"):
            off_policy(bad, [1.0, 0.0])
    with pytest.raises(ArgumentError, match="shapes"):
        off_policy([1.0, 1.0], [1.0])
    with pytest.raises(ArgumentError, match="q_logged"):
        off_policy([1.0, 1.0], [1.0, 0.0], q_logged=[0.5, 0.5])


def test_scores_stay_above_their_bounds():
    rng = np.random.default_rng(94)
    score = OffPolicyScore(cap=8.0, champion_max=1.25, margin=0.05)
    for _ in range(500):
        w, c, r = rng.random() * 30, rng.random() * 1.25, rng.random()
        assert score.promotion(w, c, r) >= -score.bound - 1e-12
        assert score.harm(w, c, r) >= -score.harm_bound - 1e-12
    with pytest.raises(ArgumentError, match="declared bound"):
        score.promotion(1.0, 1.3, 0.5)
    with pytest.raises(ArgumentError):
        score.promotion(1.0, 1.0, 1.5)


MODELS = {"q_logged": [0.5, 0.5], "q_new": [0.5, 0.5]}


@pytest.mark.parametrize("estimator", [ips, snips, dr, off_policy])
@pytest.mark.parametrize(("w", "r"), [
    ([], []), ([1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0, 3.0]), ([1.0, 1.0, 1.0], [1.0, 2.0]), ([1.0, float("inf")], [1.0, 1.0]),
    ([1.0, -1.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, float("nan")]), ([[1.0, 1.0]], [[1.0, 1.0]]), (1.0, 1.0), (["a", "b"], [1.0, 1.0]),
    ([1.0, None], [1.0, 1.0]), ([[1.0], [1.0, 2.0]], [1.0, 1.0]),
])
def test_every_estimator_refuses_rows_that_are_none(estimator, w, r):
    with pytest.raises(ArgumentError):
        estimator(w, r, **MODELS) if estimator in (dr, off_policy) else estimator(w, r)


@pytest.mark.parametrize("models", [
    {"q_logged": [0.5], "q_new": [0.5, 0.5]}, {"q_logged": [0.5, 0.5], "q_new": [0.5]}, {"q_logged": 0.5, "q_new": 0.5},
    {"q_logged": [0.5, float("nan")], "q_new": [0.5, 0.5]},
])
def test_a_model_answers_for_every_row_or_is_refused(models):
    for estimator in (dr, off_policy):
        with pytest.raises(ArgumentError):
            estimator([1.0, 1.0], [1.0, 0.0], **models)


def test_where_no_decision_is_one_of_the_new_policy_nothing_is_known():
    """Not 0 with an interval of no width, and not NaN, which JSON cannot hold."""
    for estimate in (lambda: ips([0.0, 0.0], [1.0, 1.0]), lambda: snips([0.0, 0.0], [1.0, 1.0]), lambda: dr([0.0, 0.0], [1.0, 1.0], **MODELS)):
        with pytest.raises(ArgumentError, match="explore"):
            estimate()
    found = off_policy([0.0, 0.0], [1.0, 1.0], **MODELS)
    assert (found.ips, found.snips, found.dr, found.ess) == (None, None, None, 0.0)
    assert found.refused is not None
    assert "explore" in found.refused
    assert ess([]) == ess([0.0, 0.0]) == 0.0
    for bad in (1.0, [[1.0]], [-1.0], ["a"]):
        with pytest.raises(ArgumentError):
            ess(bad)
