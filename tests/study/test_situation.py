# SPDX-License-Identifier: Apache-2.0
"""REL-10: what is not said of a situation stands in the loop, and in its log."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from trueup import Loop, Outcome
from trueup.cli import main
from trueup.core.errors import DataError
from trueup.core.events import outcome
from trueup.store import Ledger
from trueup.study import situation

HOUR = timedelta(hours=1)


def test_rel_10_traffic_labels_outcome_and_level_are_read(tmp_path: Path, make: Callable[..., Loop], past: Callable[..., Ledger]) -> None:
    clicked = Outcome.boolean("clicked", within=HOUR)
    loop = make(outcomes=[*make().outcomes, clicked])
    with past(tmp_path / "home", days=40, a_day=60, labelled=0.5) as ledger:
        found = situation(loop, ledger)
        assert found.units_a_day == pytest.approx(60, rel=0.02)
        assert found.labels == pytest.approx(0.5, abs=0.02)
        assert (found.feedback, found.margin, found.output) == (False, 0.05, "label")
        assert found.level == pytest.approx(0.00894, abs=1e-4)
        ledger.append([outcome("toys", f"i{at:05d}", "clicked", at % 4 == 0, ts=1, received=1) for at in range(1_000, 2_400)])
        found = situation(loop, ledger, units_a_day=9.0)
        assert (found.feedback, found.base, found.delay, found.units_a_day) == (True, pytest.approx(0.25, abs=0.01), HOUR, 9.0)


def test_a_loop_without_a_log_says_so(tmp_path: Path, make: Callable[..., Loop]) -> None:
    with Ledger.open(tmp_path) as ledger:
        with pytest.raises(DataError, match="logged requests"):
            situation(make(), ledger)
        assert situation(make(), ledger, units_a_day=100.0).labels == 0.0


def test_the_command_takes_a_loop_file(tmp_path: Path, past: Callable[..., Ledger], capsys: pytest.CaptureFixture[str]) -> None:
    past(tmp_path / "home").close()
    (tmp_path / "loop.py").write_text(
        "# SPDX-License-Identifier: Apache-2.0\nfrom trueup import Loop, Outcome, Task\nfrom trueup.train import Sklearn\n\n"
        "loop = Loop('toys', task=Task('sentence', 'kind', 'user'), outcomes=[Outcome.of_input('kind')], trainer=Sklearn())\n"
    )
    for args, code in ((["recommend", tmp_path / "loop.py", "--home", tmp_path / "home", "--json", "--margin", "0.1"], 0), (["recommend"], 2)):
        with pytest.raises(SystemExit) as ended:
            main([str(one) for one in args])
        assert ended.value.code == code
        said = capsys.readouterr()
        if code == 0:
            found = json.loads(said.out)
            assert found["situation"]["margin"] == 0.1
            assert found["situation"]["labels"] == 1.0
            assert found["carrier"] == "Shadow"
    assert "--traffic" in said.err
