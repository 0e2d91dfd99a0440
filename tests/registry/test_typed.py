# SPDX-License-Identifier: Apache-2.0
"""What people type: `trueup registry`, and `trueup run` of a loop that is published."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from trueup.loop import Context, publish
from trueup.registry import Mlflow
from trueup.service import project
from trueup.store import Ledger

from .conftest import free_port, toy_loop

LOOP = """
from pathlib import Path
from trueup import Env
from trueup.registry import Mlflow
from trueup.core.task import Outcome, Task
from trueup.loop import Loop
from trueup.models import ConstantModel
from trueup.train import Sklearn

loop = Loop("toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")],
            champion=ConstantModel("animal"), trainer=Sklearn(), publish=[Mlflow(seconds=30)])
"""


def typed(*words: str, folder: Path, code: int = 0) -> str:
    """The real command line, in a process of its own, with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "from trueup.cli import main; main()", "--home", "home", *words],
        cwd=folder, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=200, check=False,
        env={
            **{name: text for name, text in os.environ.items() if name != "MLFLOW_TRACKING_URI"},
            "PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1",
        },
    )  # fmt: skip
    assert done.returncode == code, f"{done.returncode}: {done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_registry_is_shown_published_and_rebuilt(home: Path, migrated: Path) -> None:
    """REG-01, REG-02: show, publish, a dry rebuild, a rebuild after the database was lost; JSON for programs."""
    folder = home.parent
    (folder / "loop.py").write_text(LOOP, "utf-8")
    shown = typed("registry", "show", folder=folder)
    assert "[champion, anchor]" in shown
    assert "[challenger]" in shown
    assert "refused" in shown
    assert "3 version" in typed("registry", "rebuild", "--dry", folder=folder)
    assert not (home / "mlflow").exists(), "a dry run makes no database"
    (home / "mlflow").mkdir()
    (home / "mlflow" / "mlflow.db").write_bytes(migrated.read_bytes())
    typed("run", folder=folder)  # which makes this the loop's definition, and publishes
    assert "registry" not in typed("doctor", folder=folder)
    (home / "mlflow" / "mlflow.db").write_bytes(migrated.read_bytes())
    behind = typed("doctor", folder=folder)
    assert "is behind toys by" in behind
    assert "3 version" in behind
    assert "is behind" not in typed("doctor", "--quick", folder=folder)
    first, = json.loads(typed("registry", "publish", "--json", folder=folder))
    assert first["error"] is None
    assert sum(one["what"] == "version" for one in first["changes"]) == 3
    again = typed("registry", "rebuild", folder=folder)
    assert "all is as it should be" in again
    facts = json.loads(typed("registry", "show", "--json", folder=folder))
    assert facts["not_published"] == []
    assert len(facts["candidates"]) == 3


def test_a_run_publishes_and_says_only_what_went_wrong(home: Path, migrated: Path) -> None:
    """REG-01: `trueup run` with a server that is gone decides, says so in a line, and exits 0."""
    folder = home.parent
    text = LOOP.replace("seconds=30", f"'http://127.0.0.1:{free_port()}', seconds=1")
    (folder / "loop.py").write_text(text, "utf-8")
    said = typed("run", "--now", folder=folder)
    assert "REST" in said
    assert "not published to http://127.0.0.1" in said
    assert "not published to" in typed("status", folder=folder)
    assert "not published to" in typed("registry", "publish", folder=folder, code=1)
    (folder / "loop.py").write_text(LOOP.replace(", publish=[Mlflow(seconds=30)]", ""), "utf-8")
    assert "write publish=[Mlflow()]" in typed("registry", "publish", folder=folder, code=2)


COUNTED = """
from pathlib import Path
from trueup.core.values import value
from trueup.registry import Published

@value("publish.counted")
class Counted:
    def target(self, ledger):
        return "a file"

    def _note(self, ledger, what):
        with (ledger.home / "asked").open("a") as file:
            file.write(what + "\\n")

    def publish(self, ledger, shown, last, *, thorough, dry, say):
        self._note(ledger, "publish")
        return Published("a file")

    def nominations(self, ledger, loop):
        self._note(ledger, "nominations")
        return ()

    def fetch(self, nomination, ledger, folder):
        raise AssertionError

"""


def test_a_run_asks_a_registry_once_and_shows_it_the_outcome_once(home: Path) -> None:
    """REG-01, TRG-08: nominations before the look, publishing after it, and neither again."""
    folder = home.parent
    text = LOOP.replace("Mlflow(seconds=30)", "Counted()").replace("\nloop = ", f"{COUNTED}\nloop = ", 1)
    assert "Counted()" in text
    (folder / "loop.py").write_text(text, "utf-8")
    assert "REST" in typed("run", "--now", folder=folder)
    assert (home / "asked").read_text().split() == ["nominations", "publish"]


def test_the_service_publishes_beside_its_ticks(
    ledger: Ledger, home: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REG-01, ORC-04: the projection that the service calls; its failure is its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (home / "mlflow").mkdir()
    (home / "mlflow" / "mlflow.db").write_bytes(migrated.read_bytes())
    loop = toy_loop(home.parent, publish=[Mlflow(seconds=30)])
    assert "registry" not in project(Context(loop, ledger, base=home.parent))
    assert len(ledger.records("toys", "published")) == 1
    assert publish(loop, ledger)[0].skipped
    dead = toy_loop(home.parent, publish=[Mlflow(f"http://127.0.0.1:{free_port()}", seconds=1)])
    assert "not published" in project(Context(dead, ledger, base=home.parent))["registry"]
