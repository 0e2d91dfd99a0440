# SPDX-License-Identifier: Apache-2.0
"""The course of a release when people, edits and other processes come in between."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import to_us
from trueup.core.errors import DefinitionError
from trueup.evaluate import Accuracy
from trueup.release import (
    Approval,
    Canary,
    Full,
    Risk,
    Shadow,
    Terms,
    advance,
    approve,
    next_level,
    pause,
    reject,
    resume,
    rollback,
)
from trueup.state import ReleaseTest, decide, read
from trueup.stats import Levels

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def kinds(decisions: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.verdict) for one in decisions]


def to_approval(stand: Any) -> None:
    """A challenger that waits for its approval and serves half of the users."""
    stand.stages = [
        Shadow(Accuracy(), no_worse_by=0.05, units=400, max_time=7 * DAY), Canary(0.5, step=HOUR),
        Approval(by="owners"), Full(),
    ]  # fmt: skip
    stand.offer()
    stand.advance()
    stand.labelled(400, new=0.9, old=0.8)
    stand.advance(2 * HOUR)
    stand.served(200)
    assert kinds(stand.advance(2 * HOUR)) == [("stage", "PASS")]
    assert "by" in stand.state.release.parameters


def test_rel_03_harm_while_an_approval_is_awaited_is_rolled_back(stand: Any) -> None:
    """The challenger serves its slices until a person has spoken: somebody must watch."""
    to_approval(stand)
    assert stand.state.routing["slices"], "units that got the challenger keep it"
    stand.served(200, failing=(0.01, 0.5))
    made = stand.advance(10 * MINUTE)
    assert kinds(made) == [("rollback", "ROLLBACK")]
    assert "failing units" in made[0].reason
    assert stand.state.routing["challenger"] is None


def test_harm_is_looked_for_once_more_before_the_promotion(stand: Any) -> None:
    to_approval(stand)
    approve(stand.ledger, "l", stand.challenger, reason="fine", who="ada")
    stand.served(200, failing=(0.01, 0.5))
    assert kinds(stand.advance(10 * MINUTE)) == [("rollback", "ROLLBACK")]


def test_a_pause_while_an_approval_is_awaited_ends_what_served_users(stand: Any) -> None:
    to_approval(stand)
    pause(stand.ledger, "l", reason="fire", who="ada")
    resume(stand.ledger, "l", reason="out", who="ada")
    assert stand.state.release is None
    assert stand.state.tests[-1].promoted is True


def test_every_approval_needs_a_person_of_its_own(stand: Any) -> None:
    stand.stages = [Approval(by="owners"), Approval(by="legal"), Full()]
    stand.offer()
    stand.advance()
    approve(stand.ledger, "l", stand.challenger, reason="ours", who="ada")
    assert kinds(stand.advance()) == [("stage", "PASS")]
    assert stand.advance() == []
    approve(stand.ledger, "l", stand.challenger, reason="lawful", who="lex")
    assert kinds(stand.advance())[0] == ("stage", "PASS")


def test_a_loop_without_stages_leaves_its_candidate_waiting(stand: Any) -> None:
    terms = replace(stand.terms(), stages=())
    stand.offer()
    assert list(advance(stand.ledger, terms)) == []
    assert stand.state.waiting == stand.challenger


def test_the_last_stage_that_passes_without_full_promotes_nobody(stand: Any) -> None:
    stand.stages = [Approval()]
    stand.offer()
    stand.advance()
    approve(stand.ledger, "l", stand.challenger, reason="fine", who="ada")
    made = stand.advance()
    assert made[-1].verdict == "REFUSE"
    assert stand.state.champion == stand.champion
    assert stand.state.release is None


def test_a_release_goes_on_under_the_definition_that_it_began_with(stand: Any) -> None:
    """An edit takes effect at the next cycle: fewer stages, or another order, change nothing now."""
    to_approval(stand)
    began = stand.terms()
    edited = replace(began, digest="e" * 64, stages=[Full()])
    approve(stand.ledger, "l", stand.challenger, reason="fine", who="ada")
    made = list(advance(stand.ledger, edited, {began.digest: began}.__getitem__))
    assert kinds(made) == [("stage", "PASS"), ("promote", "PROMOTE")]


def test_the_next_release_begins_under_the_new_definition(stand: Any, tmp_path: Path) -> None:
    stand.stages = [Approval(), Full()]
    stand.offer()
    stand.advance()
    began = stand.terms()
    stand.offer(stand.model("third", tmp_path))
    reject(stand.ledger, "l", stand.challenger, reason="no", who="ada")
    edited = replace(began, digest="e" * 64, stages=[Canary(0.5), Full()])
    assert kinds(advance(stand.ledger, edited, {began.digest: began}.__getitem__)) == [("start", "NOTE")]
    assert stand.state.release.loop == "e" * 64
    assert "levels" in stand.state.release.parameters


def test_a_release_whose_definition_cannot_be_read_any_more_is_ended_in_plain_words(stand: Any) -> None:
    stand.offer()
    stand.advance()

    def gone(digest: str) -> Terms:
        raise DefinitionError("expected an importable module:function, got 'scores:mine'")

    made = list(advance(stand.ledger, replace(stand.terms(), digest="e" * 64), gone))
    assert kinds(made) == [("invalid", "INVALID")]
    assert "scores:mine" in made[0].reason
    assert stand.state.tests[-1].promoted is False


def test_a_person_who_decides_at_the_same_moment_wins_and_the_state_is_read_again(
    stand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.stages = [Approval(), Full()]
    stand.offer()
    way = sys.modules["trueup.release.advance"]
    usual, once = way.decide, iter([True])

    def late(*args: Any, **kwargs: Any) -> Any:
        if next(once, False):
            reject(stand.ledger, "l", stand.challenger, reason="no", who="ada")
        return usual(*args, **kwargs)

    monkeypatch.setattr(way, "decide", late)
    assert stand.advance() == []
    assert stand.state.waiting is None
    assert stand.state.tests == ()


def test_a_candidate_that_serves_already_is_not_released(stand: Any) -> None:
    stand.offer(stand.champion)
    made = stand.advance()
    assert kinds(made) == [("stop", "REFUSE")]
    assert "serves already" in made[0].reason
    assert stand.state.tests == ()


def test_reg_05_rolling_back_twice_goes_back_twice(stand: Any, tmp_path: Path) -> None:
    """Not forth again to the one that was just rolled back."""
    second, third = stand.model("second", tmp_path), stand.model("third", tmp_path)
    for ident in (second, third):
        generation, state = read(stand.ledger, "l")
        decide(stand.ledger, "l", generation, state.serve(ident, to_us(stand.clock.now())), kind="promote",
               verdict="PROMOTE", reason="t")
    for expected in (second, stand.champion):
        rollback(stand.ledger, "l", reason="worse", who="ada")
        assert stand.state.champion == expected
    assert stand.state.anchor == stand.champion


def test_a_rejection_names_the_release_that_it_ended(stand: Any) -> None:
    stand.offer()
    stand.advance()
    ident = stand.state.release.id
    assert reject(stand.ledger, "l", stand.challenger, reason="no", who="ada").evidence == {"release": ident}


def test_two_canaries_are_one_too_many(stand: Any) -> None:
    """Both would draw the same units anew: some would be seen in two arms."""
    stages = [Canary(0.1), Canary(0.5), Full()]
    problems = [words for stage in stages[:2] for words in stage.problems(replace(stand.terms(), stages=stages))]
    assert "one Canary" in " ".join(problems)


def test_tru_02_the_levels_of_a_year_never_add_up_to_more_than_the_promise() -> None:
    """Forty promoted early in one year, then refusals in the next: a window that slides would let the
    worse challengers of one year meet 1.1 of its promise."""
    day = 86_400_000_000
    risk, tests, met = Risk(per="year"), [], {}
    moments = [(10.0 + n / 10, True) for n in range(40)] + [(370.0, False)]
    moments += [(380.0 + n / 10, False) for n in range(300)]
    for k, (at, won) in enumerate(moments, 1):
        now = int(at * day)
        level = next_level(tests, risk, now)
        tests.append(ReleaseTest(k, level, now, won))
        if not won:
            met[int(at // 365)] = met.get(int(at // 365), 0.0) + level
    assert all(total <= 0.05 for total in met.values()), met
    assert next_level(tests, risk, int(800 * day)) == Levels(0.05).next([])
