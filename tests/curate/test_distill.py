# SPDX-License-Identifier: Apache-2.0
"""CUR-17: a teacher writes the targets of rows that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from trueup.core.errors import ArgumentError
from trueup.core.json import dumps
from trueup.core.values import from_json, to_json
from trueup.curate import ROWS, Clean, Deduplicate, Distill, Schema, run_step, version_of
from trueup.models import ConstantModel, FunctionModel, LocalModel

ASKED: list[Any] = []


def shout(inputs: list[Any]) -> list[Any]:
    ASKED.extend(inputs)
    return [text.upper() for text in inputs]


def picky(inputs: list[Any]) -> list[Any]:
    ASKED.extend(inputs)
    if any("broken" in text for text in inputs):
        raise ValueError("no such words")
    return ["" if "silent" in text else text.upper() for text in inputs]


@pytest.fixture(autouse=True)
def _forget() -> None:
    ASKED.clear()


def rows(*pairs: tuple[str, Any]) -> pa.Table:
    return pa.table(
        {
            "row_id": [f"r{n}" for n in range(len(pairs))], "ts": range(len(pairs)), "known": range(len(pairs)),
            "unit": ["u"] * len(pairs), "input": [dumps(text) for text, _ in pairs],
            "target": [None if target is None else dumps(target) for _, target in pairs],
            "weight": [1.0] * len(pairs), "arm": [None] * len(pairs), "candidate": [None] * len(pairs),
            "cohort": ["2026-W01"] * len(pairs), "part": ["new"] * len(pairs), "propensity": [None] * len(pairs),
        },
        schema=ROWS,
    )


def test_only_rows_without_a_target_are_asked_for() -> None:
    done = run_step(Distill(FunctionModel(shout)), rows(("a b", None), ("c", "label"), ("d", None)), 0)
    assert done.rows["target"].to_pylist() == ['"A B"', '"label"', '"D"']
    assert ASKED == ["a b", "d"]
    assert done.facts["written"] == 2
    assert done.facts["teacher"].endswith(":shout")
    assert done.facts["digest"] == Distill(FunctionModel(shout)).identity


def test_what_is_remembered_is_not_asked_again() -> None:
    known = {"r0": '"from before"'}
    done = Distill(FunctionModel(shout)).teach(rows(("a", None), ("b", None)), known)
    assert done.rows["target"].to_pylist() == ['"from before"', '"B"']
    assert ASKED == ["b"]
    assert known == {"r0": '"from before"', "r1": '"B"'}
    assert done.facts["remembered"] == 1


def test_a_failure_costs_its_own_row_and_says_why() -> None:
    done = run_step(Distill(FunctionModel(picky)), rows(("one", None), ("broken", None), ("silent", None), ("two", None)), 0)
    assert done.rows["target"].to_pylist() == ['"ONE"', '"TWO"']
    reasons = dict(done.dropped)
    assert reasons.pop("the teacher answered nothing") == 1
    ((reason, n),) = reasons.items()
    assert (n, "no such words" in reason) == (1, True)


def test_a_teacher_that_is_gone_is_left_alone() -> None:
    done = run_step(Distill(FunctionModel(picky)), rows(*[(f"broken {n}", None) for n in range(200)]), 0)
    assert done.rows.num_rows == 0
    assert done.dropped["not asked: the teacher failed 8 times in a row"] == 192
    assert len(ASKED) == 64 + 8


def test_its_lineage_tells_teachers_apart(tmp_path: Path) -> None:
    one, other = Distill(FunctionModel(shout)), Distill(FunctionModel(picky))
    assert one.identity != other.identity
    assert version_of(one) != version_of(other)
    assert from_json(to_json(one)) == one
    ConstantModel("x").write(tmp_path / "a" / "teacher", "text")
    ConstantModel("x").write(tmp_path / "b" / "teacher", "text")
    ConstantModel("y").write(tmp_path / "c", "text")
    a, b, c = (Distill(tmp_path / place) for place in ("a/teacher", "b/teacher", "c"))
    assert a.identity == b.identity == Distill(LocalModel(tmp_path / "a" / "teacher")).identity
    assert a.identity != c.identity
    assert run_step(a, rows(("q", None)), 0).rows["target"].to_pylist() == ['"x"']


def test_steps_before_it_see_rows_without_a_target() -> None:
    given = rows(("a&amp;b", None), ("a&amp;b", None), ("c", "x"), ("d", None))
    for step in (Clean(), Schema("text", "text"), Deduplicate(), Deduplicate(keep="latest")):
        given = run_step(step, given, 0, unlabelled=True).rows
    assert given["input"].to_pylist() == ['"a&b"', '"c"', '"d"']


def test_a_teacher_must_answer() -> None:
    with pytest.raises(ArgumentError, match="expected a teacher that answers"):
        Distill(shout)
