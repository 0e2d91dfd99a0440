# SPDX-License-Identifier: Apache-2.0
"""The service as a process of its own, over a loop whose training waits until a test lets it go."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from trueup.core.clock import to_us
from trueup.state import decide, read, register
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows

LOOP = '''
# SPDX-License-Identifier: Apache-2.0
from datetime import timedelta
from pathlib import Path

from trueup import Budget, Loop, Outcome, Risk, Task
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.models import ConstantModel
from trueup.release import Approval, Full, Shadow
from trueup.train import Command
from trueup.triggers import Cron, Rows

HOUR = timedelta(hours=1)
HERE = Path(__file__).parent
SCRIPT = """
echo $$ >> "$0/begun"
while [ ! -e "$0/go" ]; do sleep 0.05; done
cp -r "$0/models/1" model && echo '{{"model": "model"}}' > result.json
"""
for which, kind in enumerate(("animal", "plant", "stone")):
    if not (HERE / "models" / str(which)).exists():
        ConstantModel(kind).write(HERE / "models" / str(which), "label")

loop = Loop(
    "{name}", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind", within=2 * HOUR)],
    look=Cron("{look}"), when=[Rows({rows})], recipe=Recipe(window=None, min_rows=50),
    champion=ConstantModel("animal"), trainer=Command(["sh", "-c", SCRIPT, str(HERE)]),
    budget=Budget(retries=2, retry_delay={delay}),
    release=[Shadow(Accuracy(), no_worse_by=0.3, min_time=HOUR, max_time=48 * HOUR), Approval(), Full()],
    risk=Risk(per="release"),
)
'''


class Up:
    """`trueup up --json` in a process of its own, and what it says."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from trueup.cli import main; main()", "up", "--json", *words],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        )
        self.lines: list[dict[str, Any]] = []
        self._queue: Queue[dict[str, Any]] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self._queue.put(json.loads(text))

    def until(self, words: str, seconds: float = 120.0) -> dict[str, Any]:
        """The next line that holds these words."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, end - time.monotonic()))
            except Empty:
                said = [one["text"] for one in self.lines]
                raise AssertionError(f"no line with {words!r} in {seconds} s, got {said}, {self._errors()}") from None
            self.lines.append(line)
            if words in line["text"]:
                return line

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.end()

    def end(self, seconds: float = 120.0) -> int:
        code = self.process.wait(seconds)
        self._close()
        return code

    def _errors(self) -> str:
        if self.process.poll() is None:
            return "(alive)"
        assert self.process.stderr is not None
        return self.process.stderr.read()[-2000:]

    def _close(self) -> None:
        self._reader.join(10)
        while not self._queue.empty():
            self.lines.append(self._queue.get())
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            if pipe is self.process.stderr and not pipe.closed:
                self.errors = pipe.read()
            pipe.close()


def environment() -> dict[str, str]:
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    found.pop("TRUEUP_HOME", None)
    return found


def trueup(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from trueup.cli import main; main()", *words], cwd=folder, capture_output=True,
        text=True, check=False, env=environment(),
    )


def wait_for(happened: Callable[[], Any], seconds: float = 120.0) -> Any:
    """What `happened` gives, once it gives something."""
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
    return found


class Place:
    """A folder with a loop file and a home whose loop has a reason to train."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / ".trueup"
        self.write()
        with Ledger.open(self.home) as ledger:
            ledger.append(toy_history("toys", toy_rows(120, seed=1), datetime.now(UTC)))

    def write(self, file: str = "loop.py", **changes: Any) -> Path:
        parts = {"name": "toys", "rows": 60, "look": "yearly", "delay": 0.1, **changes}
        path = self.folder / file
        path.write_text(LOOP.format(**parts).lstrip())
        return path

    def go(self) -> None:
        (self.folder / "go").touch()

    def begun(self) -> int:
        """How often a training has begun."""
        path = self.folder / "begun"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def promote(self, which: int) -> None:
        """Let one of the folder's models serve, as if it had passed its release."""
        with Ledger.open(self.home) as ledger:
            made = register(ledger, "toys", ledger.artifacts.put_tree(self.folder / "models" / str(which)), parent=None, facts={})
            generation, state = read(ledger, "toys")
            after = state.serve(made.id, to_us(ledger.clock.now()))
            decide(ledger, "toys", generation, after, kind="promote", verdict="PROMOTE", reason="a test", subject=made.id)

    def kinds(self, loop: str = "toys") -> list[tuple[str, str]]:
        with Ledger.open(self.home) as ledger:
            return [(one.kind, one.verdict) for one in ledger.decisions(loop)]


@pytest.fixture(name="trueup")
def trueup_(place: Place) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A command in the place, in a process of its own."""
    return lambda *words: trueup(place.folder, *words)


@pytest.fixture(name="wait_for")
def wait_for_() -> Callable[..., Any]:
    return wait_for


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def start(place: Place) -> Iterator[Callable[..., Up]]:
    """Start a service in the place; what a test leaves running is killed."""
    made: list[Up] = []

    def begin(*words: str) -> Up:
        made.append(Up(place.folder, *words))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            one.kill()
        elif one.process.stdout is not None and not one.process.stdout.closed:
            one._close()


def free_port() -> int:
    """A port below those that the system gives out by itself, so that it stays free while its server is away."""
    while True:
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", 10_000 + secrets.randbelow(20_000)))
            return int(found.getsockname()[1])


class Server:
    """A Postgres server of our own, on a free loopback port, with a password."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            pytest.skip("no Postgres server is installed: apt-get install postgresql")
        self._bin = found[-1].parent
        self._folder = folder = Path(tempfile.mkdtemp(prefix="trueup-pg-"))
        self._user = "postgres" if os.getuid() == 0 else None  # the server refuses to run as root
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._port = str(free_port())
        (secret := folder / "secret").write_text("s3cret-word\n")
        secret.chmod(0o644)
        subprocess.run(
            [self._bin / "initdb", "-D", folder / "data", "-U", "trueup", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync"],
            user=self._user, check=True, capture_output=True, cwd=folder,
        )
        self.url = f"postgresql://trueup:s3cret-word@127.0.0.1:{self._port}/postgres"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", self._folder / "data", "-h", "127.0.0.1", "-p", self._port, "-k", self._folder, "-F"],
            user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        ready = [self._bin / "pg_isready", "-h", "127.0.0.1", "-p", self._port, "-q"]
        wait_for(lambda: subprocess.run(ready, check=False).returncode == 0)

    def stop(self) -> None:
        """End it at once: whoever is connected is thrown out."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server that runs for as long as the tests."""
    made = Server()
    yield made.url
    made.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, to be stopped and started."""
    made = Server()
    yield made
    made.close()
