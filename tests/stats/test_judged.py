# SPDX-License-Identifier: Apache-2.0
"""Judges: prediction-powered means, audited tests."""

import json

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import AuditedTest, PairedTest, ppi_mean


def judge_of(rng, truth, agreement):
    return np.where(rng.random(truth.shape) < agreement, truth, 1 - truth)


@pytest.mark.parametrize(("agreement", "saved"), [(0.8, 0.32), (0.95, 0.77)])
def test_ppi_covers_and_saves_labels(agreement, saved):
    # 400 reps, n 400, N 20,000, p .7, seed 95: coverage .95 within three standard errors (.033)
    rng = np.random.default_rng(95)
    inside, widths, plain = 0, [], []
    for _ in range(400):
        truth = (rng.random(20_400) < 0.7).astype(float)
        judge = judge_of(rng, truth, agreement)
        answer = ppi_mean(truth[:400], judge[:400], judge[400:])
        inside += answer.interval[0] <= 0.7 <= answer.interval[1]
        widths.append(answer.se)
        plain.append(truth[:400].std() / 20)
    assert inside / 400 >= 0.95 - 0.033
    assert 1 - (np.mean(widths) / np.mean(plain)) ** 2 == pytest.approx(saved, abs=0.06)


JUDGES = {
    "worse than chance": (lambda rng, y: 1.0 - y + 0.1 * rng.normal(size=y.size), 0.0),
    "unrelated": (lambda rng, y: rng.random(y.size), 0.0),
    "constant": (lambda rng, y: np.full(y.size, 0.5), 0.0),
    "good": (lambda rng, y: y + rng.uniform(-0.7, 0.7, size=y.size), 0.54),
    "on .7 of the scale": (lambda rng, y: 0.7 * y, 0.86),
    "on a quarter of the scale": (lambda rng, y: 0.25 * y, 0.43),
}


@pytest.mark.parametrize("name", JUDGES)
def test_ppi_says_as_many_labels_saved_as_its_variance_shows(name):
    """2,000 repetitions, n 200, N 2,000, seed 99: `saved` against the variance of the estimates themselves.

    The wrong build, rho^2 N / (n + N) for every lam, says .87 where the judge is worse than chance and
    nothing is saved, and .91 on a quarter of the scale, where it is .43.
    """
    judge_of_kind, expected = JUDGES[name]
    rng = np.random.default_rng(99)
    said, wrong, means, plain = [], [], [], []
    for _ in range(2_000):
        truth = (rng.random(2_200) < 0.6).astype(float)
        judge = judge_of_kind(rng, truth)
        found = ppi_mean(truth[:200], judge[:200], judge[200:])
        said.append(found.saved)
        wrong.append(found.correlation**2 * 2000 / 2200)
        means.append(found.mean)
        plain.append(truth[:200].mean())
        assert found.lam > 0.0 or found.saved == 0.0
    measured = 1.0 - np.var(means) / np.var(plain)
    assert np.mean(said) == pytest.approx(expected, abs=0.02)
    assert np.mean(said) == pytest.approx(measured, abs=0.05)
    assert 0.0 <= min(said) <= max(said) <= 1.0
    if name in ("worse than chance", "on a quarter of the scale"):
        assert abs(np.mean(wrong) - measured) > 0.4


def test_control_a_judge_alone_does_not_cover():
    rng = np.random.default_rng(96)
    truth = (rng.random(20_000) < 0.7).astype(float)
    judge = judge_of(rng, truth, 0.8)
    half = 1.96 * judge.std() / 20_000**0.5
    assert abs(judge.mean() - 0.7) > half


def biased(rng, n, effect=0.0, rho=0.2, bias=0.3, margin=0.0):
    """People see `effect`; the judge adds `bias` in favour of the challenger."""
    test = AuditedTest(0.05, n, margin, rho)
    for _ in range(n):
        u = rng.random()
        y = 1.0 if u < 0.1 + effect / 2 else -1.0 if u > 0.9 + effect / 2 else 0.0
        judged = 1.0 if rng.random() < bias else y
        test.update(judged, y if rng.random() < rho else None)
        if test.rejected:
            return True
    return False


def test_a_biased_judge_cannot_promote_and_its_control():
    # 200 reps, 600 items, seed 97: equal models, a judge that favours the challenger by .3
    rng = np.random.default_rng(97)
    assert np.mean([biased(rng, 600) for _ in range(200)]) <= 0.05 + 0.031
    alone = []
    for _ in range(30):  # wrong: the judge's word taken for people's
        judged = np.where(
            rng.random(600) < 0.3, 1.0, rng.choice([-1, 0, 1], 600, p=[0.1, 0.8, 0.1])
        )
        test = PairedTest(0.05, 600, 0.0).run((judged > 0) * 1.0, (judged < 0) * 1.0)
        alone.append(test.rejected)
    assert np.mean(alone) == 1.0


def test_a_better_challenger_is_found_with_few_audits():
    rng = np.random.default_rng(98)
    found = [biased(rng, 2000, effect=0.08, rho=0.3, bias=0.02) for _ in range(20)]
    assert np.mean(found) >= 0.8


def test_audited_state_and_arguments():
    rng = np.random.default_rng(3)
    items = [(float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1))) for _ in range(80)]

    def feed(test, rows):
        for i, (f, y) in enumerate(rows):
            test.update(f, y if i % 3 == 0 else None)
        return test

    straight = feed(AuditedTest(0.05, 100, 0.1, 0.3), items)
    first = feed(AuditedTest(0.05, 100, 0.1, 0.3), items[:30])
    again = AuditedTest.from_state(json.loads(json.dumps(first.state())))
    assert feed(again, items[30:]).state() == straight.state()
    assert 0.0 <= straight.lam <= 1.0
    with pytest.raises(ArgumentError, match="rho"):
        AuditedTest(0.05, 100, 0.1, 0.0)
    with pytest.raises(ArgumentError, match="judged"):
        straight.update(1.5)
    with pytest.raises(ArgumentError, match="same items"):
        ppi_mean([1.0, 0.0], [1.0], [0.0, 1.0])
    for bad in (([1.0, float("nan")], [1.0, 0.0], [0.0, 1.0]), ([1.0, 0.0], [1.0, 0.0], [0.0, float("inf")]), (["a", "b"], [1.0, 0.0], [1.0, 0.0])):
        with pytest.raises(ArgumentError, match="finite"):
            ppi_mean(*bad)
