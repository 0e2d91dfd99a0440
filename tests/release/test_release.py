# SPDX-License-Identifier: Apache-2.0
"""The way of a release: shadow, canary, approval, full, and every way out of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.errors import ArgumentError, Refused
from trueup.core.events import Event
from trueup.core.task import Outcome
from trueup.evaluate import Accuracy
from trueup.release import (
    Approval,
    Canary,
    Full,
    Risk,
    Shadow,
    approve,
    name_anchor,
    next_level,
    pause,
    recompute,
    reject,
    resume,
    rollback,
)
from trueup.state import read
from trueup.stats import Levels

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def kinds(decisions: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.verdict) for one in decisions]


def to_canary(stand: Any) -> None:
    """A challenger that is clearly better in shadow, now in its canary."""
    stand.offer()
    assert kinds(stand.advance()) == [("start", "NOTE")]
    stand.labelled(400, new=0.9, old=0.8)
    assert kinds(stand.advance(2 * HOUR)) == [("stage", "PASS")]


def test_rel_03_shadow_canary_approval_full_in_order(stand: Any) -> None:
    """REL-01, REL-02, REL-03, REG-03, HIT-01."""
    to_canary(stand)
    assert stand.state.release.proven
    assert stand.state.tests[-1].promoted is True
    assert stand.state.routing["slices"] == [{"start": 0.0, "stop": 0.5, "pi": 0.5, "stage": 0}]
    enrolled = stand.served(600)
    assert 0.4 < enrolled / 600 < 0.6
    assert kinds(stand.advance(2 * HOUR)) == [("step", "HOLD")]
    assert stand.state.routing["slices"][1] == {"start": 0.5, "stop": 1.0, "pi": 0.5, "stage": 1}
    stand.served(600)
    assert kinds(stand.advance(2 * HOUR)) == [("stage", "PASS")]
    assert stand.state.release.validated
    assert kinds(stand.advance(DAY)) == []
    with pytest.raises(Refused, match=stand.challenger):
        approve(stand.ledger, "l", stand.champion, reason="wrong one")
    made = approve(stand.ledger, "l", stand.challenger, reason="read the report", who="ada")
    assert made.actor == "ada"
    assert made.evidence["approval"]["by"] == "owners"
    with pytest.raises(Refused, match="approved already, by ada"):
        approve(stand.ledger, "l", stand.challenger, reason="again")
    assert kinds(stand.advance()) == [("stage", "PASS"), ("promote", "PROMOTE")]
    assert stand.state.champion == stand.challenger
    assert stand.state.anchor == stand.champion
    assert stand.state.routing["slices"] == []


def test_a_worse_challenger_is_refused_at_the_horizon(stand: Any) -> None:
    stand.offer()
    stand.advance()
    stand.labelled(450, new=0.6, old=0.8)
    made = stand.advance(2 * HOUR)
    assert kinds(made) == [("refuse", "REFUSE")]
    assert "400 of 400 pairs" in made[0].reason
    assert stand.state.champion == stand.champion
    assert stand.state.tests[-1].promoted is False
    assert recompute(stand.ledger, "l", made[0].evidence) == made[0].evidence["result"]


def test_a_shadow_without_labels_ends_at_its_maximum_time_and_its_level_is_spent(stand: Any) -> None:
    stand.offer()
    stand.advance()
    assert kinds(stand.advance(6 * DAY)) == []
    made = stand.advance(DAY)
    assert kinds(made) == [("refuse", "REFUSE")]
    assert "7 days" in made[0].reason
    assert stand.state.tests[-1].promoted is False


def test_labels_that_come_after_the_window_do_not_count_and_units_count_once(stand: Any) -> None:
    """A unit is scored once, at its exposure plus the window; what comes later changes nothing."""
    from trueup.core.clock import to_us
    from trueup.core.events import outcome

    stand.offer()
    stand.advance()
    stand.labelled(50, new=0.9, old=0.8)
    rows = stand.ledger.scan("l", "interaction").to_pylist()
    again = [Event(stand.ids.new(), "l", "interaction", to_us(stand.clock.now()), unit=row["unit"],
                   arm="champion", candidate=stand.champion, input='"x"', output='"new"') for row in rows]
    stand.ledger.append(again)
    stand.advance(2 * HOUR)
    first = stand.ledger.cut()
    before = _result(stand, first)
    assert before["units"] == 50
    now = to_us(stand.clock.now())
    stand.ledger.append([outcome("l", row["id"], "label", "late", ts=now) for row in rows])
    assert _result(stand, stand.ledger.cut()) == before


def _result(stand: Any, cut: int) -> dict[str, Any]:
    from trueup.core.clock import to_us

    return recompute(stand.ledger, "l", {
        "method": "shadow", "parameters": stand.state.release.parameters, "cut": cut,
        "now": to_us(stand.clock.now()),
    })


def test_rel_13_a_canary_that_fails_users_is_rolled_back_by_itself(stand: Any) -> None:
    """Half of the challenger's requests fail: the count guardrail sends it back, and the test that
    was won in shadow stays won."""
    to_canary(stand)
    stand.served(200, failing=(0.01, 0.5))
    made = stand.advance(10 * MINUTE)
    assert kinds(made) == [("rollback", "ROLLBACK")]
    assert "failing units" in made[0].reason
    assert made[0].evidence["result"]["count"]["crossed_at"] < 30
    assert stand.state.champion == stand.champion
    assert stand.state.routing["challenger"] is None
    assert stand.state.tests[-1].promoted is True
    assert recompute(stand.ledger, "l", made[0].evidence) == made[0].evidence["result"]


def test_a_canary_that_only_slows_is_rolled_back_for_it(stand: Any) -> None:
    stand.offer()
    stand.labelled(300, new=0.9, old=0.8)
    stand.advance()
    stand.labelled(400, new=0.9, old=0.8)
    stand.advance(2 * HOUR)
    stand.served(600, slow=(0.03, 0.6))
    made = stand.advance(10 * MINUTE)
    assert kinds(made) == [("rollback", "ROLLBACK")]
    assert "slow requests" in made[0].reason


def test_requests_that_are_never_answered_are_failures(stand: Any) -> None:
    """A challenger that takes its process with it cannot hide: the assignment stands there."""
    to_canary(stand)
    stand.served(300, lost=0.0)
    before = stand.state.release
    rows = stand.ledger.scan("l", "assignment").to_pylist()
    assert rows
    from trueup.core.clock import to_us
    from trueup.route import Routing, assign

    routing, lost = Routing.from_json(stand.state.routing), []
    for n in range(400):
        drawn = assign(routing, f"crash{n}")
        if drawn.enrolled and drawn.arm == "challenger":
            now, ident = to_us(stand.clock.now()), stand.ids.new()
            lost.append(Event(ident, "l", "assignment", now, now, unit=f"crash{n}", choice=ident,
                              arm=drawn.arm, candidate=drawn.candidate, propensity=drawn.propensity,
                              release=before.id))
    stand.ledger.append(lost)
    made = stand.advance(10 * MINUTE)
    assert kinds(made)[0][1] in ("ROLLBACK", "INVALID")


@pytest.mark.parametrize("seed", range(8))
def test_a_harmless_canary_is_not_rolled_back(stand: Any, seed: int) -> None:
    """Equal arms at 2 % errors, looked at again and again: the level is .05 a release."""
    import numpy as np

    stand.rng = np.random.default_rng(seed)
    to_canary(stand)
    for _ in range(6):
        stand.served(150)
        made = stand.advance(10 * MINUTE)
        assert all(one.verdict != "ROLLBACK" for one in made)


def test_one_and_a_half_times_the_requests_on_one_arm_is_no_harm(stand: Any) -> None:
    """A success with users must not look like errors: only a unit's first request counts, and the
    burden is a share."""
    to_canary(stand)
    for _ in range(4):
        stand.served(100, failing=(0.05, 0.05), requests=3)
        assert all(one.verdict != "ROLLBACK" for one in stand.advance(10 * MINUTE))


@pytest.mark.parametrize("fault", ["propensity", "two arms", "lost"])
def test_invalid_beats_everything(stand: Any, fault: str) -> None:
    """A missing propensity, a unit in two arms, lost exposures: INVALID, never PROMOTE."""
    from trueup.core.clock import to_us

    to_canary(stand)
    stand.served(60, failing=(0.0, 0.9))
    now, release = to_us(stand.clock.now()), stand.state.release.id
    base = Event("x1", "l", "assignment", now, now, unit="odd", arm="challenger", propensity=0.5, release=release)
    rows = {
        "propensity": [base._replace(propensity=None)],
        "two arms": [base, base._replace(id="x2", arm="champion")],
        "lost": [Event("x3", "l", "signal", now, now, name="exposures_lost", release=release)],
    }[fault]
    stand.ledger.append(rows)
    made = stand.advance(10 * MINUTE)
    assert kinds(made) == [("invalid", "INVALID")]
    assert stand.state.champion == stand.champion


def test_a_sample_ratio_alarm_is_invalid(stand: Any) -> None:
    from trueup.core.clock import to_us

    to_canary(stand)
    now, release = to_us(stand.clock.now()), stand.state.release.id
    stand.ledger.append([
        Event(f"a{n}", "l", "assignment", now, now, unit=f"q{n}", arm="challenger", propensity=0.5, release=release)
        for n in range(80)
    ] + [
        Event(f"a{n}", "l", "interaction", now, now, unit=f"q{n}", arm="challenger", candidate=stand.challenger,
              propensity=0.5, release=release, seconds=0.01, output='"new"')
        for n in range(80)
    ])
    made = stand.advance(10 * MINUTE)
    assert kinds(made) == [("invalid", "INVALID")]
    assert "sample-ratio" in made[0].reason


def test_people_pause_resume_reject_and_roll_back(stand: Any, tmp_path: Path) -> None:
    stand.offer()
    stand.advance()
    pause(stand.ledger, "l", reason="holiday", who="ada")
    with pytest.raises(Refused, match="paused already: holiday"):
        pause(stand.ledger, "l", reason="again")
    assert stand.advance(DAY) == []
    resume(stand.ledger, "l", reason="back", who="ada")
    assert stand.state.release is not None, "a shadow goes on after a pause"
    with pytest.raises(Refused, match="not paused"):
        resume(stand.ledger, "l", reason="again")
    reject(stand.ledger, "l", stand.challenger, reason="no", who="ada")
    assert stand.state.release is None
    assert stand.state.tests[-1].promoted is False
    with pytest.raises(Refused, match="there is none"):
        reject(stand.ledger, "l", stand.challenger, reason="no")
    with pytest.raises(Refused, match="no champion before"):
        rollback(stand.ledger, "l", reason="no")

    other = stand.model("third", tmp_path)
    generation, state = read(stand.ledger, "l")
    from trueup.state import decide

    decide(stand.ledger, "l", generation, state.serve(other, 1), kind="promote", verdict="PROMOTE", reason="t")
    made = rollback(stand.ledger, "l", reason="users complain", who="ada")
    assert made.verdict == "ROLLBACK"
    assert stand.state.champion == stand.champion


def test_a_canary_cut_by_a_pause_ends_as_refused(stand: Any) -> None:
    to_canary(stand)
    pause(stand.ledger, "l", reason="fire", who="ada")
    assert stand.state.routing["slices"] == []
    made = resume(stand.ledger, "l", reason="out", who="ada")
    assert "cut by the pause" in made.reason
    assert stand.state.release is None


def test_a_running_release_is_never_replaced_and_a_waiting_one_follows(stand: Any, tmp_path: Path) -> None:
    stand.offer()
    stand.advance()
    third = stand.model("third", tmp_path)
    stand.offer(third)
    assert stand.advance() == []
    assert stand.state.release.candidate == stand.challenger
    reject(stand.ledger, "l", stand.challenger, reason="no", who="ada")
    made = stand.advance()
    assert kinds(made) == [("start", "NOTE")]
    assert stand.state.release.candidate == third
    assert made[0].level == pytest.approx(Levels(0.05).next([(1, False, False)]))


def test_tru_02_levels_fall_with_every_refusal_and_move_along_a_run_of_promotions(stand: Any) -> None:
    """The sum of the levels that worse challengers can meet never exceeds the promise."""
    levels, risk = Levels(0.05), Risk()
    from trueup.state import ReleaseTest

    history: tuple[ReleaseTest, ...] = ()
    for won in (False, True, True, False):
        level = next_level(history, risk, 0)
        assert level == levels.next([(t.k, bool(t.promoted), False) for t in history])
        history = (*history, ReleaseTest(len(history) + 1, level, 0, won))
    assert next_level(history, replace(risk, per="release"), 0) == 0.05
    old = tuple(replace(test, at=-(10**18)) for test in history)
    assert next_level(old, replace(risk, per="year"), 0) == levels.next([])


def test_tru_04_the_anchor_stands_beside_the_champion(stand: Any, tmp_path: Path) -> None:
    """A challenger that is no worse than the champion, but far below the anchor, is not promoted."""
    from trueup.state import decide

    weak = stand.model("weak", tmp_path)
    generation, state = read(stand.ledger, "l")
    decide(stand.ledger, "l", generation, replace(state.serve(weak, 1), anchor=stand.champion),
           kind="promote", verdict="PROMOTE", reason="t")
    stand.stages = [Shadow(Accuracy(), no_worse_by=0.05, units=300, max_time=7 * DAY), Full()]
    stand.risk = Risk(creep=0.10)
    stand.offer()
    stand.advance()
    # the label is "old" for most inputs: the anchor ("old") is right, the champion and the
    # challenger ("new") are not
    from trueup.core.clock import to_us
    from trueup.core.events import outcome

    rows = []
    for n in range(320):
        stand.clock.advance(timedelta(seconds=1))
        now, ident = to_us(stand.clock.now()), stand.ids.new()
        rows.append(Event(ident, "l", "interaction", now, now, unit=f"z{n}", choice=ident, arm="champion",
                          candidate=weak, input='"x"', output='"weak"'))
        rows.append(outcome("l", ident, "label", "old" if n % 5 else "new", ts=now, received=now))
    stand.ledger.append(rows)
    made = stand.advance(2 * HOUR)
    assert kinds(made) == [("refuse", "REFUSE")]
    result = made[0].evidence["result"]
    assert result["rejected"]
    assert not result["anchor"]["rejected"]


def test_stages_say_what_cannot_work(stand: Any) -> None:
    terms = stand.terms()
    shown = Outcome.boolean("thumbs", within=HOUR)
    fixes = Outcome.of_input("fix", within=HOUR, corrections_only=True)
    for outcomes, named, words in (
        ([shown], "thumbs", "was not shown"), ([fixes], None, "only where the champion was wrong"),
        ([], None, "expected one label"),
    ):
        problems = Shadow(Accuracy(), outcome=named).problems(replace(terms, outcomes=outcomes))
        assert words in " ".join(problems)
    slow = Outcome.of_input("slow", within=30 * DAY)
    assert "raise max_time" in Shadow(Accuracy()).problems(replace(terms, outcomes=[slow]))[0]
    assert Full().problems(replace(terms, stages=[Full(), Approval()]))
    with pytest.raises(ArgumentError, match="rise"):
        Canary(0.25, 0.05)
    with pytest.raises(ArgumentError, match="every unit enrolled"):
        Canary(0.9)
    with pytest.raises(ArgumentError):
        Risk(wrong_promotion=0.0)


def test_full_refuses_what_no_stage_has_proven(stand: Any) -> None:
    stand.stages = [Approval(), Full()]
    stand.offer()
    stand.advance()
    approve(stand.ledger, "l", stand.challenger, reason="trust me", who="eve")
    made = stand.advance()
    assert kinds(made) == [("stage", "PASS"), ("refuse", "REFUSE")]
    assert stand.state.champion == stand.champion


def test_silence_is_no_evidence_that_nothing_broke(stand: Any) -> None:
    """A canary step that saw too few units mature goes on waiting."""
    to_canary(stand)
    stand.served(20)
    assert stand.advance(2 * HOUR) == []
    stand.served(60)
    assert kinds(stand.advance(2 * HOUR)) == [("step", "HOLD")]


def test_a_person_names_another_anchor(stand: Any) -> None:
    made = name_anchor(stand.ledger, "l", stand.challenger, reason="a new beginning", who="ada")
    assert made.evidence["before"] == stand.champion
    assert stand.state.anchor == stand.challenger
    stand.offer()
    stand.advance()
    with pytest.raises(Refused, match="present anchor"):
        name_anchor(stand.ledger, "l", stand.champion, reason="no")
