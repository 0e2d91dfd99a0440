# SPDX-License-Identifier: Apache-2.0
"""A toy loop with a past to publish, and MLflow both as a local file and as a real server."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import ManualClock
from trueup.core.task import Outcome, Task
from trueup.curate import Deduplicate
from trueup.data import GoldenSet, Recipe
from trueup.evaluate import Accuracy, AtLeast
from trueup.loop import Loop, request, run
from trueup.models import ConstantModel
from trueup.release import Approval, Full, Shadow
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows
from trueup.train import Sklearn

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def toy_loop(folder: Path, **changes: Any) -> Loop:
    """A loop that sorts sentences, with a golden set in `folder`."""
    golden = GoldenSet("core", folder / "golden.jsonl")
    parts: dict[str, Any] = {
        "name": "toys", "task": Task("sentence", "kind", "user"), "outcomes": [Outcome.of_input("kind", within=DAY)],
        "champion": ConstantModel("animal"), "recipe": Recipe(window=60 * DAY, min_rows=50, curate=[Deduplicate()]),
        "trainer": Sklearn("logistic"), "gates": [AtLeast(Accuracy(), 0.6, on=golden)],
        "release": [Shadow(Accuracy(), no_worse_by=0.05, max_time=30 * DAY), Approval(by="owners"), Full()],
    }
    return Loop(**{**parts, **changes})


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a constant champion, a training whose candidate is being released, and one that
    the gates refused: three candidates, two trainings."""
    folder = tmp_path_factory.mktemp("past")
    for name, moved in (("golden", False), ("moved", True)):
        rows = dict(toy_rows(200, seed=9, moved=moved)).items()
        lines = [json.dumps({"input": given, "target": target}) for given, target in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    clock = ManualClock(START)
    with Ledger.open(folder / "home", clock=clock) as ledger:
        ledger.append(toy_history("toys", toy_rows(400), START))
        loop = toy_loop(folder)
        for _ in range(2):
            request(ledger, "toys", "ada")
            run(loop, ledger, now=True, base=folder)
            clock.advance(timedelta(hours=2))
            loop = toy_loop(folder, seed=1, gates=[AtLeast(Accuracy(), 0.9, on=GoldenSet("moved", folder / "moved.jsonl"))])
        state = ledger.state("toys")[1]
        assert state["release"]["candidate"].startswith("c-")
        assert len(ledger.records("toys", "candidate")) == 3
    return folder


@pytest.fixture
def home(past: Path, tmp_path: Path) -> Path:
    """A copy of that past; its golden set lies beside the home."""
    shutil.copy(past / "golden.jsonl", tmp_path / "golden.jsonl")
    shutil.copytree(past / "home", tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START + DAY)


@pytest.fixture
def ledger(home: Path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(home, clock=clock) as opened:
        yield opened


# -- MLflow ---------------------------------------------------------------------------------------


def free_port() -> int:
    """A port below those that the system gives out by itself, so that it stays free while its server is away."""
    while True:
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", 10_000 + secrets.randbelow(20_000)))
            return int(found.getsockname()[1])


def started(program: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A real tracking server on a loopback port, in a process group of its own."""
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            [program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "artifacts")],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            env={
                "PATH": os.environ["PATH"], "HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true",
                "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
        )  # fmt: skip


def answers(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 150.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"the server stopped:\n{log.read_text('utf-8')[-2000:]}"
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)  # a foreign process has no event to wait for
    raise AssertionError(f"the server did not answer in {seconds} s:\n{log.read_text('utf-8')[-2000:]}")


def stopped(process: subprocess.Popen[bytes]) -> None:
    """End a server and its workers, by the id of their group."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=20)


@pytest.fixture(scope="session")
def program() -> Path:
    """The full MLflow's command, in its own environment."""
    found = Path(os.environ.get("TRUEUP_MLFLOW", ROOT / ".venv-mlflow" / "bin" / "mlflow"))
    if not found.exists():
        pytest.skip(f"{found} is not there: make servers")
    return found


@pytest.fixture(scope="session")
def server(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real tracking server."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    process = started(program, folder, port)
    try:
        answers(f"http://127.0.0.1:{port}", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        stopped(process)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow's: making one takes seconds, copying it none."""
    from trueup.registry._mlflow import connected

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    with connected(f"sqlite:///{path}", 10) as client:
        assert client.search_experiments()
    return path


Where = Callable[[Path], str]


@pytest.fixture(params=["file", "server"])
def where(request: pytest.FixtureRequest) -> Where:
    """The tracking URI of a home: its own SQLite file, or the server."""
    if request.param == "server":
        url = request.getfixturevalue("server")
        return lambda _home: str(url)
    empty = request.getfixturevalue("migrated")

    def place(home: Path) -> str:
        path = home / "mlflow" / "mlflow.db"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(empty, path)
        return f"sqlite:///{path}"

    return place
