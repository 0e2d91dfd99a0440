# SPDX-License-Identifier: Apache-2.0
"""VAL-09, VAL-11: a loop's own log tells where its answers are worse, on the command line as well."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trueup import Loop
from trueup.cli import main
from trueup.core.clock import ManualClock, to_us
from trueup.core.errors import DataError
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.store import Ledger
from trueup.study import weak

START = datetime(2026, 1, 1, tzinfo=UTC)
LOOP = '''
# SPDX-License-Identifier: Apache-2.0
from trueup import Loop, Outcome, Task
from trueup.train import Sklearn

loop = Loop("toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], trainer=Sklearn())
'''


def served(home: Path, n: int = 3_000) -> Ledger:
    """Answers to units of two requests each: right in .9, and in .5 where a unit asks for the first time."""
    rng, ledger = random.Random(2), Ledger.open(home, clock=ManualClock(START))
    rows: list[Event] = []
    for at in range(n):
        ts, first, kind = to_us(START) + at * 60_000_000, at % 2 == 0, rng.choice(["stone", "bird"])
        right = rng.random() < (0.5 if first else 0.9)
        given = kind if right else {"stone": "bird", "bird": "stone"}[kind]
        rows.append(Event(
            f"i{at}", "toys", "interaction", ts, received=ts, unit=f"u{at // 2}", input=dumps(f"a {kind} of {rng.choice('abcdef') * 3}"),
            output=dumps(given),
        ))
        rows.append(outcome("toys", f"i{at}", "kind", kind, ts=ts + 1, received=ts + 1))
    ledger.append(rows)
    return ledger


def test_val_11_units_without_history_are_a_segment(tmp_path: Path, make: Callable[..., Loop]) -> None:
    with served(tmp_path / "home") as ledger:
        found = weak(make(), ledger)
        assert [one.where for one in found.found] == [("units = without history",)]
        assert found.found[0].rows == 1_500
        assert found.found[0].interval[0] < -0.4 < found.found[0].interval[1]
        assert found.found[0].examples[0].text.startswith(("bird, right is stone", "stone, right is bird"))
        with pytest.raises(DataError, match="200 rows"):
            weak(make(), ledger, since=datetime(2026, 1, 3, tzinfo=UTC))


def test_val_09_the_command_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served(tmp_path / "home").close()
    (tmp_path / "loop.py").write_text(LOOP)
    for more in ((), ("--json",)):
        with pytest.raises(SystemExit) as ended:
            main(["slices", str(tmp_path / "loop.py"), "--home", str(tmp_path / "home"), *more])
        assert ended.value.code == 0
        said = capsys.readouterr().out
        assert "units = without history" in said
    assert json.loads(said)["found"][0]["name"] == "units = without history"
    page = (tmp_path / "home" / "reports" / "slices-toys" / "slices.html").read_text()
    assert "1 segment is worse than the rest" in page
    assert page.count("<svg") == 1


def test_nothing_served_is_said_so(tmp_path: Path, make: Callable[..., Loop]) -> None:
    with Ledger.open(tmp_path) as ledger, pytest.raises(DataError, match="labelled answers"):
        weak(make(), ledger)
