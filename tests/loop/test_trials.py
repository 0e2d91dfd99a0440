# SPDX-License-Identifier: Apache-2.0
"""Experiments in a loop: check, plan, status and report know them (REL-05, REL-06, REL-17, TRU-01)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from trueup import Loop, Outcome, Parameter, Risk, Task, connect
from trueup.cli.look import plan_lines
from trueup.core.clock import ManualClock, to_us
from trueup.core.events import Event
from trueup.loop import run
from trueup.loop.steps import by_challengers
from trueup.models import ConstantModel
from trueup.release import AB, Full, Shadow, offer, recompute
from trueup.state import candidate, read
from trueup.store import Ledger
from trueup.train import Sklearn

from .conftest import KIND, START

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CLICK = Outcome.boolean("click", within=HOUR, absent=False)
LOOP = Loop(
    "prompts", task=Task("x", "y", "user", parameters=[Parameter("prompt", "text", "Plainly.")]),
    champion=ConstantModel("a"), outcomes=[KIND, CLICK], trainer=Sklearn(),
    release=[AB(CLICK, no_worse_by=0.1, units_a_day=200), Full()], risk=Risk(wrong_promotion=0.05),
)


def words(loop: Loop) -> list[str]:
    return [str(one) for one in loop.check() if one.where == "release"]


def test_check_lets_an_ab_carry_the_promise_and_says_what_that_asks_for() -> None:
    assert len(words(LOOP)) == 1
    assert words(LOOP)[0].startswith("note: ")
    assert "needs a Shadow as well" in words(LOOP)[0]
    assert words(replace(LOOP, release=[AB(CLICK, no_worse_by=0.0, detect=0.1), Full()])) == []
    assert "no stage carries the promise" in words(replace(LOOP, release=[Full()]))[0]
    from trueup.evaluate import Accuracy

    both = replace(LOOP, task=Task("x", "y", "user"), release=[AB(CLICK), Shadow(Accuracy(), no_worse_by=0.07), Full()])
    assert both.carrier is both.release[1]
    assert words(both) == []


def test_an_offered_prompt_is_planned_served_and_scored(tmp_path: Path) -> None:
    """The whole way through a loop: check, plan, offer, two prompts served, units scored."""
    clock = ManualClock(START)
    with Ledger.open(tmp_path, clock=clock) as ledger:
        run(LOOP, ledger)
        champion = str(read(ledger, "prompts")[1].champion)
        assert candidate(ledger, "prompts", champion).parameters == {"prompt": "Plainly."}
        plan = LOOP.plan(ledger)
        assert plan.forecast is not None
        assert plan.forecast["days"] == pytest.approx(plan.forecast["units"] / 200)
        assert any(line.startswith("experiment: ") for line in plan_lines(plan))
        offer(ledger, "prompts", parameters={"prompt": "Warmly."}, declared=LOOP.task.parameters, reason="t")
        clock.advance(DAY)
        run(LOOP, ledger)
        with connect("prompts", tmp_path, clock=clock, acknowledge="enqueue") as client:
            prompts = set()
            for at in range(60):
                clock.advance(timedelta(minutes=1))
                choice = client.choose(f"u{at}")
                prompts.add((choice.arm, choice.parameters["prompt"]))
                client.log(choice, "x", "y", seconds=0.1)
                if at % 2:
                    client.feedback(choice.id, "click", True)
            client.flush()
        assert prompts == {("champion", "Plainly."), ("challenger", "Warmly.")}
        clock.advance(2 * HOUR)
        release = read(ledger, "prompts")[1].release
        assert release is not None
        evidence = {"method": "experiment", "parameters": release.parameters, "cut": ledger.cut(), "now": to_us(clock.now())}
        result = recompute(ledger, "prompts", evidence)
        assert (result["complete"], result["invalid"]) == (60, None)
        now, routing = to_us(clock.now()), read(ledger, "prompts")[1].routing
        ledger.append([Event("s", "prompts", "signal", now, now, name="exposures_lost", release=routing["release"])])
        assert recompute(ledger, "prompts", {**evidence, "cut": ledger.cut()})["invalid"] == "exposures were lost"


def test_rel_17_a_report_says_how_much_a_challenger_produced() -> None:
    rows: Any = pa.table({"arm": ["champion", None, "challenger", "warm"]})
    assert by_challengers(rows) == "2 of 4 (50.0%)"
