# SPDX-License-Identifier: Apache-2.0
"""One tick: what a run, a service, a test and an engine call, and what it says that it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import Busy
from trueup.core.task import Outcome, Task
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.loop import Context, Loop, Tick, finish, tick
from trueup.models import ConstantModel
from trueup.release import Full, Shadow, pause, resume
from trueup.state import Report
from trueup.store import Ledger, lock
from trueup.testing import toy_history, toy_rows
from trueup.train import Sklearn
from trueup.triggers import Cron, Rows

START, DAY = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as opened:
        opened.append(toy_history("toys", toy_rows(120, seed=1), START))
        yield opened


LOOP = Loop(
    "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], look=Cron("daily"),
    champion=ConstantModel("animal"), when=[Rows(60)], recipe=Recipe(window=None, min_rows=50),
    trainer=Sklearn("logistic"), release=[Shadow(Accuracy(), no_worse_by=0.05), Full()],
)
RESTING = replace(LOOP, when=[Rows(100_000)])


def kinds(done: Tick) -> list[tuple[str, str]]:
    return [(one.kind, one.verdict) for one in done.decisions]


def test_a_tick_looks_trains_and_begins_a_release(ledger: Ledger) -> None:
    done = tick(Context(LOOP, ledger))
    assert kinds(done) == [("install", "PROMOTE"), ("look", "TRAIN"), ("candidate", "PASS"), ("start", "NOTE")]
    assert (done.loop, done.at, done.looked, done.cycle, done.paused, done.report) == ("toys", START, True, None, None, None)
    assert done.next_look == START + DAY
    assert [one.call for one in done.rulings] == ["HOLD"], "the shadow that has just begun waits"


def test_nothing_is_due_before_the_next_look(ledger: Ledger) -> None:
    tick(Context(RESTING, ledger))
    done = tick(Context(RESTING, ledger))
    assert (done.decisions, done.looked, done.next_look) == ((), False, START + DAY)
    asked = tick(Context(RESTING, ledger), now=True)
    assert (kinds(asked), asked.looked) == ([("look", "REST")], True)


def test_a_cycle_is_left_to_who_performs_it_elsewhere(ledger: Ledger) -> None:
    done = tick(Context(LOOP, ledger), drive=None)
    assert kinds(done)[-1] == ("look", "TRAIN")
    assert done.cycle is not None
    assert done.next_look is None, "no look is made while a cycle is unfinished"
    assert tick(Context(LOOP, ledger), drive=None).cycle == done.cycle
    made = finish(Context(LOOP, ledger))
    assert made is not None
    assert made.evidence["cycle"] == done.cycle.id
    assert kinds(tick(Context(LOOP, ledger), drive=None)) == [("start", "NOTE")]


def test_a_paused_loop_does_nothing_and_says_so(ledger: Ledger) -> None:
    tick(Context(RESTING, ledger))
    pause(ledger, "toys", reason="holiday", who="ada")
    done = tick(Context(RESTING, ledger))
    assert (done.decisions, done.looked, done.paused, done.next_look) == ((), False, "holiday", None)
    resume(ledger, "toys", reason="back", who="ada")
    assert tick(Context(RESTING, ledger)).next_look == START + DAY


def test_tru_12_a_loop_that_observes_reports_and_decides_nothing(ledger: Ledger) -> None:
    done = tick(Context(replace(LOOP, mode="observe"), ledger))
    assert (done.decisions, done.looked) == ((), True)
    assert done.report is not None
    assert done.report.would
    assert done.report.definition == Context(replace(LOOP, mode="observe"), ledger).digest
    (kept,) = ledger.records("toys", Report)
    assert replace(kept, at=done.report.at) == done.report
    assert tick(Context(replace(LOOP, mode="observe"), ledger)).report is None, "no second report before the next look"


def test_two_at_once_are_refused_but_for_who_holds_the_loop(ledger: Ledger) -> None:
    with lock(ledger.home, "run-toys"):
        with pytest.raises(Busy):
            tick(Context(RESTING, ledger))
        assert tick(Context(RESTING, ledger), held=True).looked
