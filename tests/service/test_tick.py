# SPDX-License-Identifier: Apache-2.0
"""Projections that fail, the log that rotates, and the view that is drawn."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trueup.alerts import AlertFile, raised
from trueup.core.task import Outcome, Task
from trueup.loop import Context, Loop
from trueup.models import ConstantModel
from trueup.registry import Mlflow
from trueup.service import Projection, log, project, tick
from trueup.service.board import Board
from trueup.service.log import Log
from trueup.service.tick import Projector
from trueup.service.view import View
from trueup.service.words import projection_lines
from trueup.store import Ledger
from trueup.train import Sklearn


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    loop = Loop(
        "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], trainer=Sklearn(),
        champion=ConstantModel("animal"), alerts=[AlertFile()],
    )
    with Ledger.open(tmp_path / "home") as ledger:
        yield Context(loop, ledger)


class Flaky:
    """A projection that fails until it is mended."""

    def __init__(self) -> None:
        self.calls, self.broken = 0, True

    def __call__(self, _: Context) -> None:
        self.calls += 1
        if self.broken:
            raise ConnectionError("https://ada:s3cret@mlflow.internal is away")


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Flaky:
    made = Flaky()
    parts = types.ModuleType("toy_projection")
    parts.follow = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy_projection", parts)
    return made


FLAKY = Projection("toy", "toy_projection:follow", "trueup registry publish")


@pytest.fixture
def projector(context: Context, flaky: Flaky) -> Iterator[Callable[[float], dict[str, Any] | None]]:
    """Call the projection at a moment, and get what the board says of it."""
    board, said = Board(context.ledger.home), Log(context.ledger.home)
    made = Projector(FLAKY, lambda: [context], board, said)

    def at(seconds: float) -> dict[str, Any] | None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tick.time, "monotonic", lambda: 1000.0 + seconds)
            made._one(context)
        found: dict[str, Any] | None = board.read()["projections"].get("toy/toys")
        return found

    yield at
    said.close()


def test_a_projection_that_fails_is_called_less_and_less_and_told_once(
    context: Context, flaky: Flaky, projector: Callable[[float], Any]
) -> None:
    """MON-01: after half a minute people are told, with the command that helps; nobody is told again."""
    calls = []
    for second in range(200):
        projector(second)
        calls.append(flaky.calls)
    assert [calls.index(n) for n in range(1, flaky.calls + 1)] == [0, 5, 15, 35, 75, 155]
    (told,) = raised(context.ledger, "toys")
    assert (told["kind"], told["command"]) == ("projection", "trueup registry publish")
    assert "s3cret" not in json.dumps(told)
    failing = projector(200)
    assert failing is not None
    assert failing["tries"] == 6
    (line,) = projection_lines({"projections": {"toy/toys": failing}})
    assert line.startswith("toy/toys has failed 6 times")
    flaky.broken = False
    assert projector(1200) is None
    assert flaky.calls == 7


def test_a_short_fault_is_told_to_nobody(context: Context, flaky: Flaky, projector: Callable[[float], Any]) -> None:
    projector(0)
    flaky.broken = False
    projector(5)
    assert raised(context.ledger, "toys") == []


def test_whoever_reads_that_a_projection_fails_finds_it_in_the_file(context: Context, flaky: Flaky) -> None:
    """The board is written before the line, and again before the one that says that it is over."""
    home, found = context.ledger.home, []
    board = Board(home)
    board.write(force=True)
    said = Log(
        home, lambda _: found.append("toy/toys" in json.loads((home / "service.json").read_text())["projections"]),
        before=board.catch_up,
    )
    made = Projector(FLAKY, lambda: [context], board, said)
    made._one(context)
    flaky.broken = False
    made._again.clear()
    made._one(context)
    said.close()
    assert found == [True, False]


def test_a_dead_mlflow_and_the_alert_about_it_go_through_one_list(context: Context) -> None:
    """REG-02, MON-01: what `run` calls: MLflow is away, and the file says so, once, with what helps."""
    from dataclasses import replace

    from trueup.loop import tick as move

    loop = replace(context.loop, publish=[Mlflow("http://127.0.0.1:1", seconds=1, budget=1)])
    here = Context(loop, context.ledger)
    move(here, drive=None)
    for _ in range(2):
        assert set(project(here)) == {"registry"}
    told = [json.loads(line) for line in (context.ledger.home / "alerts.jsonl").read_text().splitlines()]
    assert [(one["kind"], one["command"]) for one in told] == [("projection", "trueup registry publish")]
    assert "http://127.0.0.1:1" in told[0]["what"]


def test_the_log_rotates_and_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "BYTES", 2_000)
    told: list[str] = []
    made = Log(tmp_path, lambda line: told.append(line.text))
    for n in range(60):
        made.say("toys", f"line {n:02}")
    made.close()
    files = sorted((tmp_path / "logs").iterdir(), key=lambda path: path.name, reverse=True)
    assert [path.name for path in files] == ["up.log.2", "up.log.1", "up.log"]
    assert all(path.stat().st_size <= 2_000 for path in files)
    written = [json.loads(line)["text"] for path in files for line in path.read_text().splitlines()]
    assert written == told == [f"line {n:02}" for n in range(60)]


def test_the_log_keeps_five_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "BYTES", 200)
    made = Log(tmp_path)
    for n in range(60):
        made.say("toys", f"line {n:02}")
    made.close()
    assert len(list((tmp_path / "logs").iterdir())) == 6


def test_the_view_shows_loops_projections_and_the_last_lines(tmp_path: Path) -> None:
    class Held:
        board = Board(tmp_path)

    Held.board.note("toys", next_look="2026-01-02T03:00:00", would={"trains": True, "reason": "60 new rows"})
    Held.board.doing("toys", "train", 3, 10)
    Held.board.projection("registry/toys", {"error": "it is away", "tries": 4, "at": "2026-01-01T03:04:05", "wait": 5.0})
    view = View()
    view.watch(Held)  # type: ignore[arg-type]
    written = Log(tmp_path, view.tell)
    for n in range(30):
        written.say("toys", f"line {n:02} [not markup]", "warning" if n % 2 else "info")
    written.close()
    console = Console(record=True, width=160, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(view.picture())
    shown = console.export_text()
    console.file.close()
    assert "at work: train 3 of 10" in shown
    assert "2026-01-02 03:00" in shown
    assert "train: 60 new rows" in shown
    assert "registry/toys has failed 4 times" in shown
    assert "line 17" not in shown
    assert all(f"line {n:02} [not markup]" in shown for n in range(18, 30))
    assert "Ctrl-C stops it" in shown
