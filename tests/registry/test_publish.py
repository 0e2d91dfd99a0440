# SPDX-License-Identifier: Apache-2.0
"""A registry that is gone, slow or guarded holds up nothing, and gives nothing away."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import DefinitionError
from trueup.core.secrets import Env, masked
from trueup.loop import publish, run, status
from trueup.loop.status import lines
from trueup.registry import Mlflow, deliver, troubles
from trueup.registry._mlflow import connected, versions
from trueup.release import reject
from trueup.state import candidates
from trueup.store import Ledger
from trueup.testing import check_publisher, check_value

from .conftest import Where, answers, free_port, started, stopped, toy_loop

SECRET = "hunter2-and-more"


def signals(ledger: Ledger) -> list[dict[str, object]]:
    found = ledger.scan("toys", "signal").to_pylist()
    return [json.loads(one["extra"]) for one in found if one["name"] == "publish"]


def test_a_part_is_a_value_and_keeps_the_protocol(home: Path, where: Where) -> None:
    """REG-01: the check that a third party runs on its own publisher."""
    check_value(Mlflow(uri=Env("MLFLOW_TRACKING_URI"), listen="validated-for-staging"))
    check_publisher(Mlflow(where(home), experiment="check", model="check", seconds=30))


def test_a_dead_server_blocks_nothing_and_is_told_once(ledger: Ledger, home: Path, clock: ManualClock) -> None:
    """REG-01: the loop decides; the failure is a signal and stands in status; it is tried again, ever more seldom."""
    loop = toy_loop(home.parent, publish=[Mlflow(f"http://127.0.0.1:{free_port()}", seconds=2)])
    decided = run(loop, ledger, base=home.parent, now=True)
    assert decided != []
    first = publish(loop, ledger)[0]
    assert "Failed to establish a new connection" in (first.error or "")
    pauses = []
    for _ in range(12):
        found = publish(loop, ledger)[0]
        assert found.error is not None
        assert found.later is not None
        pauses.append(found.later - int(clock.now().timestamp() * 1e6))
        clock.advance(timedelta(microseconds=pauses[-1]))
    assert pauses[0] == 30_000_000
    assert pauses[-1] == 3_600_000_000
    assert pauses == sorted(pauses)
    assert [one["error"] is not None for one in signals(ledger)] == [True]
    assert any("not published to http://127.0.0.1" in line for line in lines(status(ledger, "toys")))
    assert len(ledger.records("toys", "publishing")) == 1
    reject(ledger, "toys", candidates(ledger, "toys")[1].id, reason="people decide all the same")


def test_a_server_that_never_answers_costs_its_time_limit(ledger: Ledger, home: Path) -> None:
    """REG-01: connections are taken, and nothing ever comes."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        part = Mlflow(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=1, budget=1)
        done = deliver(ledger, "toys", part)
    assert "timed out" in (done.error or "").lower()


def test_a_slow_server_is_left_and_gone_on_with(ledger: Ledger, home: Path, where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    """REG-01: the budget of a publishing ends it between two requests; the next one goes on."""
    part = Mlflow(where(home), experiment="slow", model="slow", seconds=60, budget=60)
    now = [0.0]

    def slowly() -> float:
        now[0] += 24.0
        return now[0]

    monkeypatch.setattr("trueup.registry._mlflow_sync.time.monotonic", slowly)
    first = deliver(ledger, "toys", part)
    assert "expected to be done within 60 s" in (first.error or "")
    monkeypatch.undo()
    assert deliver(ledger, "toys", replace(part, budget=300), force=True).error is None


def test_a_server_that_comes_back_gets_everything(
    ledger: Ledger, home: Path, clock: ManualClock, program: Path, tmp_path: Path
) -> None:
    """REG-01: killed in the middle of its life, restarted on the same port; nothing double, nothing lost."""
    folder, port = tmp_path / "server", free_port()
    folder.mkdir()
    part = Mlflow(f"http://127.0.0.1:{port}", seconds=30)
    assert deliver(ledger, "toys", part).error is not None
    process = started(program, folder, port)
    try:
        answers(f"http://127.0.0.1:{port}", process, folder / "server.log")
        clock.advance(timedelta(hours=1))
        assert deliver(ledger, "toys", part).error is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reject(ledger, "toys", candidates(ledger, "toys")[1].id, reason="no")
        assert deliver(ledger, "toys", part).error is not None
        process = started(program, folder, port)
        answers(f"http://127.0.0.1:{port}", process, folder / "server.log")
        done = deliver(ledger, "toys", part, force=True)
        assert {one.what for one in done.changes} == {"tags", "alias"}
        assert [one["error"] is None for one in signals(ledger)] == [False, True, False, True]
        assert troubles(ledger, "toys") == []
        with connected(part.place(home), 30) as client:
            assert len(versions(client, "toys")) == 3
            assert list(client.get_registered_model("toys").aliases) == ["champion"]
    finally:
        stopped(process)


KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from trueup.registry import Mlflow, deliver
from trueup.store import Ledger

left = int(sys.argv[2])

def write(connection, cursor, statement, *_):
    global left
    if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "after_cursor_execute", write)
with Ledger.open(sys.argv[1]) as ledger:
    done = deliver(ledger, "toys", Mlflow(seconds=30), force=True)
    print(done.error, len(done.changes), flush=True)
"""


@pytest.mark.chaos
def test_publishing_killed_at_any_moment_leaves_nothing_double(home: Path, clock: ManualClock, migrated: Path) -> None:
    """REG-01: ten SIGKILLs over a publishing process, each some writes further than the last one."""
    path = home / "mlflow" / "mlflow.db"
    path.parent.mkdir()
    path.write_bytes(migrated.read_bytes())

    def child(writes: int) -> subprocess.Popen[str]:
        """A publishing that dies after so many writes to MLflow's database: at the same ones on any machine."""
        return subprocess.Popen([sys.executable, "-c", KILLED, str(home), str(writes)], stdout=subprocess.PIPE, text=True, env={
            **{name: text for name, text in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
            "PYTHONPATH": os.pathsep.join(sys.path),
        })  # fmt: skip

    for writes in range(1, 11):
        process = child(writes)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"it ended before its write {writes}"
    last = child(0)
    said, _ = last.communicate(timeout=120)
    assert said.splitlines()[-1].startswith("None ")
    with Ledger.open(home, clock=clock) as ledger, connected(f"sqlite:///{path}", 30) as client:
        experiment = client.get_experiment_by_name("toys").experiment_id
        assert len(client.search_runs([experiment])) == 2
        assert len(client.search_logged_models([experiment])) == 3
        assert [one.tags["trueup.candidate"] for one in versions(client, "toys")] == [
            one.id for one in candidates(ledger, "toys")
        ]
        assert deliver(ledger, "toys", Mlflow(seconds=30), thorough=True).changes == ()


# -- secrets --------------------------------------------------------------------------------------


@pytest.fixture
def guarded() -> Iterator[str]:
    """A server that refuses everybody, and says with what it was asked."""
    server = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(65_536))
                body = f"no: {asked[-1].decode(errors='replace')}".encode()
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass  # what comes late is read: to close before it would take the answer away

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://ada:{SECRET}@127.0.0.1:{server.getsockname()[1]}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(timeout=10)
    assert asked


def test_no_password_reaches_ledger_status_or_json(
    ledger: Ledger, home: Path, guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", guarded)
    loop = toy_loop(home.parent, publish=[Mlflow(seconds=60), Mlflow(Env("MLFLOW_TRACKING_URI"), seconds=61)])
    done = publish(loop, ledger)
    assert all("401" in (one.error or "") for one in done)
    said = json.dumps([one.to_json() for one in done]) + repr(loop) + json.dumps(loop.to_json())
    said += "".join(lines(status(ledger, "toys"))) + json.dumps(status(ledger, "toys").to_json(), default=str)
    assert SECRET not in said
    assert "***@127.0.0.1" in said
    ledger.close()
    files = [file for file in home.rglob("*") if file.is_file()]
    assert files
    assert not any(SECRET.encode() in file.read_bytes() for file in files)


def test_a_password_in_a_loop_file_is_refused_without_saying_it() -> None:
    with pytest.raises(DefinitionError) as caught:
        Mlflow(f"https://ada:{SECRET}@mlflow.internal")
    assert SECRET not in str(caught.value)
    assert "Env('MLFLOW_TRACKING_URI')" in str(caught.value)


def test_masked_takes_passwords_only() -> None:
    assert masked("https://mlflow.internal:5000/path?page=2") == "https://mlflow.internal:5000/path?page=2"
    assert masked("postgresql://u:p@h/db") == "postgresql://***@h/db"
    assert masked("GET /x?access_token=abc&y=1") == "GET /x?access_token=***&y=1"
    assert masked("Authorization: Bearer abc.def-ghi") == "Authorization: Bearer ***"
