# SPDX-License-Identifier: Apache-2.0
"""Batch scores, embeddings, the pinned pool."""

import json

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.stats import (
    BatchDetector,
    PinnedDetector,
    RandomFeatures,
    WitnessDetector,
    embedding_shift,
    lag_correlation,
    median_distance,
)
from trueup.stats.witness import sequential_ranks


def test_ranks_are_uniform_and_independent_in_the_batch():
    # 4,000 draws of a pool of 20 and a batch of 5, seed 131
    rng = np.random.default_rng(131)
    p = np.array([
        sequential_ranks(rng.normal(size=20), rng.normal(size=5), rng.random(5)) for _ in range(4000)
    ])  # fmt: skip
    assert np.abs(p.mean(axis=0) - 0.5).max() < 3 * (1 / 12 / 4000) ** 0.5
    assert np.abs(p.var(axis=0) - 1 / 12).max() < 0.005
    assert np.abs(np.corrcoef(p.T) - np.eye(5)).max() < 3.3 / 4000**0.5


def test_ranks_agree_with_the_definition_with_ties():
    rng = np.random.default_rng(132)
    pool, new = rng.integers(5, size=30) * 1.0, rng.integers(5, size=1500) * 1.0
    u = rng.random(1500)
    p = sequential_ranks(pool, new, u)
    for i in (0, 1, 700, 1100, 1499):
        seen = np.concatenate([pool, new[:i]])
        expected = ((seen < new[i]).sum() + u[i] * (1 + (seen == new[i]).sum())) / (1 + seen.size)
        assert p[i] == pytest.approx(expected)


def test_a_new_topic_is_found_in_one_or_two_batches():
    # 15 % of 500 rows from a new topic, 384 dimensions, one alarm in 1,000 batches, seed 133
    rng = np.random.default_rng(133)
    topics = rng.normal(size=(20, 384))
    topics /= np.linalg.norm(topics, axis=1, keepdims=True)
    new_topic = rng.normal(size=384)
    new_topic /= np.linalg.norm(new_topic)

    def rows(n, drift=0.0):
        x = topics[rng.integers(20, size=n)] + 0.03 * rng.normal(size=(n, 384))
        moved = rng.random(n) < drift
        x[moved] = new_topic + 0.03 * rng.normal(size=(moved.sum(), 384))
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    found = []
    for _ in range(3):
        detector = WitnessDetector(rows(1000), rows(1000), 1.0)
        for _ in range(5):
            detector.update(rows(500), years=1 / 1000, rng=rng)
        assert not detector.alarm
        batches = 0
        while not detector.alarm and batches < 6:
            detector.update(rows(500, drift=0.15), years=1 / 1000, rng=rng)
            batches += 1
        found.append(batches)
    assert np.median(found) <= 2


def test_witness_state_keeps_every_bit():
    rng = np.random.default_rng(134)
    reference = rng.normal(size=(200, 4))
    first = WitnessDetector(reference[:100], reference[100:], 1.0, features=16, window=2)
    first.update(rng.normal(size=(40, 4)), 0.01, np.random.default_rng(1))
    again = WitnessDetector.from_state(json.loads(json.dumps(first.state())))
    for i in range(3):
        batch = rng.normal(size=(31, 4))
        first.update(batch, 0.01, np.random.default_rng(i))
        again.update(batch, 0.01, np.random.default_rng(i))
    assert again.state() == first.state()
    assert not first.full
    with pytest.raises(ArgumentError, match="dimension 4"):
        first.update(rng.normal(size=(10, 5)), 0.01, rng)
    with pytest.raises(ArgumentError, match="two rows"):
        first.update(rng.normal(size=(1, 4)), 0.01, rng)


def test_random_features_approach_the_kernel():
    rng = np.random.default_rng(135)
    x = rng.normal(size=(10, 6))
    phi = RandomFeatures(2.0, 6, features=20_000)(x)
    square = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    assert np.abs(phi @ phi.T - np.exp(-square / 8)).max() < 0.04
    assert median_distance(x) == pytest.approx(np.median(square[np.triu_indices(10, 1)] ** 0.5))


def test_the_pinned_pool_has_a_blind_zone_and_sees_past_it():
    rng = np.random.default_rng(136)
    for shift, expected in ((0.0, False), (0.02, False), (0.2, True)):
        detector = PinnedDetector(rng.normal(size=10_000), 1.0)
        for _ in range(40):
            detector.update(rng.normal(shift, size=250), years=1 / 1000, rng=rng)
        assert detector.alarm is expected
    assert detector.blind == pytest.approx(0.044, abs=0.001)
    again = PinnedDetector.from_state(json.loads(json.dumps(detector.state())))
    assert again.state() == detector.state()
    with pytest.raises(ArgumentError, match="at least 200"):
        PinnedDetector(rng.normal(size=100), 1.0)


def test_batch_detector_is_held_and_restored():
    rng = np.random.default_rng(137)
    detector = BatchDetector(rng.normal(size=60).tolist(), 1.0)
    for _ in range(12):
        detector.update(5.0 + rng.normal(), years=1 / 365, rng=rng)
    assert detector.alarm
    again = BatchDetector.from_state(json.loads(json.dumps(detector.state())))
    detector.update(0.0, 1 / 365, np.random.default_rng(1))
    again.update(0.0, 1 / 365, np.random.default_rng(1))
    assert again.state() == detector.state()
    assert (again.rated, again.alarm) == (detector.rated, True)
    detector.accept(rng.normal(size=10).tolist())
    assert not detector.alarm
    assert not detector.rated  # ten calibration batches are too few to check
    with pytest.raises(ArgumentError, match="new reference"):
        detector.accept([])
    with pytest.raises(ArgumentError, match="finite"):
        detector.update(float("nan"), 0.01, rng)


def test_lag_correlation():
    assert lag_correlation([3.0, 3.0, 3.0, 3.0]) == 0.0
    assert lag_correlation([1.0, 2.0]) == 0.0
    assert lag_correlation([1.0, -1.0] * 20) < -0.9


def test_one_comparison_of_embeddings_keeps_its_level_and_finds_a_shift():
    # 300 comparisons of 2 x 120 rows, seed 138: P(p <= .05) within two standard errors
    rng = np.random.default_rng(138)

    def p(shift, half=True):
        a, b = rng.normal(size=(120, 5)), rng.normal(shift, size=(120, 5))
        if not half:  # wrong: the rows that make the direction are ranked along it
            a, b = np.tile(a[:60], (2, 1)), np.tile(b[:60], (2, 1))
        return embedding_shift(a, b, rng, features=32).p

    assert np.mean([p(0.0) <= 0.05 for _ in range(300)]) <= 0.05 + 0.025
    assert np.mean([p(0.0, half=False) <= 0.05 for _ in range(60)]) > 0.15
    assert np.mean([p(0.5) <= 0.05 for _ in range(30)]) > 0.9
    with pytest.raises(ArgumentError, match="at least 8"):
        embedding_shift(np.zeros((5, 2)), np.zeros((20, 2)), rng)
