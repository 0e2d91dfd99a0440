# SPDX-License-Identifier: Apache-2.0
"""Command lines as processes that start fast, a folder with a working loop, and what a home holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.json import sha256
from trueup.models import ConstantModel
from trueup.store import Ledger
from trueup.testing import toy_rows

HERE = Path(__file__).parent
LOOP = '''
from datetime import timedelta
from pathlib import Path

from trueup import Loop, Outcome, Risk, Task
from trueup.data import GoldenSet, Recipe
from trueup.evaluate import Accuracy, AtLeast
from trueup.models import ConstantModel
from trueup.release import Approval, Canary, Full, Shadow
from trueup.train import Command
from trueup.triggers import Cron, Rows

HERE = Path(__file__).parent
HOUR = timedelta(hours=1)
core = GoldenSet("core", HERE / "golden.jsonl")
loop = Loop(
    "toys",
    task=Task("sentence", "kind", "user"),
    outcomes=[Outcome.of_input("kind", within=HOUR)],
    champion=ConstantModel("animal"),
    look=Cron("hourly"),
    when=[Rows(30)],
    recipe=Recipe(window=None, min_rows=20),
    trainer=Command(["sh", HERE / "train.sh", HERE / "models" / "plant"]),
    gates=[AtLeast(Accuracy(), 0.2, on=core)],
    release=[
        Shadow(Accuracy(), no_worse_by=0.3, min_time=HOUR, max_time=90 * 24 * HOUR),
        Canary(0.25, 0.5, step=2 * HOUR, lag=timedelta(minutes=5), window=HOUR), Approval(by="owners"), Full(),
    ],
    risk=Risk(per="release"),
)
'''
TRAIN = 'cp -r "$1" model && echo \'{"model": "model"}\' > result.json\n'


@dataclass
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str

    def said(self, code: int, *words: str) -> Ended:
        """It ended with this code and these words, and no traceback."""
        assert "Traceback" not in self.err + self.out, self.err
        assert self.code == code, (self.code, self.out, self.err)
        for word in words:
            assert word in self.err, (word, self.err)
        return self

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Process:
    """A command line at work."""

    def __init__(self, at: Path) -> None:
        self.at = at

    @property
    def pid(self) -> int:
        path = Path(f"{self.at}.pid")
        while not path.exists() or not path.read_text():
            time.sleep(0.002)
        return int(path.read_text())

    def until(self, word: str) -> None:
        """Wait until it has said a word on its standard output."""
        path = Path(f"{self.at}.out")
        while not path.exists() or word not in path.read_text():
            time.sleep(0.005)

    def kill(self) -> Ended:
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> Ended:
        with self.at.open() as pipe:
            code = json.load(pipe)["code"]
        return Ended(code, Path(f"{self.at}.out").read_text(), Path(f"{self.at}.err").read_text())


class Shell:
    """Runs `trueup`, or any Python, in processes forked from one that has imported everything."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.Lock()
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        env.pop("TRUEUP_HOME", None)
        self.zygote = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=env,
        )
        assert self.zygote.stdout is not None
        assert self.zygote.stdout.readline() == "ready\n"

    def start(self, argv: Sequence[Any] | None, cwd: Path, *, before: str = "", **env: str) -> Process:
        at = self.folder / uuid.uuid4().hex
        os.mkfifo(at)
        order = {
            "argv": None if argv is None else [str(one) for one in argv], "before": before,
            "cwd": str(cwd), "env": env, "at": str(at),
        }
        assert self.zygote.stdin is not None
        with self.lock:
            self.zygote.stdin.write(json.dumps(order) + "\n")
            self.zygote.stdin.flush()
        return Process(at)

    def close(self) -> None:
        assert self.zygote.stdin is not None
        assert self.zygote.stdout is not None
        self.zygote.stdin.close()
        self.zygote.wait(30)
        self.zygote.stdout.close()


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    made = Shell(tmp_path_factory.mktemp("shell"))
    yield made
    made.close()


class Desk:
    """A folder with a loop file, its trainer, models, golden set, and a home."""

    def __init__(self, folder: Path, shell: Shell) -> None:
        self.folder, self.shell = folder, shell
        self.home = folder / ".trueup"
        self.file = folder / "loop.py"

    def write(self, text: str = LOOP, **changes: str) -> Desk:
        """The loop file, with some of its arguments changed."""
        for name, new in changes.items():
            lines = [line for line in text.splitlines() if line.startswith(f"    {name}=")]
            assert len(lines) == 1, name
            text = text.replace(lines[0], f"    {name}={new},")
        self.file.write_text(text)
        return self

    def golden(self, rows: Sequence[tuple[Any, Any]]) -> Desk:
        seen = {json.dumps(given): {"input": given, "target": target} for given, target in rows}
        (self.folder / "golden.jsonl").write_text("".join(json.dumps(one) + "\n" for one in seen.values()))
        return self

    def data(self, rows: Sequence[Any], name: str = "rows.jsonl") -> Path:
        """A file to import: pairs of input and target, or lines as they are."""
        path = self.folder / name
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        lines = [
            row if isinstance(row, str) else json.dumps({
                "sentence": row[0], "kind": row[1], "user": f"u{at}",
                "ts": (begin + timedelta(minutes=at)).isoformat(),
            })
            for at, row in enumerate(rows)
        ]  # fmt: skip
        path.write_text("".join(line + "\n" for line in lines))
        return path

    def start(self, *argv: Any, before: str = "", **env: str) -> Process:
        return self.shell.start(argv, self.folder, before=before, **env)

    def trueup(self, *argv: Any, before: str = "", **env: str) -> Ended:
        return self.start(*argv, before=before, **env).wait()

    def python(self, code: str) -> Ended:
        return self.shell.start(None, self.folder, before=code).wait()

    def imported(self, rows: Sequence[Any] = ()) -> Desk:
        """With rows in the ledger, so that something can be lost."""
        self.trueup("import", self.data(rows or toy_rows(60, seed=3)), "--yes").said(0)
        return self

    def holds(self) -> dict[str, Any] | None:
        """All that the home says, with its doctor's word that it is well; None without a home."""
        if not (self.home / "journal.sqlite").exists():
            return None
        return holds(self.home)


def holds(home: Path) -> dict[str, Any]:
    """Generation, state, events, records and decisions of a home that is well."""
    with Ledger.open(home, create=False) as ledger:
        ailments = [one for one in ledger.doctor() if one.level == "error"]
        assert not ailments, ailments
        cut = ledger.cut()
        return {
            "cut": cut, "loops": {
                loop: {
                    "state": ledger.state(loop), "decisions": [one.digest() for one in ledger.decisions(loop)],
                    "events": sha256(str(ledger.query("SELECT * FROM event WHERE loop = ? ORDER BY seq", [loop]).to_pylist())),
                    "records": {
                        kind: [one["id"] for one in ledger.records(loop, kind)]
                        for kind in ("loop", "step", "candidate", "snapshot", "golden", "golden_use", "cost")
                    },
                }
                for loop in ledger.loops()
            },
        }  # fmt: skip


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a working loop."""
    folder = tmp_path_factory.mktemp("pristine")
    for kind in ("animal", "plant"):
        ConstantModel(kind).write(folder / "models" / kind, "label")
    (folder / "train.sh").write_text(TRAIN)
    return folder


@pytest.fixture
def desk(tmp_path: Path, pristine: Path, shell: Shell) -> Desk:
    """A working loop in a folder of its own; no home yet."""
    return furnish(tmp_path / "desk", pristine, shell)


@pytest.fixture(scope="session")
def furnished(pristine: Path, shell: Shell) -> Callable[[Path], Desk]:
    return lambda folder: furnish(folder, pristine, shell)


def furnish(folder: Path, pristine: Path, shell: Shell) -> Desk:
    import shutil

    shutil.copytree(pristine, folder)
    return Desk(folder, shell).write().golden(toy_rows(120, seed=77))


@pytest.fixture(scope="session")
def first_life(tmp_path_factory: pytest.TempPathFactory, pristine: Path, shell: Shell) -> Path:
    """A folder whose loop has imported its rows, and has run once."""
    made = furnish(tmp_path_factory.mktemp("first") / "desk", pristine, shell).imported()
    made.trueup("run", "loop.py").said(0)
    return made.folder


@pytest.fixture
def lived(tmp_path: Path, first_life: Path, shell: Shell) -> Desk:
    """A copy of it: rows, Decisions and models that could be lost."""
    import shutil

    shutil.copytree(first_life, tmp_path / "desk")
    return Desk(tmp_path / "desk", shell)
