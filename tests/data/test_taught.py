# SPDX-License-Identifier: Apache-2.0
"""CUR-17 and EVL-08: rows without a label in a Snapshot, and in yesterday's news."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.data.conftest import NOW_US

from trueup.core.json import dumps
from trueup.curate import CapPerUnit, Distill
from trueup.data import GoldenSet, Recipe, RollingSet, build
from trueup.models import FunctionModel
from trueup.store import Ledger

DAY = timedelta(days=1)
ASKED: list[Any] = []
Log = Callable[..., None]


def teacher(inputs: list[Any]) -> list[Any]:
    ASKED.extend(inputs)
    return [None if text.endswith("7") else text.upper() for text in inputs]


DISTILL = Distill(FunctionModel(teacher))
RECIPE = Recipe(window=30 * DAY, min_rows=1, curate=[CapPerUnit(0.5), DISTILL])


@pytest.fixture(autouse=True)
def _forget() -> None:
    ASKED.clear()


def made(ledger: Ledger, recipe: Recipe, **more: Any) -> Any:
    given = {"loop": "films", "target": "genre", "cut": ledger.cut(), "now_us": NOW_US, **more}
    return build(recipe, ledger, **given)


def nothing(_n: int) -> None:
    return None


def test_rows_without_a_label_train_once_a_teacher_has_written_it(ledger: Ledger, log: Log) -> None:
    log(10, days=5, prefix="known")
    log(20, days=3, prefix="open", label=nothing)
    cut = ledger.cut()
    built = made(ledger, RECIPE)
    assert built.snapshot is not None
    rows = built.snapshot.rows()
    targets = dict(zip(rows["row_id"].to_pylist(), rows["target"].to_pylist(), strict=True))
    assert len(targets) == 28
    assert targets["open-3-3"] == dumps("A FILM ABOUT OPEN3")
    assert targets["known-5-3"] == dumps("drama")
    assert len(ASKED) == 20
    step = next(step for step in built.funnel.steps if step.name == "distill")
    assert step.dropped == {"the teacher answered nothing": 2}
    assert step.facts["digest"] == DISTILL.identity
    assert DISTILL.identity not in built.snapshot.manifest["code"].values()
    assert any("distill" in name for name in built.snapshot.manifest["code"])
    ASKED.clear()
    again = made(ledger, RECIPE, cut=cut)
    assert again.snapshot is not None
    assert again.snapshot.manifest["logical_digest"] == built.snapshot.manifest["logical_digest"]
    assert len(ASKED) == 2, "only what it could not answer is asked again"


def test_without_a_teacher_they_do_not(ledger: Ledger, log: Log) -> None:
    log(10, days=5, prefix="known")
    log(20, days=3, prefix="open", label=nothing)
    built = made(ledger, Recipe(window=30 * DAY, min_rows=1))
    assert built.snapshot is not None
    assert built.snapshot.rows().num_rows == 10


def test_no_golden_item_goes_to_the_teacher(ledger: Ledger, log: Log, tmp_path: Path) -> None:
    log(10, days=5, prefix="known")
    log(8, days=3, prefix="open", label=nothing)
    path = tmp_path / "golden.jsonl"
    path.write_text(dumps({"input": "a film about open3", "target": "X"}) + "\n")
    built = made(ledger, RECIPE, golden=[GoldenSet("core", path)])
    assert built.snapshot is not None
    assert "a film about open3" not in ASKED
    assert len(ASKED) == 7
    assert built.snapshot.rows().num_rows == 16


def test_a_label_that_comes_later_takes_the_teachers_place(ledger: Ledger, log: Log) -> None:
    from trueup.core.events import outcome

    log(3, days=5, prefix="known")
    log(3, days=3, prefix="open", label=nothing)
    made(ledger, RECIPE)
    ledger.append([outcome("films", "open-3-1", "genre", "horror", ts=NOW_US - 10, received=NOW_US - 10)])
    built = made(ledger, RECIPE)
    assert built.snapshot is not None
    rows = built.snapshot.rows()
    targets = dict(zip(rows["row_id"].to_pylist(), rows["target"].to_pylist(), strict=True))
    assert targets["open-3-1"] == dumps("horror")


def test_yesterdays_news_is_judged_by_what_the_teacher_wrote(ledger: Ledger, log: Log) -> None:
    """EVL-08: a rolling set of unlabelled rows, that do not train in that cycle."""
    log(30, days=5, prefix="before", label=nothing)
    log(10, days=0.5, prefix="fresh", label=nothing)
    yesterday = RollingSet("yesterday", last=DAY, rows=5, teacher=DISTILL)
    items = yesterday.items(ledger, loop="films", target="genre", cut=ledger.cut(), now_us=NOW_US)
    assert len(items) in (4, 5)
    assert all(target == given.upper() for given, target in zip(items.inputs, items.targets, strict=True))
    built = made(ledger, RECIPE, golden=[items])
    assert built.snapshot is not None
    assert not items.row_ids & set(built.snapshot.rows()["row_id"].to_pylist())
