# SPDX-License-Identifier: Apache-2.0
"""A loop as a value: what it is made of, what it would do, what it says."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import Busy, DefinitionError, NotFound, UnknownName
from trueup.core.money import Spend
from trueup.core.task import Outcome
from trueup.core.values import from_json
from trueup.data import Recipe
from trueup.evaluate import Accuracy, NoWorse
from trueup.loop import Loop, load_loop, load_loops, request, run, status, why
from trueup.loop.status import lines
from trueup.models import ConstantModel
from trueup.release import Approval, Full, Shadow
from trueup.state import definition, read
from trueup.store import Ledger, lock
from trueup.testing import toy_history, toy_rows
from trueup.triggers import Cron, Falls, Rows

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[..., Loop]


def severe(loop: Loop) -> str:
    return " ".join(str(problem) for problem in loop.check() if problem.severe)


def test_a_loop_prints_hashes_and_comes_back_from_json(make_loop: Make, tmp_path: Path) -> None:
    loop = make_loop()
    again = from_json(json.loads(json.dumps(loop.to_json(tmp_path))), tmp_path)
    assert again == loop
    assert again.digest(tmp_path) == loop.digest(tmp_path)
    assert replace(loop, seed=1).digest() != loop.digest()
    assert "Falls" in repr(loop)


def test_parts_of_a_loop_are_checked_when_it_is_made(make_loop: Make) -> None:
    for changes, words in (
        ({"name": "My Loop"}, "small letters"), ({"mode": "watch"}, "observe, propose or act"),
        ({"when": [Falls]}, r"write Falls\(\.\.\.\)"), ({"release": ["full"]}, "expected stages"),
        ({"when_busy": "queue"}, "replace or wait"), ({"false_alarms_per_year": 0}, "above 0"),
    ):
        with pytest.raises(DefinitionError, match=words):
            make_loop(**changes)


def test_check_finds_what_cannot_work(make_loop: Make, golden: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """EVL-01, EVL-04: a gate that its golden set is too small to pass is refused before anything runs."""
    assert severe(make_loop()) == ""
    tight = [NoWorse(Accuracy(), by=0.01, on=golden)]
    assert "300 items, margin 0.01, level 0.05 needs at least" in severe(make_loop(gates=tight))
    assert "last stage must be Full" in severe(make_loop(release=[Shadow(Accuracy())]))
    assert "carries the promise" in severe(make_loop(release=[Approval(), Full()]))
    stars = Outcome.number("stars", low=1, high=5)
    assert "not among the outcomes" in severe(make_loop(when=[Falls(stars, below=0.5)]))
    assert "declared twice" in severe(make_loop(outcomes=[*make_loop().outcomes] * 2))


def test_plan_says_why_and_changes_nothing(make_loop: Make, tmp_path: Path) -> None:
    """TRU-11, TRG-04: evidence against its line, rows, seconds, pairs and days."""
    loop = make_loop(champion=ConstantModel("animal"), when=[Rows(500)])
    clock = ManualClock(START)
    with Ledger.open(tmp_path / "home", clock=clock) as ledger:
        ledger.append(toy_history("toys", toy_rows(400), START))
        run(replace(loop, when=[Rows(5_000)]), ledger)
        cut, decisions = ledger.cut(), ledger.decisions("toys")
        plan = loop.plan(ledger, START + DAY)
        assert not plan.trains
        assert plan.look.reason.startswith("rows: 400 of 500 new rows")
        assert (plan.rows, plan.new_rows, plan.min_rows) == (400, 400, 100)
        assert plan.forecast is not None
        assert plan.forecast["test"] == 1
        assert plan.forecast["days"] == pytest.approx(plan.forecast["pairs"] / (400 / 30), rel=0.1)
        json.dumps(plan.to_json())
        assert replace(loop, when=[Rows(400)]).plan(ledger, START + DAY).trains
        assert (ledger.cut(), ledger.decisions("toys")) == (cut, decisions)


def test_trg_06_a_person_asks_and_money_holds_back(make_loop: Make, tmp_path: Path) -> None:
    loop = make_loop(champion=ConstantModel("animal"), when=[Rows(10**6)], price=Spend(3600, "EUR", "life"))
    clock = ManualClock(START)
    with Ledger.open(tmp_path / "home", clock=clock) as ledger:
        ledger.append(toy_history("toys", toy_rows(400), START))
        assert [one.verdict for one in run(loop, ledger)] == ["PROMOTE", "REST"]
        assert run(loop, ledger) == []
        request(ledger, "toys", "ada")
        clock.advance(timedelta(minutes=1))
        made = run(loop, ledger, now=True)
        assert [(one.kind, one.verdict) for one in made] == [
            ("look", "TRAIN"), ("candidate", "PASS"), ("start", "NOTE"),
        ]  # fmt: skip
        assert "asked for by ada" in made[0].reason
        spent = ledger.records("toys", "cost")[0]
        assert spent["currency"] == "EUR"
        assert spent["amount"] == pytest.approx(spent["seconds"])
        capped = replace(loop, when=[Rows(1)], unless=[Spend(0.01, "EUR", per="month")])
        clock.advance(DAY)
        plan = capped.plan(ledger)
        assert not plan.trains
        assert [found.holds for _, found in plan.look.unless] == [True]
        for decision in ledger.decisions("toys"):
            assert why(ledger, decision.id).matches is not False


def test_a_failed_training_leaves_its_rows_new_and_says_what_was_tried(make_loop: Make, tmp_path: Path) -> None:
    """TRN-14, VAL-02: one refusal by volume, and the next look can train."""
    loop = make_loop(champion=ConstantModel("animal"), when=[Rows(50)], recipe=Recipe(window=None, min_rows=1_000))
    clock = ManualClock(START)
    with Ledger.open(tmp_path / "home", clock=clock) as ledger:
        ledger.append(toy_history("toys", toy_rows(400), START))
        made = run(loop, ledger)
        assert [(one.kind, one.verdict) for one in made] == [
            ("install", "PROMOTE"), ("look", "TRAIN"), ("stop", "REFUSE"),
        ]  # fmt: skip
        assert "1,000" in made[-1].reason
        assert read(ledger, "toys")[1].cycle is None
        assert loop.plan(ledger, START + DAY).new_rows == 400


def test_two_runs_of_one_loop_the_second_says_who_is_at_work(make_loop: Make, tmp_path: Path) -> None:
    import os

    with (
        Ledger.open(tmp_path / "home", clock=ManualClock(START)) as ledger, lock(ledger.home, "run-toys"),
        pytest.raises(Busy, match=str(os.getpid())),
    ):
        run(make_loop(), ledger)


def test_status_is_read_from_the_state(make_loop: Make, tmp_path: Path) -> None:
    loop = make_loop(champion=ConstantModel("animal"))
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as ledger:
        run(loop, ledger)
        found = status(ledger, "toys")
        assert found.next_look == START + DAY
        assert any("champion c-" in line for line in lines(found))
        json.dumps(found.to_json())


def test_a_file_that_is_changed_back_is_read_as_it_stands_now(make_loop: Make, tmp_path: Path) -> None:
    """TRU-10: status and whoever reads the ledger follow the definition in use, not the one first seen last."""
    daily, weekly = make_loop(), make_loop(look=Cron("weekly"))
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as ledger:
        for loop in (daily, weekly, daily, daily):
            run(loop, ledger)
        last, body = definition(ledger, "toys") or ("", {})
        assert (last, body["look"]) == (daily.digest(), daily.to_json()["look"])
        assert status(ledger, "toys").next_look == START + timedelta(days=1)
        run(weekly, ledger)
        assert (definition(ledger, "toys") or ("", {}))[0] == weekly.digest()
        assert len(ledger.records("toys", "loop")) == 2
        assert [one["definition"] for one in ledger.records("toys", "loop-used")] == [
            daily.digest(), weekly.digest(), daily.digest(), weekly.digest(),
        ]


def test_loop_files_are_loaded_by_path_and_their_faults_named(tmp_path: Path) -> None:
    path = tmp_path / "fine_loop.py"
    path.write_text(textwrap.dedent("""
        from trueup import Loop, Outcome, Task
        from trueup.train import Sklearn
        a = Loop("one", task=Task("x", "y", "u"), outcomes=[Outcome.of_input("y")], trainer=Sklearn("logistic"))
        b = Loop("two", task=a.task, outcomes=a.outcomes, trainer=a.trainer)
    """))
    assert sorted(load_loops(path)) == ["one", "two"]
    with pytest.raises(DefinitionError, match="holds 2 loops"):
        load_loop(path)
    assert load_loop(path, "two").name == "two"
    with pytest.raises(UnknownName, match="'one'"):
        load_loop(path, "ona")
    with pytest.raises(NotFound):
        load_loop(tmp_path / "none.py")
    bad = tmp_path / "bad_loop.py"
    bad.write_text("x = 1\ny = x / 0\n")
    with pytest.raises(DefinitionError, match=r"bad_loop\.py:2: the loop file raised ZeroDivisionError"):
        load_loop(bad)


def test_rows_that_an_import_back_dates_are_new_to_the_next_training(make_loop: Make, tmp_path: Path) -> None:
    """TRG-04, ING-01: new is what the last training could not see, whenever it happened."""
    loop = make_loop(champion=ConstantModel("animal"), when=[Rows(400)])
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as ledger:
        ledger.append(toy_history("toys", toy_rows(400), START))
        assert [one.verdict for one in run(loop, ledger)][:2] == ["PROMOTE", "TRAIN"]
        assert loop.plan(ledger, START + DAY).new_rows == 0
        older = [
            event._replace(id=f"older-{event.id}", choice=f"older-{event.choice}")
            for event in toy_history("toys", toy_rows(50, seed=5), START - 3 * DAY)
        ]
        ledger.append(older)
        assert loop.plan(ledger, START + DAY).new_rows == 50
