# SPDX-License-Identifier: Apache-2.0
"""Our statistics beside other people's: obp and river with their own packages, scipy at home."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from trueup.models import Encoder
from trueup.stats import (
    LinTS,
    LinUCB,
    MeanDetector,
    benjamini_hochberg,
    dr,
    embedding_shift,
    ips,
    snips,
    upper_limit,
)


def test_off_policy_estimates_are_those_of_obp_on_its_data(oracle):
    # TRU-05: 10,000 rounds of each campaign, logged at random or by Thompson sampling
    logs = [f"{policy}/{campaign}" for policy in ("random", "bts") for campaign in ("all", "men", "women")]
    for name, said in oracle("obp_values.py", *logs).items():
        w, r = said["w"], said["r"]
        assert len(w) == 10_000, name
        assert ips(w, r).value == pytest.approx(said["ips"], rel=1e-5), name
        assert snips(w, r).value == pytest.approx(said["snips"], rel=1e-5), name
        ours = dr(w, r, said["q_logged"], said["q_new"]).value
        assert ours == pytest.approx(said["dr"], rel=1e-5), name
        assert abs(ours - float(np.mean(r))) > 1e-5  # the policies differ, or the test says nothing


def test_linear_posterior_is_rivers_and_a_change_is_found_before_adwin_finds_it(oracle, tmp_path):
    rng = np.random.default_rng(5)
    contexts = rng.normal(size=(61, 4))
    rewards = contexts[:-1] @ [0.3, -0.2, 0.5, 0.1] + rng.normal(size=60)
    change = 1000
    rates = np.where(np.arange(4000) < change, 0.10, 0.20)
    streams = (rng.random((30, 4000)) < rates).astype(float)
    given = {
        "ridge": {"contexts": contexts.tolist(), "rewards": rewards.tolist(), "ridge": 1.0},
        "streams": streams.tolist(), "change": change,
    }
    (tmp_path / "given.json").write_text(json.dumps(given))
    said = oracle("river_values.py", str(tmp_path / "given.json"))
    for bandit in (LinUCB(2, 4, explore=1.0), LinTS(2, 4, explore=1.0)):
        for x, y in zip(contexts[:-1], rewards, strict=True):
            bandit.update(0, float(y), x)
        mean, variance = bandit._one(contexts[-1])
        assert mean[0] == pytest.approx(said["ridge"]["mean"], rel=1e-9)
        # river's is the variance of a reward, ours that of the mean
        assert variance[0] == pytest.approx(said["ridge"]["variance"] - 1.0, rel=1e-6)
    detector, ours = MeanDetector(0.10, 0.0, 1.0, streams=30), np.full(30, 4000)
    for t, row in enumerate(streams.T):
        detector.update(row, 1e-5)  # one alarm in 100,000 rows is promised
        ours = np.where(detector.alarm & (ours == 4000), t, ours)
    assert (ours >= change).mean() >= 0.9
    adwin = [4000 if one is None else one for one in said["delays"]]
    assert np.median(ours) - change < np.median(adwin)


def test_limits_ranks_and_discoveries_are_scipys():
    for k, n in ((0, 40), (7, 100), (200, 2000)):
        wanted = scipy_stats.binomtest(k, n, alternative="less").proportion_ci(0.95, method="exact").high
        assert upper_limit(k, n) == pytest.approx(wanted, rel=1e-9)
    rng = np.random.default_rng(6)
    for share in (0.0, 0.3):
        p = np.where(rng.random(200) < share, rng.random(200) * 1e-3, rng.random(200))
        wanted = scipy_stats.false_discovery_control(p, method="bh") <= 0.05
        assert benjamini_hochberg(p, 0.05).tolist() == wanted.tolist()


def test_embedding_shift_has_the_level_of_a_rank_test():
    # 200 pairs of sets without a shift: a p-value below .05 in .05 of them, two standard errors .031
    rng = np.random.default_rng(7)
    below = sum(
        embedding_shift(rng.normal(size=(200, 6)), rng.normal(size=(200, 6)), rng, features=32).p < 0.05
        for _ in range(200)
    )
    assert below / 200 <= 0.05 + 0.031
    moved = embedding_shift(rng.normal(size=(400, 6)), rng.normal(0.6, size=(400, 6)), rng, features=32)
    one = scipy_stats.mannwhitneyu(rng.normal(size=200), rng.normal(1.47, size=200))  # the same shift on one axis
    assert moved.p < 1e-6
    assert one.pvalue < 1e-6


def test_encoded_texts_are_those_of_sentence_transformers(oracle, tmp_path):
    texts = ["a quiet film about the sea", "loud music", "two friends " * 12]
    said = oracle("encoder_values.py", str(tmp_path), *texts)
    for pooling in ("mean", "cls"):
        ours = Encoder(tmp_path / pooling).embed(texts)
        assert ours == pytest.approx(np.array(said[pooling]), abs=1e-5), pooling
