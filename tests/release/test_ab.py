# SPDX-License-Identifier: Apache-2.0
"""A/B: units scored once, in order, at the release's level; and all that voids it (REL-05, REL-06)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.core.task import Outcome
from trueup.core.values import from_json, to_json
from trueup.evaluate import Accuracy
from trueup.release import (
    AB,
    Approval,
    Full,
    Guardrails,
    NoHarm,
    Population,
    Risk,
    Shadow,
    Terms,
    advance,
    recompute,
)
from trueup.route import Routing, assign
from trueup.state import decide, read
from trueup.store import Ledger
from trueup.testing import check_value

from .conftest import LABEL, Stand

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
CLICK = Outcome.boolean("click", within=HOUR, absent=False)
STARS = Outcome.number("stars", low=1, high=5, within=HOUR)
SPAM = Outcome.boolean("spam", better="lower", within=HOUR, absent=False)


class Users(Stand):
    """A stand whose users click, rate and come back."""

    outcomes = (LABEL, CLICK, STARS, SPAM)
    population = Population()

    def terms(self) -> Terms:
        return Terms(
            self.name, "d" * 64, self.stages, self.risk, self.outcomes, self.predictor, 0.05, unit="user",
            population=self.population,
        )

    def visit(
        self, n: int, rates: dict[str, float], *, name: str = "click", span: timedelta = DAY,
        told: dict[str, float] | None = None, skew: float = 0.0, context: Any = None, again: float = 0.0,
        spam: dict[str, float] | None = None, values: tuple[float, float] = (1.0, 0.0), log: bool = True,
    ) -> None:
        """n fresh units over `span`: an outcome that is good with probability rates[arm].

        `told` is the share of units that say anything, by arm; `skew` the share of the challenger's
        units that are lost before they are logged; `again` the share that come back.
        """
        routing, rows = Routing.from_json(self.state.routing), []
        for at in range(n):
            self.units += 1
            unit = f"u{self.units}"
            given = context(at) if context else None
            for _ in range(1 + int(self.rng.random() < again)):
                self.clock.advance(span / n)
                drawn = assign(routing, unit, given)
                if drawn.arm != "champion" and self.rng.random() < skew:
                    continue
                now, ident = to_us(self.clock.now()), self.ids.new()
                common: dict[str, Any] = {
                    "unit": unit, "choice": ident, "arm": drawn.arm, "candidate": drawn.candidate,
                    "propensity": drawn.propensity, "release": routing.release, "generation": 1,
                }
                if drawn.enrolled:
                    facts: dict[str, Any] = {"stage": drawn.stage}
                    if drawn.probabilities:
                        facts["probabilities"] = dict(drawn.probabilities)
                    if given is not None:
                        facts["context"] = given
                    rows.append(Event(ident, self.name, "assignment", now, now, extra=dumps(facts), **common))
                if log:
                    rows.append(Event(
                        ident, self.name, "interaction", now, now, input=dumps("x"), output=dumps("y"), seconds=0.01, **common,
                    ))
                if told is not None and self.rng.random() >= told[drawn.arm]:
                    continue
                good = self.rng.random() < rates.get(drawn.arm, rates.get("other", 0.0))
                value: Any = values[0] if good else values[1]
                if name == "click" and not good:
                    continue
                rows.append(outcome(self.name, ident, name, value, ts=now, received=now))
                if spam and self.rng.random() < spam[drawn.arm]:
                    rows.append(outcome(self.name, ident, "spam", True, ts=now, received=now))
        self.ledger.append(rows)


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Users]:
    made = Users(tmp_path / "home", [AB(CLICK, no_worse_by=0.05, units=1_500, max_time=14 * DAY), Full()])
    made.rng = np.random.default_rng(11)
    yield made
    made.ledger.close()


def kinds(decisions: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.verdict) for one in decisions]


def begin(users: Users, *stages: Any, risk: Risk | None = None) -> None:
    if stages:
        users.stages = [*stages, Full()]
    users.risk = risk or Risk(wrong_promotion=0.5)
    users.offer()
    assert kinds(users.advance()) == [("start", "NOTE")]


def days(users: Users, n: int, each: int, rates: dict[str, float], **how: Any) -> list[Any]:
    """So many days of traffic, a look a day; everything that was decided."""
    made: list[Any] = []
    for _ in range(n):
        users.visit(each, rates, **how)
        made += users.advance()
        if any(one.kind != "step" for one in made):
            return made
    return made + users.advance(2 * HOUR)


def test_rel_05_a_better_challenger_is_promoted_after_a_full_week_and_not_before(users: Users) -> None:
    """Half of the users each; the evidence is there on day 3, the promotion waits for the week."""
    begin(users)
    assert users.state.routing["slices"] == [{"start": 0.0, "stop": 1.0, "pi": 0.5, "stage": 0}]
    assert days(users, 6, 220, {"champion": 0.2, "challenger": 0.45}) == []
    made = days(users, 3, 220, {"champion": 0.2, "challenger": 0.45})
    assert kinds(made) == [("stage", "PASS"), ("promote", "PROMOTE")]
    assert users.state.champion == users.challenger
    assert users.state.tests[-1].promoted is True
    result = made[0].evidence["result"]
    assert result["complete"] > 1_200
    assert result["tests"]["challenger"]["interval"][0] > 0.1
    again = recompute(users.ledger, "l", made[0].evidence)
    assert dumps(again) == dumps(result), "the same, bit by bit"


def test_rel_05_a_worse_challenger_is_refused_and_its_level_is_spent(users: Users) -> None:
    begin(users)
    made = days(users, 9, 200, {"champion": 0.4, "challenger": 0.3})
    assert kinds(made) == [("refuse", "REFUSE")]
    assert "horizon" in made[0].reason
    assert users.state.tests[-1].promoted is False
    assert users.state.routing["challenger"] is None


def test_an_ab_that_gathers_too_little_ends_at_its_maximum_time(users: Users) -> None:
    begin(users, AB(CLICK, no_worse_by=0.02, units=5_000, max_time=8 * DAY))
    made = days(users, 10, 30, {"champion": 0.4, "challenger": 0.4})
    assert kinds(made) == [("refuse", "REFUSE")]
    assert "8 days" in made[0].reason


def test_a_unit_is_scored_once_at_its_exposure_and_window(users: Users) -> None:
    """Clicks after the window count for nothing, requests of a returning unit count together, and a
    unit is never scored earlier because it has clicked."""
    begin(users)
    users.visit(50, {"champion": 1.0, "challenger": 1.0}, span=10 * MINUTE, again=1.0)
    assert users.advance() == []
    result = recompute(users.ledger, "l", evidence(users))
    assert (result["units"], result["matured"]) == (50, 0)
    users.clock.advance(2 * HOUR)
    result = recompute(users.ledger, "l", evidence(users))
    assert (result["units"], result["matured"], result["complete"]) == (50, 50, 50)
    assert result["arms"]["champion"]["mean"] == 1.0
    late = users.ledger.query("FROM event SELECT id WHERE kind = 'assignment' LIMIT 1").to_pylist()[0]["id"]
    users.ledger.append([outcome("l", late, "click", False, ts=to_us(users.clock.now()), key="k")])
    assert recompute(users.ledger, "l", evidence(users)) == result


def evidence(users: Users) -> dict[str, Any]:
    return {
        "method": "experiment", "parameters": users.state.release.parameters, "cut": users.ledger.cut(),
        "now": to_us(users.clock.now()),
    }


def test_rel_06_the_design_is_fixed_when_the_stage_is_entered(users: Users) -> None:
    begin(users, AB(
        CLICK, no_worse_by=0.1, hypothesis="new features find what people open", segments=["country"],
        units_a_day=400,
    ))
    parameters = users.state.release.parameters
    assert parameters["hypothesis"].startswith("new features")
    assert parameters["unit"] == "user"
    assert parameters["outcome"] == to_json(CLICK)
    assert 100 < parameters["horizon"] < 2_000
    decision = users.ledger.decisions("l", kind="start", newest=True, limit=1)
    assert "units" in next(iter(decision)).reason
    assert "days" in next(iter(decision)).reason


def test_val_11_segments_are_reported_and_units_without_history_are_one_of_them(users: Users) -> None:
    now = to_us(users.clock.now())
    users.ledger.append([
        Event(f"old{at}", "l", "interaction", now, now, unit=f"u{at}", choice=f"old{at}", arm="champion",
              candidate=users.champion, input=dumps("x"), output=dumps("y")) for at in range(1, 41)
    ])
    users.clock.advance(MINUTE)
    begin(users, AB(CLICK, no_worse_by=0.05, units=500, segments=["country"]))
    users.visit(100, {"champion": 0.5, "challenger": 0.5}, context=lambda at: {"country": "de" if at % 2 else "fr"})
    users.advance(2 * HOUR)
    found = recompute(users.ledger, "l", evidence(users))["segments"]
    assert {value: sum(one["units"] for one in arms.values()) for value, arms in found["history"].items()} == {
        "known": 40, "new": 60,
    }
    assert set(found["country"]) == {"de", "fr"}


def test_ratings_are_scaled_and_silence_leaves_a_unit_out(users: Users) -> None:
    begin(users, AB(STARS, no_worse_by=0.05, units=400))
    made = days(users, 8, 100, {"champion": 0.3, "challenger": 0.7}, name="stars", values=(5, 1),
                told={"champion": 0.6, "challenger": 0.6})
    assert kinds(made)[0] == ("stage", "PASS")
    result = made[0].evidence["result"]
    assert 0.5 < result["complete"] / result["matured"] < 0.7
    assert result["arms"]["challenger"]["mean"] == pytest.approx(0.7, abs=0.08)


def test_harm_in_a_business_guardrail_rolls_back_before_the_week_is_over(users: Users) -> None:
    begin(users, AB(CLICK, no_worse_by=0.05, units=1_500, guardrails=Guardrails(outcomes=[NoHarm(SPAM, 0.01)])))
    made = days(users, 4, 200, {"champion": 0.3, "challenger": 0.6}, spam={"champion": 0.01, "challenger": 0.4})
    assert kinds(made) == [("rollback", "ROLLBACK")]
    assert "spam" in made[0].reason
    assert dumps(recompute(users.ledger, "l", made[0].evidence)) == dumps(made[0].evidence["result"])


def test_rel_13_failing_requests_roll_an_ab_back(users: Users) -> None:
    begin(users)
    served(users, failing=(0.02, 0.5))
    made = users.advance(10 * MINUTE)
    assert kinds(made) == [("rollback", "ROLLBACK")]
    assert "failing units" in made[0].reason


def served(users: Users, **how: Any) -> None:
    users.served(200, **how)


# -- INVALID ------------------------------------------------------------------------------------------


def better(users: Users) -> None:
    """A challenger that would be promoted at the next look."""
    begin(users)
    assert days(users, 6, 220, {"champion": 0.2, "challenger": 0.45}) == []
    users.visit(220, {"champion": 0.2, "challenger": 0.45})


def assignment(users: Users, unit: str, **more: Any) -> Event:
    now, routing = to_us(users.clock.now()), users.state.routing
    ident = users.ids.new()
    base: dict[str, Any] = {
        "unit": unit, "choice": ident, "arm": "champion", "candidate": users.champion, "propensity": 0.5,
        "release": routing["release"], "generation": 1, "extra": '{"stage":0}',
    }
    return Event(ident, "l", "assignment", now, now, **{**base, **more})


def first_unit(users: Users) -> dict[str, Any]:
    return users.ledger.query(
        "FROM event SELECT unit, arm, id WHERE kind = 'assignment' AND arm = 'challenger' ORDER BY seq LIMIT 1"
    ).to_pylist()[0]  # type: ignore[no-any-return]


def break_it(users: Users, fault: str) -> None:
    now = to_us(users.clock.now())
    if fault == "propensity":
        users.ledger.append([assignment(users, "odd", propensity=None)])
    elif fault == "two arms":
        users.ledger.append([assignment(users, first_unit(users)["unit"])])
    elif fault == "lost":
        users.ledger.append([Event("s1", "l", "signal", now, now, name="exposures_lost", release=users.state.routing["release"])])
    elif fault == "metric":
        users.outcomes = (LABEL, replace(CLICK, within=2 * HOUR))
    elif fault == "arm":
        users.ledger.append([assignment(users, "odd", arm="other")])


def test_without_a_fault_it_is_promoted(users: Users) -> None:
    """The control of the tests below."""
    better(users)
    assert kinds(users.advance(2 * HOUR))[-1] == ("promote", "PROMOTE")


@pytest.mark.parametrize(
    ("fault", "words"),
    [("propensity", "without its propensity"), ("two arms", "seen in two arms"), ("lost", "exposures were lost"),
     ("metric", "not the one that the experiment began with"), ("arm", "arm that nobody draws")],
)
def test_invalid_beats_promote(users: Users, fault: str, words: str) -> None:
    better(users)
    break_it(users, fault)
    made = users.advance(2 * HOUR)
    assert kinds(made) == [("invalid", "INVALID")]
    assert words in made[0].reason
    assert users.state.champion == users.champion


def test_an_outcome_out_of_bounds_is_invalid(users: Users) -> None:
    begin(users, AB(STARS, no_worse_by=0.05, units=400))
    made = days(users, 2, 100, {"champion": 0.3, "challenger": 0.7}, name="stars", values=(5, 0))
    assert kinds(made) == [("invalid", "INVALID")]
    assert "outside its declared bounds [1, 5]" in made[0].reason


def test_an_outcome_that_is_no_number_is_invalid(users: Users) -> None:
    begin(users, AB(STARS, no_worse_by=0.05, units=400))
    users.visit(20, {"champion": 1.0, "challenger": 1.0}, name="stars", values=("five", "five"))  # type: ignore[arg-type]
    made = users.advance(2 * HOUR)
    assert kinds(made) == [("invalid", "INVALID")]


def test_a_sample_ratio_alarm_is_invalid(users: Users) -> None:
    """A third of the challenger's units is lost before it is logged."""
    begin(users)
    made = days(users, 9, 220, {"champion": 0.2, "challenger": 0.45}, skew=0.33)
    assert kinds(made) == [("invalid", "INVALID")]
    assert "sample-ratio" in made[0].reason


def test_attrition_that_differs_by_arm_is_invalid_and_the_worst_case_is_a_way_out(users: Users) -> None:
    """Unhappy users of the challenger rate less often: those who do rate it love it."""
    told = {"champion": 0.9, "challenger": 0.5}
    begin(users, AB(STARS, no_worse_by=0.05, units=900))
    made = days(users, 9, 200, {"champion": 0.5, "challenger": 0.9}, name="stars", values=(5, 1), told=told)
    assert kinds(made) == [("invalid", "INVALID")]
    assert "differing attrition" in made[0].reason


def test_counting_the_missing_at_their_worst_needs_no_such_alarm(users: Users) -> None:
    begin(users, AB(STARS, no_worse_by=0.05, units=900, missing="worst"))
    made = days(users, 9, 200, {"champion": 0.5, "challenger": 0.9}, name="stars", values=(5, 1),
                told={"champion": 0.9, "challenger": 0.5})
    assert kinds(made) == [("refuse", "REFUSE")]


def test_a_look_of_which_one_arm_was_not_refreshed_is_invalid(users: Users) -> None:
    """The feed of the champion's clicks has stopped: silence would count against it alone."""
    begin(users)
    assert days(users, 5, 200, {"champion": 0.45, "challenger": 0.4}) == []
    made = days(users, 3, 200, {"champion": 0.0, "challenger": 0.4})
    assert kinds(made) == [("invalid", "INVALID")]
    assert "not whole" in made[0].reason


def test_a_cumulative_count_that_falls_is_invalid(users: Users) -> None:
    """Rows are only ever added: fewer of them means that some were lost."""
    import sqlite3

    begin(users)
    assert days(users, 3, 100, {"champion": 0.2, "challenger": 0.4}) == []
    home = users.ledger.home
    users.ledger.close()
    with sqlite3.connect(home / "journal.sqlite") as connection:
        connection.execute("DELETE FROM event WHERE kind = 'outcome' AND seq % 2 = 0")
    connection.close()
    users.ledger = Ledger.open(home, clock=users.clock)
    made = users.advance(HOUR)
    assert kinds(made) == [("invalid", "INVALID")]
    assert "has fallen: told" in made[0].reason


# -- the promise --------------------------------------------------------------------------------------


def test_after_a_promotion_an_ab_alone_is_not_begun_and_spends_nothing(users: Users, tmp_path: Path) -> None:
    """TRU-04: the champion is not the anchor any more, and small losses could add up."""
    third = users.model("third", tmp_path)
    generation, state = read(users.ledger, "l")
    decide(users.ledger, "l", generation, state.serve(users.challenger, to_us(users.clock.now())), kind="promote",
           verdict="PROMOTE", reason="t")
    users.offer(third)
    made = users.advance()
    assert kinds(made) == [("stop", "REFUSE")]
    assert "put a Shadow before it" in made[0].reason
    assert users.state.tests == ()
    users.stages = [AB(CLICK, no_worse_by=0.0, detect=0.05, units=400), Full()]
    users.offer(third)
    assert kinds(users.advance()) == [("start", "NOTE")], "with no loss accepted none can add up"


def test_beside_a_shadow_the_ab_must_pass_too_and_does_not_carry(users: Users) -> None:
    users.stages = [
        Shadow(Accuracy(), no_worse_by=0.05, units=400, max_time=7 * DAY), AB(CLICK, no_worse_by=0.05, units=800), Full(),
    ]
    users.risk = Risk(wrong_promotion=0.5)
    users.offer()
    users.advance()
    users.labelled(400, new=0.9, old=0.8)
    assert kinds(users.advance(2 * HOUR)) == [("stage", "PASS")]
    assert users.state.release.proven
    made = days(users, 9, 150, {"champion": 0.4, "challenger": 0.3})
    assert kinds(made) == [("refuse", "REFUSE")]


def test_needless_rollback_is_shared_by_the_stages_that_serve(users: Users) -> None:
    from trueup.release import Canary

    begin(users, Canary(0.25, step=HOUR), AB(CLICK, no_worse_by=0.05, units=800))
    assert users.state.release.guard["levels"]["latency"] == pytest.approx(0.0125)
    salt = users.state.routing["salt"]
    served(users)
    assert kinds(users.advance(2 * HOUR)) == [("stage", "PASS")]
    assert users.state.release.guard["levels"]["latency"] == pytest.approx(0.0125)
    assert users.state.routing["salt"] != salt, "units that come back are drawn afresh"
    assert users.state.routing["release"] != users.state.release.id


def test_several_challengers_split_the_level_and_the_best_goes_on(users: Users) -> None:
    """A/B/n: each arm is a candidate of its own, with its parameters (REL-14)."""
    begin(users, AB(CLICK, no_worse_by=0.05, units=2_000, arms={"short": {"prompt": "Briefly."}, "long": {"prompt": "In full."}}))
    routing = users.state.routing
    assert routing["arms"].keys() == {"short", "long"}
    assert routing["parameters"]["short"] == {"prompt": "Briefly."}
    made = days(users, 9, 300, {"champion": 0.2, "short": 0.2, "long": 0.5})
    assert kinds(made) == [("stage", "PASS"), ("promote", "PROMOTE")]
    assert users.state.champion == routing["arms"]["long"]
    assert users.state.routing["parameters"]["champion"] == {"prompt": "In full."}
    tests = made[0].evidence["result"]["tests"]
    assert tests["long"]["line"] == pytest.approx(2 / made[0].level)


def test_overrides_are_flagged_and_counted_nowhere(users: Users) -> None:
    users.population = Population(overrides={"qa-1": "challenger", "qa-2": "champion"})
    begin(users)
    routing = Routing.from_json(users.state.routing)
    assert assign(routing, "qa-1").override
    users.visit(100, {"champion": 0.5, "challenger": 0.5})
    users.ledger.append([assignment(users, "qa-1", arm="challenger", propensity=None, extra='{"override":true,"stage":null}')])
    assert users.advance(2 * HOUR) == []
    assert recompute(users.ledger, "l", evidence(users))["units"] == 100


def test_stages_say_what_cannot_work(users: Users) -> None:
    terms = users.terms()
    assert AB(Outcome.boolean("zzz")).problems(terms) == ["AB decides on 'zzz', which is not among the outcomes"]
    assert "differs" in AB(replace(CLICK, within=DAY)).problems(terms)[0]
    assert "a label" in AB(LABEL).problems(terms)[0]
    assert "raise max_time" in AB(CLICK, min_time=MINUTE, max_time=HOUR).problems(terms)[0]
    assert AB(CLICK).problems(terms) == []
    for wrong in ({"share": 1.0}, {"no_worse_by": -0.1}, {"no_worse_by": 0.0}, {"traffic": 0.0}, {"units": 0},
                  {"min_time": 40 * DAY}, {"missing": "no"}, {"arms": {"champion": {}}}):
        with pytest.raises(ArgumentError):
            AB(CLICK, **wrong)
    for part in (AB(CLICK, arms={"a": {"t": 1}}), Population(holdback=0.1, layer="x", stop=0.5), NoHarm(SPAM), Guardrails()):
        check_value(part)
        assert from_json(to_json(part)) == part


def test_people_decide_between_an_ab_and_its_promotion(users: Users) -> None:
    begin(users, AB(CLICK, no_worse_by=0.05, units=1_500), Approval())
    made = days(users, 9, 220, {"champion": 0.2, "challenger": 0.45})
    assert kinds(made) == [("stage", "PASS")]
    assert users.state.routing["slices"], "units that got the challenger keep it"
    assert list(advance(users.ledger, users.terms())) == []
