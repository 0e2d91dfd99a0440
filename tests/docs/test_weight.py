# SPDX-License-Identifier: Apache-2.0
"""What is imported, and when: counted, not timed (benchmarks/imports.py has the seconds)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from trueup import Loop, Outcome, Task
from trueup.loop import run
from trueup.models import ConstantModel
from trueup.service.board import Board
from trueup.store import Ledger, lock
from trueup.train import Sklearn

HEAVY = [
    "adbc_driver_sqlite", "duckdb", "mlflow", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "skops", "torch",
    "transformers", "xgboost",
]
SLOW = ["asyncio", "importlib.metadata", "multiprocessing", "rich", "unittest"]
"""Of the standard library and the base package: what no light path needs."""


def loaded(code: str, *, exits: bool = False) -> set[str]:
    """The modules that an interpreter has after running `code`, beyond those of a bare one."""
    caught = f"try:\n    {code}\nexcept SystemExit:\n    pass" if exits else code
    names = "import json, sys\nbefore = set(sys.modules)\n" + caught + (
        "\nprint('\\n' + json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", names], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(found)


def among(found: set[str], names: list[str]) -> list[str]:
    """Those of `names` that were loaded, themselves or a part of them."""
    return [name for name in names if name in found or any(one.startswith(f"{name}.") for one in found)]


@pytest.mark.parametrize(
    ("module", "most"),
    [("trueup", 15), ("trueup.core", 60), ("trueup.route", 70), ("trueup.store", 120), ("trueup.client", 130)],
)
def test_a_light_module_loads_little(module: str, most: int) -> None:
    found = loaded(f"import {module}")
    assert among(found, [*HEAVY, *SLOW, "click"]) == []
    assert len(found) <= most, sorted(found)


def test_the_names_of_the_package_are_loaded_when_they_are_asked_for() -> None:
    assert among(loaded("from trueup import Task, Outcome, Spend, Budget, connect"), HEAVY) == []


def test_the_help_loads_nothing_but_the_commands() -> None:
    assert among(loaded("from trueup.cli import main; main(['--help'])", exits=True), [*HEAVY, *SLOW]) == []


BASE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
{code}
"""


def in_base(code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` where only the base package's dependencies are installed."""
    return subprocess.run(
        [sys.executable, "-c", BASE.format(names=HEAVY, code=code)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_an_application_needs_the_base_package_alone(tmp_path: Path) -> None:
    """FBK-05: choose, log, feedback without numpy."""
    done = in_base(
        "from trueup import connect\n"
        f"with connect('films', {str(tmp_path)!r}) as client:\n"
        "    choice = client.choose('ada'); client.log(choice, 1, 2); client.feedback(choice.id, 'genre', 'Dramas')"
    )
    assert done.returncode == 0, done.stderr
    with Ledger.open(tmp_path) as ledger:
        assert (ledger.count("films", "interaction"), ledger.count("films", "outcome")) == (1, 1)


@pytest.mark.parametrize("words", [["--help"], ["status"], ["doctor", "--quick"]], ids=lambda words: words[0])
def test_what_the_base_package_can_do_it_does(words: list[str], home: Path) -> None:
    done = in_base(f"from trueup.cli import main; main(['--home', {str(home)!r}, *{words!r}])")
    assert done.returncode == 0, done.stderr


def test_what_needs_more_says_what_to_install(home: Path) -> None:
    done = in_base(f"from trueup.cli import main; main(['--home', {str(home)!r}, 'snapshot', 'list'])")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "pip install 'trueup[loop]'" in done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a loop with a first champion has looked once."""
    made = tmp_path_factory.mktemp("weight")
    loop = Loop(
        "films", task=Task("text", "genre", "user"), outcomes=[Outcome.of_input("genre", within=timedelta(days=7))],
        trainer=Sklearn(), champion=ConstantModel("Dramas"),
    )
    with Ledger.open(made) as ledger:
        assert run(loop, ledger)
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["status"], ["status", "--json"], ["approve", "c-1", "-m", "x"], ["reject", "c-1", "-m", "x"],
        ["pause", "-m", "x"], ["resume", "-m", "x"], ["rollback", "-m", "x"],
    ],
    ids=lambda words: words[0],
)
def test_what_people_type_waits_for_no_heavy_import(words: list[str], home: Path) -> None:
    """HIT-01, REG-03: a person who approves or looks does not wait for numpy, pyarrow or duckdb, a
    service at work or not."""
    with lock(home, "up"):
        Board(home).write(force=True)
        found = loaded(f"from trueup.cli import main; main(['--home', {str(home)!r}, *{words!r}])", exits=True)
    assert among(found, HEAVY) == []
    if words[0] == "status":  # which reads: neither stages nor the definition of a loop
        assert among(found, ["trueup.loop.definition", "trueup.loop.run", "trueup.release.experiments.ab", "trueup.release.shadow.shadow"]) == []
