# SPDX-License-Identifier: Apache-2.0
"""Interleaving: lists, credit, a fair coin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core.errors import ArgumentError
from trueup.stats import ScoreTest, interleave

METHODS = ["team_draft", "balanced", "probabilistic"]


@given(
    new=st.permutations(list("abcdef")),
    champion=st.permutations(list("cdefgh")),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 100),
)
def test_lists_have_no_repetitions_and_credit_someone(new, champion, method, seed):
    shown = interleave(new, champion, 4, np.random.default_rng(seed), method)
    assert len(shown.items) == len(set(shown.items)) == len(shown.teams) == 4
    assert set(shown.items) <= set(new) | set(champion)
    assert shown.score(set()) == 0
    assert shown.score(set(shown.items)) in (-1, 0, 1)


@pytest.mark.parametrize("method", ["team_draft", "probabilistic"])
def test_clicks_by_position_alone_favour_nobody(method):
    # 6,000 sessions, seed 81: mean score 0 within three standard errors (.039)
    rng = np.random.default_rng(81)
    new, champion = ["a", "b", "c", "d"], ["b", "e", "a", "f"]
    scores = []
    for _ in range(6000):
        shown = interleave(new, champion, 4, rng, method)
        clicked = {x for i, x in enumerate(shown.items) if rng.random() < 0.5 / (1 + i)}
        scores.append(shown.score(clicked))
    assert abs(np.mean(scores)) <= 0.039


def test_control_a_list_that_always_begins_with_the_challenger_is_not_fair():
    rng = np.random.default_rng(82)
    scores = []
    for _ in range(2000):  # wrong: no coin, the challenger picks first
        items, teams = ["a", "b", "c", "e"], [1, 0, 1, 0]
        clicks = [t for i, t in enumerate(teams) if rng.random() < 0.5 / (1 + i)]
        scores.append(np.sign(sum(1 if t else -1 for t in clicks)))
    assert len(items) == 4
    assert np.mean(scores) > 0.1


@pytest.mark.parametrize("method", METHODS)
def test_a_better_ranker_is_preferred(method):
    rng = np.random.default_rng(83)
    new, champion = ["good", "x", "y", "z"], ["x", "y", "z", "good"]
    test = ScoreTest(0.05, 600, bound=1.0)
    for _ in range(600):
        shown = interleave(new, champion, 4, rng, method)
        test.update(shown.score({"good"} if rng.random() < 0.5 else set()))
    assert test.rejected


def test_balanced_counts_clicks_as_deep_as_the_lowest():
    rng = np.random.default_rng(1)
    shown = interleave(["a", "b", "c"], ["c", "b", "a"], 3, rng, "balanced")
    assert shown.score({"b"}) == 0
    assert shown.score({"a"}) == 1
    assert shown.score({"c"}) == -1


def test_arguments():
    rng = np.random.default_rng(1)
    with pytest.raises(ArgumentError, match="repetitions"):
        interleave(["a", "a"], ["b", "c"], 2, rng)
    with pytest.raises(ArgumentError, match="ids of the items"):
        interleave([{"id": 1}], [{"id": 2}], 1, rng)  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="method"):
        interleave(["a"], ["b"], 1, rng, "round_robin")  # type: ignore[arg-type]
