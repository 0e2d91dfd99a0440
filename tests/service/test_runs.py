# SPDX-License-Identifier: Apache-2.0
"""Runs by name: reported, finished, or given up, never in silence (ORC-04, TRN-14)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import Held, NotFound, Refused
from trueup.core.task import Outcome, Task
from trueup.data import Recipe
from trueup.loop import Context, Loop, again, finish, run, tick
from trueup.loop import cycle as cycles
from trueup.loop.status import lines, status
from trueup.models import ConstantModel
from trueup.release import pause
from trueup.service import abandon, runs, steps_of
from trueup.state import read
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows
from trueup.train import Command
from trueup.triggers import Cron, Rows

START = datetime(2026, 3, 1, tzinfo=UTC)
FAILS = Command(["sh", "-c", "exit 3"])


@pytest.fixture
def ledger(tmp_path: Any) -> Iterator[Ledger]:
    clock = ManualClock(START)
    with Ledger.open(tmp_path / "home", clock=clock) as made:
        made.append(toy_history("toys", toy_rows(120, seed=1), START))
        yield made


@pytest.fixture
def loop() -> Loop:
    return Loop(
        "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], trainer=FAILS,
        champion=ConstantModel("animal"), look=Cron("nightly"), when=[Rows(60)], recipe=Recipe(window=None, min_rows=50),
    )


def begin(loop: Loop, ledger: Ledger) -> str:
    """Begin a run, and hold it before its first stage: as a kill would leave it."""
    tick(Context(loop, ledger), drive=None)
    with pytest.raises(Held):
        again(finish, Context(loop, ledger, stop=lambda: True))
    _, state = read(ledger, "toys")
    assert state.cycle is not None
    return state.cycle.id


def test_a_run_is_listed_with_its_end_and_its_steps(loop: Loop, ledger: Ledger) -> None:
    ident = begin(loop, ledger)
    assert [(one.id, one.state) for one in runs(ledger, "toys")] == [(ident, "unfinished")]
    run(loop, ledger)
    found = steps_of(ledger, ident[:6])
    assert (found.run.state, found.run.reason.partition(":")[0]) == ("refused", "train")
    assert [one.step for one in found.steps] == ["start", "snapshot", "train"]
    with pytest.raises(NotFound):
        steps_of(ledger, "y-none")


def test_a_run_of_a_paused_loop_is_held(loop: Loop, ledger: Ledger) -> None:
    begin(loop, ledger)
    pause(ledger, "toys", reason="lunch", who="ada")
    assert [(one.state, one.reason) for one in runs(ledger, "toys")] == [("held", "paused: lunch")]


def test_a_run_is_abandoned_by_name_and_its_rows_stay_new(loop: Loop, ledger: Ledger) -> None:
    ident = begin(loop, ledger)
    made = abandon(ledger, ident[:8], reason="not today", who="ada")
    assert (made.kind, made.verdict, made.actor, made.evidence["cycle"]) == ("abandon", "REFUSE", "ada", ident)
    assert [(one.state, one.reason) for one in runs(ledger, "toys")] == [("abandoned", "not today")]
    _, state = read(ledger, "toys")
    assert (state.cycle, state.trained) == (None, None)
    with pytest.raises(Refused, match="which has ended: not today"):
        abandon(ledger, ident, reason="again")
    assert run(loop, ledger, now=True)[0].verdict == "TRAIN"


def test_a_run_of_an_older_pipeline_is_finished_where_it_can_be(
    loop: Loop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(loop, ledger)
    began = cycles.CYCLE.version
    monkeypatch.setattr(cycles, "CYCLE", replace(cycles.CYCLE, version=began + 1, finishes=(began,)))
    ended = [one for one in run(loop, ledger) if one.kind == "stop"]
    assert [one.evidence["pipeline"] for one in ended] == [{"began": began, "finished": began + 1}]


def test_a_run_that_this_pipeline_cannot_finish_is_reported_and_left(
    loop: Loop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ident = begin(loop, ledger)
    began = cycles.CYCLE.version
    monkeypatch.setattr(cycles, "CYCLE", replace(cycles.CYCLE, version=began + 1, finishes=()))
    with pytest.raises(Refused, match=f"got {ident}, which pipeline {began} began"):
        run(loop, ledger)
    (found,) = runs(ledger, "toys")
    assert found.state == "stranded"
    assert f"trueup runs abandon {ident}" in found.reason
    abandon(ledger, ident, reason="of another time")
    assert runs(ledger, "toys")[0].state == "abandoned"


def test_a_look_that_comes_late_says_how_many_it_stands_for(loop: Loop, ledger: Ledger) -> None:
    """TRG-01: missed moments count once, and are told."""
    quiet = replace(loop, when=[Rows(10_000)])
    run(quiet, ledger)
    ledger.clock.advance(timedelta(days=1))  # type: ignore[attr-defined]
    (night,) = run(quiet, ledger)
    assert "missed" not in night.evidence
    ledger.clock.advance(timedelta(days=6))  # type: ignore[attr-defined]
    (late,) = run(quiet, ledger)
    assert late.evidence["missed"] == 5
    assert late.reason.endswith("(this look stands for 5 more that were missed)")
    assert "the last look stood for 5 more that were missed" in lines(status(ledger, "toys"))


def test_runs_on_the_command_line(place: Any, start: Callable[..., Any], trueup: Any, wait_for: Any) -> None:
    one = start()
    wait_for(place.begun)

    def running() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = json.loads(trueup("runs", "--json").stdout)
        return found if [run["state"] for run in found] == ["running"] else None

    found = wait_for(running)  # the board is half a second old at most
    done = trueup("runs", "abandon", found[0]["id"], "-m", "not today")
    assert done.returncode == 0, done.stderr
    one.until("is held")
    assert one.stop() == 0
    assert "abandoned   not today" in trueup("runs").stdout
    assert "snapshot" in trueup("runs", "show", found[0]["id"]).stdout
