# SPDX-License-Identifier: Apache-2.0
"""What experiments promise, by simulation through the stages' own code: each with a control that fails.

Units are drawn by the router, scored and tested by the code that a release runs (`experiment.tests`),
and looked at many times. The tolerance is two standard errors of the repetitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trueup.release.experiments import experiment
from trueup.release.experiments.experiment import winner
from trueup.release.experiments.policies import fitted
from trueup.route import Routing, Slice, assign

verdicts = experiment.tests
NAMES = ["champion", "challenger"]
Row = dict[str, Any]


def parameters(**more: Any) -> dict[str, Any]:
    return {
        "names": NAMES, "level": 0.1, "horizon": 600, "margin": 0.0, "w": 0.3, "pi_range": None, "since": 0,
        "min_time": 0, "missing": "attrition", "policy": None, **more,
    }


def unit(routing: Routing, name: str, rates: dict[str, float], rng: Any, context: Any = None) -> Row:
    """One unit as the experiment's method sees it."""
    drawn = assign(routing, name, context)
    told = drawn.probabilities or (("champion", 1 - (drawn.propensity or 0)), ("challenger", drawn.propensity or 0))
    return {
        "unit": name, "arm": drawn.arm, "shares": dict(told), "y": float(rng.random() < rates[drawn.arm]), "told": 1,
        "ts": 1, "within": 0, "known": True, "context": context,
    }


def z(rows: list[Row]) -> float:
    """What a peeked two-sample z-test would say of the same rows."""
    new, old = ([row["y"] for row in rows if row["arm"] == arm] for arm in reversed(NAMES))
    if min(len(new), len(old)) < 20:
        return 0.0
    p = (sum(new) + sum(old)) / (len(new) + len(old))
    se = math.sqrt(max(p * (1 - p), 1e-9) * (1 / len(new) + 1 / len(old)))
    return (sum(new) / len(new) - sum(old) / len(old)) / se


def ab(rates: dict[str, float], reps: int, seed: int, **more: Any) -> tuple[float, float]:
    """Shares of A/Bs that promote, and of peeked z-tests at the same level, with 12 looks each."""
    rng = np.random.default_rng(seed)
    ours = naive = 0
    for rep in range(reps):
        routing = Routing("a", "b", "r", f"{seed}/{rep}", (Slice(0.0, 1.0, 0.5),))
        rows = [unit(routing, f"u{at}", rates, rng) for at in range(600)]
        looks = [rows[:n] for n in range(50, 601, 50)]
        ours += any(winner({"tests": verdicts(parameters(**more), look)}) for look in looks)
        naive += any(z(look) > 1.2816 for look in looks)
    return ours / reps, naive / reps


def test_an_aa_that_is_peeked_at_promotes_no_more_than_its_level_and_a_z_test_does() -> None:
    """Level .1, 200 repetitions, seed 1, 12 looks: at most .1 + 2 se = .142; the control promotes .25 or more."""
    ours, naive = ab({"champion": 0.3, "challenger": 0.3}, 200, 1)
    assert ours <= 0.1 + 2 * math.sqrt(0.09 / 200), ours
    assert naive > 0.2, naive


def test_the_wrong_direction_is_never_promoted_and_the_right_one_is() -> None:
    """100 repetitions each, seed 2: a loss of .12 at margin 0 never, a gain of .2 nearly always."""
    wrong, _ = ab({"champion": 0.42, "challenger": 0.3}, 100, 2)
    right, _ = ab({"champion": 0.3, "challenger": 0.5}, 60, 3)
    assert wrong == 0.0
    assert right > 0.9, right


def test_a_challenger_at_the_margin_is_not_found_no_worse() -> None:
    """The null's edge: worse by exactly the margin .1; level .1, 150 repetitions, seed 4."""
    ours, _ = ab({"champion": 0.5, "challenger": 0.4}, 150, 4, margin=0.1)
    assert ours <= 0.1 + 2 * math.sqrt(0.09 / 150), ours


def bandit(rates: dict[str, float], reps: int, seed: int, how: Callable[[list[Row], list[Row]], bool]) -> tuple[float, float]:
    """Shares of Thompson bandits (floor .05, ten renewals) that promote, and of `how` on the same rows."""
    rng = np.random.default_rng(seed)
    policy = {"kind": "thompson", "floor": 0.05, "explore": 0.3, "prior": 0.3, "features": []}
    ours = naive = 0
    for rep in range(reps):
        rows: list[Row] = []
        won = fooled = False
        for batch in range(10):
            weights = fitted(policy, NAMES, rows)["weights"]
            pi = sum(p for _, p in weights)
            routing = Routing("a", "b", "r", f"{seed}/{rep}", (Slice(0.0, 1.0, pi, weights=weights),), arms={"challenger": "b"})
            rows += [unit(routing, f"u{batch}-{at}", rates, rng) for at in range(60)]
            won = won or winner({"tests": verdicts(parameters(), rows)}) is not None
            fooled = fooled or how(rows, rows)
        ours += won
        naive += fooled
    return ours / reps, naive / reps


def test_equal_arms_under_thompson_promote_no_more_than_the_level_and_a_naive_test_does() -> None:
    """Adaptive probabilities in the bet: level .1, 150 repetitions, seed 5; the control is the peeked z-test."""
    ours, naive = bandit({"champion": 0.3, "challenger": 0.3}, 150, 5, lambda rows, _: z(rows) > 1.2816)
    assert ours <= 0.1 + 2 * math.sqrt(0.09 / 150), ours
    assert naive > 0.2, naive


def test_a_wrong_propensity_breaks_the_promise() -> None:
    """The control for logging: a contextual bandit sends the easy contexts to a challenger that is worse by
    .1 on the whole. With its logged probabilities it is not promoted; with 1/2 in their place it always is."""
    rng = np.random.default_rng(6)
    policy = {"kind": "lints", "floor": 0.05, "explore": 0.3, "prior": 0.4, "features": [{"name": "x", "low": 0, "high": 1}]}
    right = wrong = 0
    for rep in range(40):
        rows: list[Row] = []
        for batch in range(6):
            drawn = fitted(policy, NAMES, rows)["policy"]
            routing = Routing("a", "b", "r", f"6/{rep}", (Slice(0.0, 1.0, 0.5, policy=drawn),))
            for at in range(100):
                x = float(rng.random() < 0.5)
                rates = {"champion": 0.8 if x else 0.4, "challenger": 0.9 if x else 0.1}
                rows.append(unit(routing, f"u{batch}-{at}", rates, rng, {"x": x}))
        said = [{**row, "shares": dict.fromkeys(NAMES, 0.5)} for row in rows]
        right += winner({"tests": verdicts(parameters(pi_range=[0.05, 0.95]), rows)}) is not None
        wrong += winner({"tests": verdicts(parameters(), said)}) is not None
    assert right <= 4 + 2 * 1.9, right
    assert wrong > 35, wrong


@pytest.mark.parametrize("policy", ["epsilon", "thompson"])
def test_rel_12_exploration_keeps_finding_what_a_greedy_policy_has_forgotten(policy: str) -> None:
    """A self-reinforcing loop: the better arm begins unluckily. Greedy without exploration never tries
    it again (the control); with a floor it is found."""
    def best_share(floor: float) -> float:
        rng = np.random.default_rng(7)
        rows = [
            {"arm": "champion", "y": 1.0, "context": None}, {"arm": "challenger", "y": 0.0, "context": None},
            {"arm": "challenger", "y": 0.0, "context": None}, {"arm": "challenger", "y": 0.0, "context": None},
        ]
        share = 0.0
        for _ in range(20):
            drawn = fitted({"kind": policy, "floor": floor, "prior": 0.5, "features": []}, NAMES, rows)["weights"]
            share = dict(map(tuple, drawn))["challenger"]
            for _ in range(50):
                arm = "challenger" if rng.random() < share else "champion"
                rows.append({"arm": arm, "y": float(rng.random() < (0.7 if arm == "challenger" else 0.4)), "context": None})
        return float(share)

    assert best_share(0.05) > 0.9
    if policy == "epsilon":
        assert best_share(0.0) == 0.0
