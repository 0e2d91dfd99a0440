# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.errors import ArgumentError, DataError, Refused, UnknownName
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
    (["text", "label"], [(f"text {n}", "same") for n in range(200)], "two different answers"),
    (["text", "label"], [(f"text {n}", "ab"[n % 2]) for n in range(50)], "at least 100 answered rows"),
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


COLOURS = ("red", "blue", "green", "black", "white")


def pairs(path: Path, n: int, *, several: bool = False, long: bool = False) -> Path:
    """Questions about the colours of things, as JSON lines."""
    start_, rng = datetime(2026, 1, 1, tzinfo=UTC), random.Random(4)
    with path.open("w", encoding="utf-8") as file:
        for at in range(n):
            colour = rng.choice(COLOURS)
            row: dict[str, Any] = {"prompt": f"which colour has thing {at}, the {colour[0]} one?", "completion": colour}
            if several:
                row = {"instruction": "name the colour", "input": f"thing {at}, the {colour[0]} one", "output": colour}
            if long:
                row["completion"] = f"the thing that you ask about is, as far as anybody knows, {colour} on all sides"
            row |= {"customer": f"c{at % 40}", "created_at": (start_ + timedelta(hours=at)).isoformat()}
            file.write(json.dumps(row) + "\n")
    return path


def language_model(folder: Path) -> Path:
    from trueup.testing.language import tiny_causal_lm

    return tiny_causal_lm(folder, [f"which colour has thing {at}, the one? {' '.join(COLOURS)}" for at in range(30)])


def test_questions_and_texts_begin_a_loop_of_adapters(tmp_path: Path) -> None:
    """TRN-01: what `init generate` writes can work, with the prompt and the scorer that the answers ask for."""
    from trueup.evaluate import Exact, RougeL
    from trueup.models import LocalModel, Prompt
    from trueup.train import Lora

    model = language_model(tmp_path / "model")
    made = start("generate", tmp_path / "short", pairs(tmp_path / "p.jsonl", 900), model=str(model))
    loop = load_loop(tmp_path / "short")
    assert not [problem for problem in made.problems if problem.severe]
    assert loop.champion == LocalModel(str(model), prompt=Prompt(max_new_tokens=16))
    assert isinstance(loop.trainer, Lora)
    assert (loop.task.input, loop.task.unit, loop.task.answers) == ("prompt", "customer", "text")
    assert [type(gate.scorer) for gate in loop.gates] == [Exact]  # type: ignore[attr-defined]
    assert len(loop.golden()[0].load()) == 180
    start("generate", tmp_path / "long", pairs(tmp_path / "l.jsonl", 900, long=True), model=str(model))
    assert isinstance(load_loop(tmp_path / "long").gates[0].scorer, RougeL)  # type: ignore[attr-defined]
    start("generate", tmp_path / "two", pairs(tmp_path / "t.jsonl", 900, several=True), model="owner/name")
    two = load_loop(tmp_path / "two")
    assert two.champion == LocalModel("owner/name", prompt=Prompt("{instruction}\n{input}\n", max_new_tokens=16))
    assert start("generate", tmp_path / "none", model="owner/name").notes == ("no data: the names of columns are examples",)


def test_what_init_generate_writes_trains_and_waits_for_a_person(tmp_path: Path) -> None:
    """TRN-01: a first adapter from a file of one's own, through the gates, in the shape that it was written."""
    from trueup.data import import_file
    from trueup.loop import run
    from trueup.state import candidates
    from trueup.store import Ledger

    folder, data = tmp_path / "bot", pairs(tmp_path / "p.jsonl", 400)
    start("generate", folder, data, model=str(language_model(folder / "model")))
    assert 'LocalModel(HERE / "model"' in (folder / "loop.py").read_text()
    loop = load_loop(folder)
    with Ledger.open(folder / ".trueup") as ledger:
        import_file(ledger, data, loop.name, task=loop.task, outcomes=loop.outcomes)
        kinds = [(one.kind, one.verdict) for one in run(loop, ledger, now=True, base=folder)]
        assert kinds[:2] == [("install", "PROMOTE"), ("look", "TRAIN")]
        assert kinds[2][0] == "candidate"
        trained = candidates(ledger, loop.name)[-1]
        assert trained.trainer is not None
        assert (ledger.artifacts.path(trained.model) / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(("kind", "model", "words"), [
    ("generate", None, "--model"), ("generate", "no such folder", "owner/name"), ("generate", ".", "config.json"),
    ("classify", "owner/name", "init generate"),
])
def test_a_model_is_named_where_one_is_needed(kind: str, model: str | None, words: str, tmp_path: Path) -> None:
    if model == ".":
        model = str(tmp_path)
    with pytest.raises(ArgumentError) as error:
        start(kind, tmp_path / "x", model=model)
    assert words in f"{error.value.message} {error.value.cure}"
    assert not (tmp_path / "x").exists()


def test_texts_without_a_column_of_answers_are_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "x.csv", ["question", "place"], [[f"q{at}", f"p{at}"] for at in range(200)])
    with pytest.raises(DataError, match="right answers"):
        start("generate", tmp_path / "x", data, model="owner/name")
