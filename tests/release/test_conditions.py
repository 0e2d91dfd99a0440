# SPDX-License-Identifier: Apache-2.0
"""The checks and guardrails of experiments hold where users, seasons and contexts differ, each with its control.

What began before a check was made better goes on with the check that it began with, to the same bits.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from trueup.core.task import Outcome
from trueup.core.values import to_json
from trueup.release import Guardrails, verdict_of
from trueup.release.experiments.design import guard_of
from trueup.release.experiments.policies import fitted
from trueup.release.shadow.audits import audited
from trueup.route import Routing, Slice, assign
from trueup.stats import BetaThompson

EVER = 2**62
TWO = ["champion", "challenger"]
FLOOR = 0.1
CLICK = Outcome.boolean("click", within=timedelta(hours=1))


def served(seed: int, failing: dict[tuple[int, str], float], n: int = 2_400) -> list[dict[str, Any]]:
    """Units of a contextual bandit whose arms fail at these rates for x of 0 and 1, drawn by the router.

    The bandit learns early that the challenger is worse where x is 1, and sends it to x of 0.
    """
    rng = np.random.default_rng(seed)
    policy = {
        "kind": "lints", "floor": FLOOR, "explore": 0.3, "prior": 0.5, "features": [{"name": "x", "low": 0, "high": 1}],
    }
    rates = {(0, "champion"): 0.5, (0, "challenger"): 0.5, (1, "champion"): 0.8, (1, "challenger"): 0.3}
    rows: list[dict[str, Any]] = []
    scored: list[dict[str, Any]] = []
    for batch in range(6):
        routing = Routing("a", "b", "r", str(seed), (Slice(0.0, 1.0, 0.5, policy=fitted(policy, TWO, scored)["policy"]),))
        for at in range(n // 6):
            x = int(rng.random() < 0.5)
            drawn = assign(routing, f"u{batch}-{at}", {"x": x})
            failed = bool(rng.random() < failing[x, drawn.arm])
            scored.append({"arm": drawn.arm, "y": float(rng.random() < rates[x, drawn.arm]), "context": {"x": x}})
            rows.append({
                "unit": f"u{batch}-{at}", "arm": drawn.arm, "arms": 1, "pi": 1.0 - dict(drawn.probabilities or ())["champion"],
                "ts": 0, "failed": failed, "burden": float(failed), "seconds": 2.0 if failed else 0.1, "requests": 1, "late": 0,
            })  # fmt: skip
    return rows


def guarded(rows: list[dict[str, Any]], pi_range: list[float] | None) -> dict[str, Any]:
    parameters = guard_of(Guardrails(), 0.05, "r/0", len(rows), 1.0, moves=True, pi_range=pi_range)
    return verdict_of("canary", {"rows": rows, "invalid": None}, parameters, EVER)


def rolled_back(runs: list[list[dict[str, Any]]], pi_range: list[float] | None) -> float:
    found = [guarded(rows, pi_range) for rows in runs]
    return float(np.mean([any(one[name]["rejected"] for name in ("count", "burden", "latency")) for one in found]))


def test_rel_05_guardrails_of_a_contextual_bandit_speak_of_the_mean_over_contexts() -> None:
    """False rollbacks at .05: the challenger fails more where it is drawn more, and as often as the champion in the
    mean over contexts. Without the declared range, as it was, it is rolled back nearly always."""
    harmless = {(0, "champion"): 0.05, (0, "challenger"): 0.5, (1, "champion"): 0.5, (1, "challenger"): 0.05}
    runs = [served(seed, harmless) for seed in range(20)]
    assert rolled_back(runs, [FLOOR, 1.0 - FLOOR]) <= 0.05
    assert rolled_back(runs, None) > 0.5


def test_and_they_find_a_challenger_that_fails_at_every_context() -> None:
    failing = {(x, arm): 0.02 if arm == "champion" else 0.3 for x in (0, 1) for arm in TWO}
    assert rolled_back([served(seed, failing) for seed in range(5)], [FLOOR, 1.0 - FLOOR]) == 1.0


def test_a_propensity_outside_the_declared_range_is_invalid() -> None:
    found = guarded(served(1, {(x, arm): 0.02 for x in (0, 1) for arm in TWO}, n=60), [0.45, 0.55])
    assert "outside the declared [0.45, 0.55]" in found["invalid"]


def parameters(*names: str, **more: Any) -> dict[str, Any]:
    return {
        "names": ["champion", *names], "level": 0.05, "horizon": 10**6, "margin": 0.01, "w": 0.3, "pi_range": None, "since": 0,
        "min_time": 0, "missing": "worst", "policy": None, "outcome": to_json(CLICK), "harms": [], "segments": [], **more,
    }


def experiment(rng: Any, known: list[float], drawn: dict[str, float], logged: dict[str, float], dead: int | None = None) -> dict[str, Any]:
    """Units whose outcome becomes known with these probabilities; from `dead` on the challenger's never does."""
    told: dict[str, Any] = {"rows": [], "invalid": None, "outcome": {"y": [], "told": [], "wrong": None}, "harms": []}
    for at, arm in enumerate(rng.choice(list(drawn), len(known), p=list(drawn.values())).tolist()):
        told["rows"].append({
            "unit": f"u{at}", "arm": arm, "pi": logged[arm], "shares": logged, "ts": at, "known": True, "context": None,
        })  # fmt: skip
        there = rng.random() < known[at] and not (dead is not None and at >= dead and arm != "champion")
        told["outcome"]["y"].append(float(rng.random() < 0.5) if there else None)
        told["outcome"]["told"].append(int(there))
    return told


def voided(reps: int, known: list[float], with_silence: bool, dead: int | None = None) -> int:
    half = dict.fromkeys(TWO, 0.5)
    rng = np.random.default_rng(1)
    given = parameters("challenger", **({"silence": 1e-6} if with_silence else {}))
    found = [verdict_of("experiment", experiment(rng, known, half, half, dead), given, 0) for _ in range(reps)]
    return sum("is not whole" in (one["invalid"] or "") for one in found)


def test_a_low_season_is_no_silence_of_an_arm() -> None:
    """40 A/As whose feedback nearly stops at night: none is voided, where an arm's own rate as the measure voids some."""
    season = [0.6] * 300 + [0.02] * 100
    assert voided(40, season, with_silence=True) == 0
    assert voided(40, season, with_silence=False) >= 3


def test_an_arm_whose_feedback_stopped_is_found_in_every_season() -> None:
    assert voided(10, [0.6] * 450, with_silence=True, dead=300) == 10
    assert voided(10, [0.2] * 900, with_silence=True, dead=450) == 10


def test_several_arms_are_tested_for_their_ratio_together() -> None:
    names = ("champion", "a", "b", "c")
    fair = dict.fromkeys(names, 0.25)
    skewed = {"champion": 0.17, "a": 0.32, "b": 0.19, "c": 0.32}
    rng = np.random.default_rng(2)
    right, wrong = (experiment(rng, [1.0] * 1_500, drawn, fair) for drawn in (fair, skewed))
    new = parameters(*names[1:], ratio="arms")
    assert verdict_of("experiment", right, new, 0)["invalid"] is None
    found = verdict_of("experiment", wrong, new, 0)
    assert "sample-ratio alarm" in found["invalid"]
    assert found["sample_ratio"]["assigned"]["line"] == pytest.approx(1_000.0)
    before = verdict_of("experiment", right, parameters(*names[1:]), 0)
    assert before["sample_ratio"]["assigned"]["line"] == pytest.approx(3_000.0)


def test_rel_08_new_bandits_tell_arms_with_much_data_apart_and_old_ones_draw_as_they_began() -> None:
    policy = {"kind": "thompson", "floor": 0.01, "explore": 0.3, "prior": 0.3, "features": []}
    rng = np.random.default_rng(3)
    scored = [
        {"arm": arm, "y": float(rng.random() < p), "context": None}
        for arm, p, n in (("champion", 0.01, 6_000), ("challenger", 0.03, 6_000), ("late", 0.0, 2)) for _ in range(n)
    ]  # fmt: skip
    names = [*TWO, "late"]
    new = dict(fitted({**policy, "integral": "quantiles"}, names, scored)["weights"])
    old = dict(fitted(policy, names, scored)["weights"])
    assert 1.0 - sum(new.values()) == pytest.approx(0.01, abs=1e-6)  # the champion is surely worse
    assert all(weight == round(weight, 9) for weight in new.values())
    grid = BetaThompson(3, 0.01)
    grid.successes, grid.failures = [0.6] * 3, [1.4] * 3
    for one in scored:
        grid.update(names.index(one["arm"]), one["y"])
    assert list(old.values()) == [round(p, 12) for p in grid.decide(np.random.default_rng(0)).probabilities[1:]]
    assert old != new


def test_tru_06_a_judge_that_is_not_used_saves_no_labels_and_old_shadows_say_what_they_said() -> None:
    """The judge says the opposite of people: it is not used. The recorded figure was the squared correlation's."""
    rng = np.random.default_rng(4)
    rows = []
    for at in range(300):
        new, drawn = float(rng.random() < 0.5), bool(rng.random() < 0.3)
        rows.append([f"c{at}", f"u{at}", new, 0.5, None, True, drawn, 1.0 - new if drawn else None, 0.5 if drawn else None, None])
    audit = {"share": 0.3, "outcome": "label", "scorer": None, "salt": "l/r-1/audit"}
    given = {"level": 0.1, "horizon": 300, "audit": audit}
    old = audited(rows, given, 0.05, 3, 8)["audits"]["ppi"]
    now = audited(rows, {**given, "audit": {**audit, "saved": "used"}}, 0.05, 3, 8)["audits"]["ppi"]
    few = sum(row[6] for row in rows)
    assert now["saved"] == 0.0
    assert old["saved"] == old["correlation"] ** 2 * (300 - few) / 300
    assert {**old, "saved": None} == {**now, "saved": None}
