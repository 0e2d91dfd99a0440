# SPDX-License-Identifier: Apache-2.0
"""Trainers that return nonsense, die, hang or eat memory, through the whole loop (TRN-14).

Whatever they do, the loop records one `stop` with every attempt, the champion serves on, the rows
stay new, and the next look trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.client import connect
from trueup.core.clock import ManualClock
from trueup.core.decisions import Decision
from trueup.core.protocols import Budget
from trueup.loop import Loop, load_loop, run, why
from trueup.state import read
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
GOOD = "cp -r \"$1\" model && echo '{\"model\": \"model\"}' > result.json\n"


class Works:
    """A loop with sixty rows to learn from, whose trainer is a script that a test writes."""

    def __init__(self, desk: Any, ledger: Ledger, clock: ManualClock) -> None:
        self.desk, self.ledger, self.clock = desk, ledger, clock
        self.loop: Loop = load_loop(desk.file)

    def train(self, script: str, **budget: float) -> list[Decision]:
        """One look with this script as the trainer, an hour later."""
        (self.desk.folder / "train.sh").write_text(script)
        self.clock.advance(HOUR)
        loop = replace(self.loop, budget=Budget(**{"retry_delay": 0.0, **budget}))  # type: ignore[arg-type]
        return run(loop, self.ledger, base=self.desk.folder)

    def stopped(self, script: str, kinds: list[str], *words: str, **budget: float) -> None:
        """The look ends as a refusal with these attempts, and nothing else has changed."""
        _, before = read(self.ledger, "toys")
        made = [one for one in self.train(script, **budget) if one.kind != "install"]
        assert [(one.kind, one.verdict) for one in made] == [("look", "TRAIN"), ("stop", "REFUSE")], made
        stop = made[-1]
        assert [one["kind"] for one in stop.evidence["attempts"]] == kinds, stop.evidence["attempts"]
        assert stop.reason.startswith("train: "), stop.reason
        for word in words:
            assert word in stop.reason, stop.reason
        _, after = read(self.ledger, "toys")
        assert (after.cycle, after.waiting, after.release, after.trained) == (None, None, None, before.trained)
        assert after.champion == (before.champion or after.champion)
        assert self.loop.plan(self.ledger).new_rows == 60
        assert not list(self.desk.home.glob("work/*/attempt-*")), "half-finished work is left behind"
        assert not [one for one in self.ledger.doctor() if one.level == "error"]
        assert any("attempt: " in line for line in why(self.ledger, stop.id).lines)
        with connect("toys", self.desk.home, clock=self.clock) as client:
            choice = client.choose("u1")
            assert (choice.arm, choice.candidate) == ("champion", after.champion)
            assert client.load(choice).predict(["anything"])[0].value == "animal"


@pytest.fixture
def works(desk: Any) -> Iterator[Works]:
    clock = ManualClock(START)
    with Ledger.open(desk.home, clock=clock) as ledger:
        ledger.append(toy_history("toys", toy_rows(60, seed=3), START))
        yield Works(desk, ledger, clock)


def test_nonsense_is_refused_and_the_next_look_trains(works: Works) -> None:
    works.stopped("exit 0\n", ["failed"], "result.json", "got none")
    works.stopped("echo '{\"model\": 3}' > result.json\n", ["failed"], "result.json", "got")
    works.stopped("echo '{\"model\": \"model\"}' > result.json\n", ["nonsense"], "model")
    wrong = GOOD + "sed -i 's/\"label\"/\"number\"/' model/model.json\n"
    works.stopped(wrong, ["nonsense"], "expected")
    made = works.train(GOOD)
    assert [(one.kind, one.verdict) for one in made] == [("look", "TRAIN"), ("candidate", "PASS"), ("start", "NOTE")]


def test_death_is_recorded_and_the_next_look_trains(works: Works) -> None:
    works.stopped("echo no luck >&2; exit 3\n", ["failed"], "3")
    works.stopped("kill -9 $PPID\n", ["signal", "signal"], "SIGKILL")
    works.stopped("exit 75\n", ["retry", "retry"], "75")
    assert works.train(GOOD)[1].kind == "candidate"


def test_a_hang_and_a_flood_of_memory_end_at_their_limits(works: Works, tmp_path: Path) -> None:
    works.stopped(f"touch {tmp_path}/began; sleep 1000\n", ["time"], "within 12 s", "Loop(budget=Budget(seconds=", seconds=12.0)
    assert (tmp_path / "began").exists()
    eats = "exec python3 -c 'import time; x = bytearray(700 << 20); time.sleep(1000)'\n"
    works.stopped(eats, ["memory", "memory"], "at most 600 MB", "Budget(megabytes=", megabytes=600)
    assert works.train(GOOD)[1].kind == "candidate"


def test_a_model_that_cannot_answer_the_golden_set_fails_its_gate(works: Works) -> None:
    """It answers when it is tried, and not when it is judged: the gate refuses, and says so."""
    model = works.desk.folder / "models" / "moody"
    model.mkdir()
    (works.desk.folder / "moody.py").write_text("def answer(inputs):\n    return ['plant'] * min(8, len(inputs))\n")
    _function_model(model)
    script = GOOD.replace('"$1"', f"'{model}'")
    made = works.train(script)
    assert (made[-1].kind, made[-1].verdict) == ("stop", "REFUSE")
    assert made[-1].reason.startswith("gates: "), made[-1].reason
    assert "could not answer core" in made[-1].reason
    _, state = read(works.ledger, "toys")
    assert state.waiting is None
    assert state.trained is not None, "its rows were judged: they are new no more"


def _function_model(folder: Path) -> None:
    from trueup.models import FunctionModel

    make: Callable[..., Any] = FunctionModel
    make("moody:answer").write(folder, "label")
