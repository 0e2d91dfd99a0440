# SPDX-License-Identifier: Apache-2.0
"""Every runner of pipelines through one suite: in process, on DBOS over SQLite, and over Postgres."""

from __future__ import annotations

import json
import logging
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from trueup.core.errors import ArgumentError, Busy, Held
from trueup.core.task import Outcome, Task
from trueup.loop import Context, Loop
from trueup.loop.pipeline import Pipeline, Step, follow
from trueup.models import ConstantModel
from trueup.service import Durable
from trueup.service.place import statuses
from trueup.store import Ledger
from trueup.train import Sklearn

STAGES = '''
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from trueup.core.errors import Busy, TrainingRetryable
from trueup.loop.pipeline import Step, Stopped, perform

def _note(context, name):
    with open(context.ledger.home / "notes", "a") as file:
        file.write(name + "\\n")

def _first(context, data):
    _note(context, "first")
    return {"sum": sum(data["numbers"])}

def _last(context, data):
    _note(context, "last")
    return {"square": data["sum"] ** 2}

def first(context, data):
    return perform(context, data["run"]["id"], Step("first", "toy_stages:_first"), {"numbers": data["run"]["numbers"]})

def second(context, data):
    wanted = context.ledger.home / "second"
    what = wanted.read_text() if wanted.exists() else ""
    _note(context, "second")
    if what == "stop":
        raise Stopped("second", "that is enough", {"why": 7})
    if what == "raise":
        raise ZeroDivisionError("oh")
    if what == "retry":
        wanted.write_text("")
        raise TrainingRetryable("lost the line")
    if what == "busy":
        wanted.write_text("")
        raise Busy("somebody is at it")
    if what == "slow":
        import time
        time.sleep(0.3)
    while what == "hang" or (what == "wait" and wanted.read_text() == "wait"):
        context.wait("second", 0.05)
    context.say("second", 1, 1)
    return {"sum": data["first"]["sum"] + 1}

def last(context, data):
    return perform(context, data["run"]["id"], Step("last", "toy_stages:_last"), {"sum": data["second"]["sum"]})
'''


def pipeline(version: int = 1, **changes: Any) -> Pipeline:
    return Pipeline("toy", version, (
        Step("first", "toy_stages:first"), Step("second", "toy_stages:second", ("first",), **changes),
        Step("last", "toy_stages:last", ("second",)),
    ))


RUN = {"id": "y-1", "numbers": [1, 2, 3]}


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    (tmp_path / "toy_stages.py").write_text(STAGES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy_stages", raising=False)
    with Ledger.open(tmp_path / "home") as made:
        yield made
    sys.modules.pop("toy_stages", None)


@pytest.fixture
def make(ledger: Ledger) -> Callable[..., Context]:
    loop = Loop(
        "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], trainer=Sklearn(),
        champion=ConstantModel("animal"),
    )
    return lambda stop=lambda: False: Context(loop, ledger, stop=stop)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine shows of a run that has ended is asked for below: let it record that on any machine."""
    monkeypatch.setattr("trueup.service.durable.RECORDED", 60.0)


def opened(kind: str, home: Path, request: pytest.FixtureRequest, said: list[str]) -> Any:
    if kind == "process":
        return follow
    url = request.getfixturevalue("postgres") if kind == "postgres" else None
    return Durable(home, url, say=lambda _, words: said.append(words))


@pytest.fixture(params=["process", "sqlite", "postgres"])
def drive(request: pytest.FixtureRequest, ledger: Ledger) -> Iterator[Any]:
    """A runner, which is the same one however often it is asked for."""
    made = opened(request.param, ledger.home, request, [])
    with ExitStack() as stack:
        if isinstance(made, Durable):
            stack.callback(made.close)
        yield made


def notes(ledger: Ledger) -> list[str]:
    path = ledger.home / "notes"
    return path.read_text().split() if path.exists() else []


def reached(ledger: Ledger, note: str) -> None:
    """Wait until a run has come so far."""
    end = time.monotonic() + 60
    while note not in notes(ledger):
        assert time.monotonic() < end
        time.sleep(0.02)


def ask(ledger: Ledger, what: str) -> None:
    (ledger.home / "second").write_text(what)


Make = Callable[..., Context]


def test_stages_come_in_order_and_their_steps_are_recorded_once(drive: Any, ledger: Ledger, make: Make) -> None:
    """ORC-07: JSON in, JSON out; a run that is driven again gives what was recorded."""
    assert drive(make(), pipeline(), RUN) == {"square": 49}
    assert notes(ledger) == ["first", "second", "last"]
    assert drive(make(), pipeline(), RUN) == {"square": 49}
    assert notes(ledger).count("first") == notes(ledger).count("last") == 1
    assert [one["step"] for one in ledger.records("toys", "step")] == ["first", "last"]


def test_a_stage_that_ends_the_run_is_a_result(drive: Any, ledger: Ledger, make: Make) -> None:
    ask(ledger, "stop")
    assert drive(make(), pipeline(), RUN) == {
        "stopped": {"step": "second", "reason": "that is enough", "evidence": {"why": 7}}
    }
    assert notes(ledger) == ["first", "second"]


def test_what_a_stage_raises_is_a_result(drive: Any, ledger: Ledger, make: Make) -> None:
    ask(ledger, "raise")
    assert drive(make(), pipeline(), RUN)["stopped"]["reason"] == "ZeroDivisionError: oh"


def test_a_stage_is_tried_again_after_its_recorded_wait(drive: Any, ledger: Ledger, make: Make) -> None:
    """TRN-14: retries, delay and back-off stand in the Step, and the waits in the ledger."""
    ask(ledger, "retry")
    began = time.monotonic()
    assert drive(make(), pipeline(retries=1, delay=0.5), RUN) == {"square": 49}
    assert time.monotonic() - began >= 0.5
    assert notes(ledger) == ["first", "second", "second", "last"]
    assert [one["reason"] for one in ledger.records("toys", "retry")] == ["TrainingRetryable: lost the line"]


def test_without_retries_left_it_ends_the_run(drive: Any, ledger: Ledger, make: Make) -> None:
    ask(ledger, "retry")
    assert "lost the line" in drive(make(), pipeline(), RUN)["stopped"]["reason"]


def test_a_stage_has_a_time_limit(drive: Any, ledger: Ledger, make: Make) -> None:
    ask(ledger, "slow")
    assert "within 0.1 s" in drive(make(), pipeline(seconds=0.1), RUN)["stopped"]["reason"]


def test_a_run_that_is_held_goes_on_after_its_last_recorded_step(drive: Any, ledger: Ledger, make: Make) -> None:
    ask(ledger, "hang")
    with pytest.raises(Held):
        drive(make(lambda: "second" in notes(ledger)), pipeline(), RUN)
    ask(ledger, "")
    assert drive(make(), pipeline(), RUN) == {"square": 49}
    assert notes(ledger) == ["first", "second", "second", "last"]


def test_a_busy_ledger_ends_no_run(drive: Any, ledger: Ledger, make: Make) -> None:
    ask(ledger, "busy")
    with pytest.raises(Busy, match="somebody is at it"):
        drive(make(), pipeline(), RUN)
    assert drive(make(), pipeline(), RUN) == {"square": 49}
    assert notes(ledger).count("first") == 1


KILLED = """
import os, sys, threading, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from trueup.core.task import Outcome, Task
from trueup.loop import Context, Loop
from trueup.loop.pipeline import Pipeline, Step
from trueup.models import ConstantModel
from trueup.service import Durable
from trueup.store import Ledger
from trueup.train import Sklearn

loop = Loop("toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], trainer=Sklearn(),
            champion=ConstantModel("animal"))
pipeline = Pipeline("toy", int(sys.argv[4]), (
    Step("first", "toy_stages:first"), Step("second", "toy_stages:second", ("first",)),
    Step("last", "toy_stages:last", ("second",)),
))
with Ledger.open(sys.argv[2]) as ledger:
    Durable(Path(sys.argv[2]), sys.argv[3] or None)(Context(loop, ledger), pipeline, {"id": "y-1", "numbers": [1, 2, 3]})
"""


@pytest.fixture
def killed(ledger: Ledger, tmp_path: Path) -> Callable[..., None]:
    """Drive the run in another process, and kill that one in the middle of its second stage."""

    def act(url: str | None, version: int = 1) -> None:
        ask(ledger, "hang")
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), str(ledger.home), url or "", str(version)])
        try:
            end = time.monotonic() + 60
            while "second" not in notes(ledger):
                assert time.monotonic() < end, "it never came so far"
                assert process.poll() is None
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        ask(ledger, "")

    return act


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("left", ["as it was", "deleted", "older"])
def test_a_killed_run_goes_on_in_a_new_process(
    kind: str, left: str, ledger: Ledger, make: Make, killed: Any, request: pytest.FixtureRequest
) -> None:
    """TRU-10: the engine's database may be whole, gone, or of an older pipeline: the ledger is the record."""
    url = request.getfixturevalue("postgres") if kind == "postgres" else None
    killed(url)
    assert [one["status"] for one in statuses(ledger.home, url).values()] == ["PENDING"]
    if left == "deleted":
        if url is None:
            for path in (ledger.home / "durable").glob("dbos.sqlite*"):
                path.unlink()
        else:
            drop(url, ledger.home)
    said: list[str] = []
    with Durable(ledger.home, url, say=lambda _, words: said.append(words)) as durable:
        assert durable(make(), pipeline(2 if left == "older" else 1), RUN) == {"square": 49}
    assert notes(ledger) == ["first", "second", "second", "last"]
    words = {"as it was": "goes on where it stopped", "older": "was begun by toy-1, and toy-2 finishes it", "deleted": ""}
    assert left == "deleted" or any(words[left] in one for one in said)
    version = "toy-2" if left == "older" else "toy-1"
    assert statuses(ledger.home, url) == {"y-1": {"status": "SUCCESS", "version": version}}


def drop(url: str, home: Path) -> None:
    import psycopg

    schema = f"trueup_{(home / 'durable' / 'id').read_text().strip()}"
    with psycopg.connect(url) as connection:
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE')


def test_what_the_ledger_has_ended_is_taken_out_of_the_engine(ledger: Ledger, make: Make, killed: Any) -> None:
    killed(None)
    said: list[str] = []
    with Durable(ledger.home, say=lambda _, words: said.append(words)) as durable:
        assert durable(make(), pipeline(), {**RUN, "id": "y-2"}) == {"square": 49}
    assert any("y-1 had ended in the ledger" in one for one in said)
    assert list(statuses(ledger.home)) == ["y-2"]


def test_one_process_launches_the_engine(ledger: Ledger, make: Make, tmp_path: Path) -> None:
    """Hazard 1: a second launch on the same database would run a live workflow twice."""
    with Durable(ledger.home) as durable:
        durable(make(), pipeline(), RUN)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), str(ledger.home), "", "1"], capture_output=True, text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "expected 'durable' to be free, got it held by process" in done.stderr
        with pytest.raises(Busy, match="one engine a process"):
            Durable(tmp_path / "other")(make(), pipeline(), RUN)


def test_an_engine_without_a_run_is_let_go_of_and_launched_again(ledger: Ledger, make: Make) -> None:
    """ORC-04: between two trainings no thread of it asks a database."""
    with Durable(ledger.home) as durable:
        durable(make(), pipeline(), RUN)
        assert not durable.rest(60)
        assert durable.rest(0)
        assert not durable.rest(0)
        assert not [one.name for one in threading.enumerate() if "queue-worker" in one.name]
        with Durable(ledger.home) as other:
            other(make(), pipeline(), {**RUN, "id": "y-2"})
        assert durable(make(), pipeline(), {**RUN, "id": "y-3"}) == {"square": 49}
    assert [one["status"] for one in statuses(ledger.home).values()] == ["SUCCESS"] * 3


def test_an_engine_that_drives_a_run_is_not_let_go_of(ledger: Ledger, make: Make) -> None:
    tried: list[bool] = []
    with Durable(ledger.home) as durable:
        def stop() -> bool:
            tried.append(durable.rest(0))
            return False

        assert durable(make(stop), pipeline(), RUN) == {"square": 49}
    assert not any(tried)


def test_an_engine_that_is_being_reached_holds_up_nobody(ledger: Ledger, make: Make) -> None:
    """ORC-04: a server that takes a connection and says nothing: the service goes on looking meanwhile."""
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://ada@127.0.0.1:{silent.getsockname()[1]}/none?connect_timeout=8"
        with Durable(ledger.home, url, say=lambda _, words: said.append(words)) as durable:
            thread = threading.Thread(target=durable, args=(make(), pipeline(), RUN))
            thread.start()
            silent.accept()[0].detach()
            assert not durable.rest(0)
            assert said == [], "it waited for the server"
            thread.join(60)
    assert "cannot be used" in said[0]
    assert notes(ledger) == ["first", "second", "last"]


def test_whoever_stops_a_run_leaves_an_engine_whose_server_is_away_behind(ledger: Ledger, make: Make, server: Any) -> None:
    """TRU-10: the run is held, its steps stand, and it goes on once the server is back."""
    over = threading.Event()
    raised: list[BaseException] = []
    ask(ledger, "wait")

    def drive() -> None:
        try:
            durable(make(over.is_set), pipeline(), RUN)
        except Held as held:
            raised.append(held)

    with Durable(ledger.home, server.url) as durable:
        thread = threading.Thread(target=drive)
        thread.start()
        reached(ledger, "second")
        server.stop()
        ask(ledger, "")
        thread.join(2.5)
        assert thread.is_alive()
        over.set()
        thread.join(120)
        assert [str(one) for one in raised] == [f"waiting for {durable.place}"]
    assert durable.stuck, "its thread waits for the server, and says so"
    server.start()
    with Durable(ledger.home, server.url) as again:
        assert again(make(), pipeline(), RUN) == {"square": 49}
    for one in [one for one in threading.enumerate() if one.name.startswith("dbos-executor")]:
        one.join(120)  # it asks again after a pause, enters no stage, and ends
        assert not one.is_alive()
    assert notes(ledger).count("first") == notes(ledger).count("last") == 1
    assert [one["step"] for one in ledger.records("toys", "step")] == ["first", "last"]


def test_a_workflow_that_somebody_has_cancelled_is_finished_in_process(ledger: Ledger, make: Make) -> None:
    said: list[str] = []
    found: list[Any] = []
    ask(ledger, "wait")
    with Durable(ledger.home, say=lambda _, words: said.append(words)) as durable:
        thread = threading.Thread(target=lambda: found.append(durable(make(), pipeline(), RUN)))
        thread.start()
        reached(ledger, "second")
        client = durable.place.client()
        client.cancel_workflow("y-1")
        client.destroy()
        ask(ledger, "")
        thread.join(60)
    assert found == [{"square": 49}]
    assert any("this run is performed in process" in one for one in said)
    assert [one["step"] for one in ledger.records("toys", "step")] == ["first", "last"]


def test_what_the_engine_holds_is_json(ledger: Ledger, make: Make) -> None:
    with Durable(ledger.home) as durable:
        durable(make(), pipeline(), RUN)
    with closing(sqlite3.connect(ledger.home / "durable" / "dbos.sqlite")) as file:
        outputs = [row[0] for row in file.execute("select output from operation_outputs order by function_id")]
        whole = "\n".join(file.iterdump())
    assert [json.loads(one) for one in outputs] == [{"sum": 6}, {"sum": 7}, {"square": 49}]
    assert '{"args":["y-1",""],"kwargs":{}}' in whole
    assert "gASV" not in whole, "no pickle"


def test_a_password_is_never_shown(ledger: Ledger, make: Make, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    """A server that cannot be reached holds nothing up: the run is performed in process, and says so."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    url = "postgresql://ada:hunter-two@127.0.0.1:1/none?connect_timeout=2"
    with Durable(ledger.home, url, say=lambda _, words: said.append(words)) as durable:
        assert durable(make(), pipeline(), RUN) == {"square": 49}
        shown = f"{durable.place} {durable.place!r} {said} {caplog.text} {capfd.readouterr()}"
    assert "cannot be used, this run is performed in process" in shown
    assert "ada:***@127.0.0.1" in shown
    assert "hunter-two" not in shown


def test_a_url_of_another_kind_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as refused:
        Durable(tmp_path, "mysql://ada:hunter-two@host/db")
    assert "hunter-two" not in str(refused.value)


@pytest.mark.parametrize("away", [0.0, 3.0])
def test_a_server_that_goes_away_in_the_middle_of_a_run_holds_it_until_it_is_back(
    ledger: Ledger, make: Make, server: Any, away: float
) -> None:
    """TRU-10: a real Postgres server, stopped while a stage runs: the run waits, and each step stands
    once, whether the stage ends while it is away or after it has come back."""
    found: list[Any] = []
    ask(ledger, "wait")
    with Durable(ledger.home, server.url) as durable:
        thread = threading.Thread(target=lambda: found.append(durable(make(), pipeline(), RUN)))
        thread.start()
        reached(ledger, "second")
        server.stop()
        if away:
            ask(ledger, "")
            thread.join(away)
            assert thread.is_alive(), "what the stage gave cannot be recorded yet"
            assert "last" not in notes(ledger)
        server.start()
        ask(ledger, "")
        thread.join(120)
    assert found == [{"square": 49}]
    assert notes(ledger) == ["first", "second", "last"], "no stage was entered twice"
    assert not durable.stuck
    assert [one["step"] for one in ledger.records("toys", "step")] == ["first", "last"]
    assert statuses(ledger.home, server.url) == {"y-1": {"status": "SUCCESS", "version": "toy-1"}}
