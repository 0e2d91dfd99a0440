# SPDX-License-Identifier: Apache-2.0
"""The proposed change: a diff that gives exactly the loop that was meant, applied by a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import DefinitionError, Refused
from trueup.loop import load_loop, why
from trueup.store import Ledger
from trueup.study import apply, policies, propose

START = datetime(2026, 1, 1, tzinfo=UTC)
FILE = '''# SPDX-License-Identifier: Apache-2.0
"""Sörted sentences."""
from datetime import timedelta as span

from trueup import Loop, Outcome, Task
from trueup.data import Recipe
from trueup.train import Sklearn
from trueup.triggers import Rows

kind = Outcome.of_input("kind", within=span(days=1))
loop = Loop(
    "toys", task=Task("säntence", "kind", "user"), outcomes=[kind], trainer=Sklearn("logistic"),
    when=[Rows(10_000)],  # too many
    recipe=Recipe(window=span(days=14), min_rows=100),
)
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "toys_loop.py").write_text(FILE, "utf-8")
    return tmp_path / "toys_loop.py"


def test_tru_07_the_diff_gives_the_loop_that_was_meant(file: Path, tmp_path: Path) -> None:
    """TRU-07: a person applies it; the file changes, and a Decision says what and by whom."""
    loop = load_loop(file)
    way = policies(loop, ["rows:500,cron:weekly"], ["30d"], [0.5], "7d")[-1]
    edit = propose(file, loop, way)
    assert edit is not None
    assert file.read_text("utf-8") == FILE, "nothing is written before somebody says so"
    assert "-    when=[Rows(10_000)],  # too many" in edit.diff
    assert "+    when=[Rows(n=500), Cron(expression='weekly')],  # too many" in edit.diff
    assert "+from trueup.triggers import Cooldown, Cron" in edit.diff
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as ledger:
        decision = apply(edit, ledger, who="ada", evidence={"backtest": {"quality": 0.9}})
        assert (decision.kind, decision.verdict, decision.actor) == ("edit", "NOTE", "ada")
        assert decision.evidence["diff"] == edit.diff
        assert "toys_loop.py was edited" in why(ledger, decision.id).lines[0]
        changed = load_loop(file)
        assert changed == way.of(loop)
        assert changed.recipe.window == timedelta(days=30)
        assert propose(file, changed, way) is None
        with pytest.raises(Refused, match="edited since"):
            apply(edit, ledger)
    assert not list(tmp_path.glob("edited_*")), "the draft that was tried is gone"


def test_a_file_that_cannot_be_edited_says_what_to_write(file: Path) -> None:
    file.write_text(FILE + "\nfrom dataclasses import replace\n\nother = replace(loop, name='other')\n", "utf-8")
    loop = load_loop(file, "other")
    with pytest.raises(DefinitionError, match="got 0") as raised:
        propose(file, loop, policies(loop, ["rows:500"])[-1])
    assert "when=[Rows(n=500)]" in raised.value.cure


def test_what_a_name_stands_for_is_checked(file: Path) -> None:
    """A file in which `Cron` is something else would define another loop: refused, not written."""
    file.write_text(FILE.replace("from trueup.triggers import Rows", "from trueup.triggers import Rows\n\ndef Cron(expression):\n    return Rows(3)\n"), "utf-8")
    loop = load_loop(file)
    with pytest.raises(DefinitionError, match="another loop"):
        propose(file, loop, policies(loop, ["cron:weekly"])[-1])
