# SPDX-License-Identifier: Apache-2.0
"""Online fallback, and a life of 52 challengers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core.errors import ArgumentError
from trueup.stats import Levels, level, vault_level
from trueup.stats.streams import score_streams


def test_shares_sum_to_at_most_one_and_nearly_to_one():
    levels = Levels(0.05)
    head = sum(levels.share(k) for k in range(1, 100_001))
    assert head < 1.0
    # the tail of k^-1.2 beyond n is close to 5 n^-.2 / zeta(1.2)
    assert head + 5 * 100_000**-0.2 / 5.591582 == pytest.approx(1.0, abs=1e-4)
    assert sum(Levels(0.05, g="1/52").share(k) for k in range(1, 100)) == pytest.approx(1.0)


def test_a_promotion_passes_its_level_on_and_a_refusal_loses_it():
    levels = Levels(0.05)
    base = {k: 0.05 * levels.share(k) for k in range(1, 6)}
    assert levels.next([]) == base[1]
    assert levels.next([(1, True, False)]) == base[2] + base[1]
    assert levels.next([(1, True, False), (2, True, False)]) == pytest.approx(level(0.05, 3, 2))
    assert levels.next([(1, True, False), (2, False, False)]) == base[3]
    assert levels.next([(1, True, False)], overlaps=True) == base[2]
    # test 2 overlapped test 1: it had its own share only, and passes on no more than that
    assert levels.next([(1, True, False), (2, True, True)]) == base[3] + base[2]


@given(wins=st.lists(st.booleans(), max_size=60))
def test_no_unit_of_alpha_is_spent_on_two_worse_challengers(wins):
    # pathwise: until the first loss after a run, what the worse challengers (those that lose,
    # and the first false winner) meet sums to at most alpha
    levels, history, met = Levels(0.05), [], 0.0
    for k, won in enumerate(wins, start=1):
        alpha_k = levels.next(history)
        if not won:
            met += alpha_k
        history.append((k, won, False))
    assert met <= 0.05


def test_the_other_shapes():
    assert Levels(0.05, per="release").next([(1, False, False)]) == 0.05
    assert Levels(0.05, per="release").table((1, 9)) == {1: 0.05, 9: 0.05}
    assert Levels(0.05, per="year").next([]) == Levels(0.05).next([])
    assert Levels(0.05, g="1/2").next([(1, False, False), (2, False, False)]) == 0.0


@pytest.mark.parametrize("g", ["k^-1", "k^-0.5", "1/0", "k", "", "1/k"])
def test_a_schedule_that_does_not_sum_is_refused(g):
    with pytest.raises(ArgumentError, match="expected g"):
        Levels(0.05, g=g)


def test_a_history_with_a_gap_is_refused():
    with pytest.raises(ArgumentError, match="expected test 2"):
        Levels(0.05).next([(1, False, False), (3, False, False)])
    with pytest.raises(ArgumentError, match="per"):
        Levels(0.05, per="month")  # type: ignore[arg-type]


def test_a_vault_pays_for_every_transcript():
    # the levels of all transcripts of k - 1 bits sum to at most alpha g_k
    from math import comb

    for k in (1, 2, 7):
        total = sum(comb(k - 1, j) * vault_level(0.05, k, j) for j in range(k))
        assert total <= 0.05 * Levels(0.05).share(k)
    with pytest.raises(ArgumentError, match="passes < k"):
        vault_level(0.05, 2, 2)


def lives(levels_of, reps, challengers, seed, worse=0.01, n=2000):
    """Share of lives in which a worse challenger was ever promoted, and promotions of others.

    Half of the challengers are worse by exactly the margin, the others 2 points better.
    """
    rng = np.random.default_rng(seed)
    bad = rng.random((reps, challengers)) < 0.5
    history = [[] for _ in range(reps)]
    violated, good, promoted = np.zeros(reps, bool), 0, 0
    for k in range(challengers):
        alphas = np.array([levels_of(history[i]) for i in range(reps)])
        effect = np.where(bad[:, k], -worse, 0.02)
        up, down = (0.1 + effect) / 2, (0.1 - effect) / 2
        crossed = np.zeros(reps, bool)
        for alpha in np.unique(alphas):
            which = np.flatnonzero(alphas == alpha)

            def draw(t, streams, which=which, up=up, down=down):
                u = rng.random(streams.size)
                at = which[streams]
                return (u < up[at]) * 1.0 - (u > 1 - down[at]) + worse

            crossed[which] = score_streams(
                draw, reps=which.size, alpha=alpha, horizon=n, bound=1 - worse, spread=0.25
            ).promotes
        violated |= crossed & bad[:, k]
        good += int((~bad[:, k]).sum())
        promoted += int((crossed & ~bad[:, k]).sum())
        for i in range(reps):
            history[i].append((k + 1, bool(crossed[i]), False))
    return violated.mean(), promoted / good


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_life_of_52_challengers_and_its_control():
    # 300 lives, seed 41, 500 pairs a challenger; .05 plus two standard errors is .075
    violated, _ = lives(Levels(0.05).next, 300, 52, seed=41, n=500)
    assert violated <= 0.075
    # the control tests every challenger at .05: it must promote a worse one in most lives
    wrong, _ = lives(Levels(0.05, per="release").next, 100, 52, seed=42, n=500)
    assert wrong > 0.4


def test_a_short_life():
    # 400 lives of 6 challengers, 300 pairs, seed 43: .05 plus two standard errors is .072
    violated, _ = lives(Levels(0.05, g="1/6").next, 400, 6, seed=43, n=300)
    assert violated <= 0.072
