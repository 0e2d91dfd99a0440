# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from trueup.core.errors import DataError, Refused, UnknownName
from trueup.evaluate import AtLeast, NoWorse
from trueup.loop import load_loop
from trueup.loop.starting import start
from trueup.models import ConstantModel, Features


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def numbers(path: Path, n: int, seed: int = 0) -> Path:
    rng = random.Random(seed)
    rows = [(rng.gauss(0, 1), rng.gauss(0, 1), rng.choice(["north", "south"])) for _ in range(n)]
    return write(path, ["a", "b", "place", "class"], [(a, b, c, "UP" if a + b > 0.3 else "DOWN") for a, b, c in rows])


def test_without_data_the_loop_can_work(tmp_path: Path) -> None:
    made = start("classify", tmp_path / "My Mail_2")
    assert made.name == "my-mail-2"
    assert [path.name for path in made.files] == ["loop.py", "README.md"]
    assert not [problem for problem in made.problems if problem.severe]
    assert load_loop(tmp_path / "My Mail_2").name == "my-mail-2"
    text = (tmp_path / "My Mail_2" / "loop.py").read_text() + (tmp_path / "My Mail_2" / "README.md").read_text()
    assert "$" not in text


def test_columns_become_features_and_a_sample_judges(tmp_path: Path) -> None:
    data = numbers(tmp_path / "prices.csv", 2_000)
    made = start("classify", tmp_path / "prices", data)
    loop = load_loop(tmp_path / "prices")
    assert not [problem for problem in made.problems if problem.severe]
    assert loop.champion == ConstantModel("DOWN")
    assert loop.trainer.features == Features(numeric=("a", "b"), categorical=("place",))  # type: ignore[attr-defined]
    floor, no_worse = loop.gates
    assert isinstance(floor, AtLeast)
    assert isinstance(no_worse, NoWorse)
    assert no_worse.by == 0.05
    assert len(loop.golden()[0].load()) == 400
    assert loop.golden()[0].slices == ("class",)
    again = start("classify", tmp_path / "again", data)
    assert (tmp_path / "again/golden/core.jsonl").read_bytes() == (tmp_path / "prices/golden/core.jsonl").read_bytes()
    assert again.notes == made.notes


def test_few_rows_get_the_gate_that_they_can_carry(tmp_path: Path) -> None:
    start("classify", tmp_path / "some", numbers(tmp_path / "some.csv", 600))
    assert load_loop(tmp_path / "some").gates[1].by == 0.10  # type: ignore[attr-defined]
    made = start("classify", tmp_path / "few", numbers(tmp_path / "few.csv", 120))
    assert len(load_loop(tmp_path / "few").gates) == 1
    assert any("too few to show" in note for note in made.notes)
    assert not [problem for problem in made.problems if problem.severe]


def test_several_labels_and_one_text(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [(" ".join(rng.choices(["war", "love", "space", "dog", "law"], k=9)), ", ".join(sorted(rng.sample(["A", "B", "C"], 2))))
            for _ in range(400)]  # fmt: skip
    made = start("classify", tmp_path / "genres", write(tmp_path / "g.csv", ["plot", "label"], rows))
    loop = load_loop(tmp_path / "genres")
    assert loop.task.answers == "labels"
    assert loop.task.input == "plot"
    assert not [problem for problem in made.problems if problem.severe]


@pytest.mark.parametrize(("header", "rows", "words"), [
    (["text", "label"], [(f"text {n}", "same") for n in range(200)], "two classes"),
    (["text", "label"], [(f"text {n}", "ab"[n % 2]) for n in range(50)], "at least 100 labelled rows"),
    (["price", "label"], [(n, "ab"[n % 2]) for n in range(200)], "expected a text, or several columns"),
    (["text"], [(f"text {n}",) for n in range(200)], "expected a column of labels"),
])  # fmt: skip
def test_data_that_cannot_work_are_refused_before_anything_is_written(
    tmp_path: Path, header: list[str], rows: list[Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        start("classify", tmp_path / "loop", write(tmp_path / "x.csv", header, rows))
    assert not (tmp_path / "loop").exists()


def test_labels_and_names_that_need_quoting(tmp_path: Path) -> None:
    rows = [(f'a "long" text about {n} {n % 7}', 'say "no"' if n % 2 else "l'été") for n in range(300)]
    made = start("classify", tmp_path / "9 q", write(tmp_path / "x.csv", ['my "text"', "label"], rows))
    assert not [problem for problem in made.problems if problem.severe]
    items = [json.loads(line) for line in (tmp_path / "9 q/golden/core.jsonl").read_text().splitlines()]
    assert {item["target"] for item in items} == {'say "no"', "l'été"}


def test_files_are_never_written_over_unasked(tmp_path: Path) -> None:
    start("classify", tmp_path / "x1")
    with pytest.raises(Refused):
        start("classify", tmp_path / "x1")
    start("classify", tmp_path / "x1", force=True)
    with pytest.raises(UnknownName):
        start("regress", tmp_path / "x2")
