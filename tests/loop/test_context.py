# SPDX-License-Identifier: Apache-2.0
"""A Context opens from JSON on any machine that reaches the home, and a step is performed there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import DataError, NotFound, StoreError
from trueup.core.json import dumps
from trueup.loop import Context, load_loop, run
from trueup.loop.pipeline import perform
from trueup.loop.steps import GATES, SNAPSHOT
from trueup.state.steps import Built, SnapshotInput, StepRecord
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FILE = '''
from dataclasses import dataclass
from trueup import Loop, Outcome, Task
from trueup.core.values import value
from trueup.core.protocols import Finding
from trueup.data import Recipe
from trueup.evaluate import Accuracy, AtLeast
from trueup.data import GoldenSet
from trueup.models import ConstantModel
from trueup.train import Sklearn
from pathlib import Path

@value("mine.whenever")
class Whenever:
    """A trigger of the loop file's own."""

    def look(self, facts):
        return Finding(True, "whenever")

loop = Loop(
    "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], champion=ConstantModel("animal"),
    when=[Whenever()], recipe=Recipe(window=None, min_rows=50), trainer=Sklearn("logistic"),
    gates=[AtLeast(Accuracy(), 0.1, on=GoldenSet("core", Path(__file__).parent / "golden.jsonl"))],
)
'''
STEP = """
import json, sys
from trueup.core.values import resolve
from trueup.loop import Context

spec, function, given = json.load(sys.stdin)
with Context.open(spec) as context:
    print(json.dumps(resolve(function)(context, given)))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "far_loop.py").write_text(FILE)
    (tmp_path / "golden.jsonl").write_text("".join(
        dumps({"input": sentence, "target": kind}) + "\n" for sentence, kind in toy_rows(40, seed=9)
    ))
    return tmp_path


@pytest.fixture
def ledger(folder: Path) -> Iterator[Ledger]:
    with Ledger.open(folder / "home", clock=ManualClock(NOW)) as opened:
        opened.append(toy_history("toys", toy_rows(120, seed=1), NOW))
        yield opened


@pytest.mark.parametrize("step", [SNAPSHOT, GATES], ids=lambda step: step.name)
def test_a_step_gives_the_same_in_a_process_that_knows_only_the_spec(step: Any, folder: Path, ledger: Ledger) -> None:
    """The loop file's own trigger is found by `base`, and the output has the recorded bytes."""
    loop = load_loop(folder / "far_loop.py")
    context = Context(loop, ledger, base=folder)
    run(loop, ledger, base=folder)
    (recorded,) = [one for one in ledger.records("toys", StepRecord) if one.step == step.name]
    spec = context.spec()
    assert spec == {"home": str(ledger.home), "loop": "toys", "definition": context.digest, "base": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", STEP], input=json.dumps([spec, step.function, dict(recorded.input)]), text=True,
        capture_output=True, check=False, timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert dumps(json.loads(done.stdout)) == dumps(dict(recorded.output))


def test_a_context_gives_back_the_spec_that_it_was_opened_with_and_closes_its_ledger(folder: Path, ledger: Ledger) -> None:
    context = Context(load_loop(folder / "far_loop.py"), ledger, base=folder)
    context.pin()
    with Context.open(context.spec()) as opened:
        assert opened.spec() == context.spec()
        assert opened.loop.digest(folder) == opened.digest == context.digest
        assert opened.ledger.cut() == ledger.cut()
    with pytest.raises(StoreError):
        opened.ledger.cut()
    with context:
        pass
    assert ledger.cut() > 0, "a ledger that was handed in stays open"


def test_what_cannot_be_opened_says_what_is_missing(folder: Path, ledger: Ledger) -> None:
    context = Context(load_loop(folder / "far_loop.py"), ledger)
    assert "base" not in context.spec()
    with pytest.raises(NotFound, match="definition"):
        Context.open(context.spec())
    with pytest.raises(NotFound, match="ledger"):
        Context.open({**context.spec(), "home": str(folder / "nowhere")})
    with pytest.raises(DataError, match="definition"):
        Context.open({"home": str(ledger.home), "loop": "toys"})


def test_a_step_records_its_input_as_it_ever_was_with_absent_keys_absent(folder: Path, ledger: Ledger) -> None:
    """The digest of the input is the step's key: a cycle that an older version began finds its steps by it."""
    context = Context(load_loop(folder / "far_loop.py"), ledger)
    recipe: Any = context.loop.to_json()["recipe"]
    given = SnapshotInput(ledger.cut(), 7, recipe, ["a"])
    built = perform(context, "y-1", SNAPSHOT, given, Built)
    (record,) = ledger.records("toys", StepRecord)
    assert record.input == {"cut": ledger.cut(), "now": 7, "recipe": recipe, "golden": ["a"]}
    assert set(record.output) == {"snapshot", "data", "funnel", "refusal", "unknown"}
    assert perform(context, "y-1", SNAPSHOT, dict(record.input), Built) == built
    assert len(ledger.records("toys", StepRecord)) == 1
    with pytest.raises(DataError, match="GatesInput"):
        perform(context, "y-1", GATES, {"champion": None})
