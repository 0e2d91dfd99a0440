# SPDX-License-Identifier: Apache-2.0
"""ING-10: `init classify` on tables as people have them: it says its guess for every column, and asks where it is unsure."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from trueup.cli import main
from trueup.core.errors import ArgumentError, DataError
from trueup.core.protocols import Prediction
from trueup.evaluate import AtLeast, F1Macro, beside, evaluate
from trueup.evaluate.scorers import Accuracy
from trueup.loop import load_loop
from trueup.loop.starting import start
from trueup.loop.starting.guess import Said, Unsure
from trueup.models import Features


def table(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def churn(path: Path, n: int = 600, *, answer: str = "churned", yes: float = 0.3) -> Path:
    rng = random.Random(5)
    return table(path, {
        "customer_no": [f"C{i:05d}" for i in range(n)], "signup": [f"{1 + i % 28:02d}/{1 + i * 12 // n:02d}/2025" for i in range(n)],
        "country": ["DE"] * n, "empty": [""] * n, "row": range(n), "zip": [rng.choice(["01067", "10115"]) for _ in range(n)],
        "contract": [rng.choice(["month", "year"]) for _ in range(n)], "birthdate": ["1980-04-05", "1990-01-02"] * (n // 2),
        "monthly": [rng.choice(["NA", f"{rng.uniform(10, 99):.2f}".replace(".", ",")]) for _ in range(n)],
        answer: [int(rng.random() < yes) for _ in range(n)],
    })  # fmt: skip


def test_every_column_is_named_with_the_reason(tmp_path: Path) -> None:
    made = start("classify", tmp_path / "churn", churn(tmp_path / "a.csv"))
    told = dict(note.partition(": ")[::2] for note in made.notes)
    assert told["churned"] == "answer (2 values: 0, 1)"
    assert told["signup"] == "time (its values are times, day-first)"
    assert told["customer_no"] == "ignored (identifier: every row has another)"
    assert told["row"] == "ignored (identifier: every row has another)"
    assert told["country"] == "ignored (constant: always 'DE')"
    assert told["empty"] == "ignored (empty)"
    assert told["birthdate"].startswith("ignored (a time")
    assert told["zip"].startswith("category (digits with leading zeros, such as 01067")
    assert told["contract"] == "category (2 values: month, year)" or told["contract"] == "category (2 values: year, month)"
    assert told["monthly"].startswith("number (its values are numbers; ")
    assert "x 'NA' read as missing" in told["monthly"]
    loop = load_loop(tmp_path / "churn")
    assert loop.label.name == "churned"
    assert loop.trainer.features == Features(numeric=("monthly",), categorical=("zip", "contract"))  # type: ignore[attr-defined]
    assert "Left out: customer_no" in (tmp_path / "churn/loop.py").read_text()


def test_golden_items_are_the_newest_rows(tmp_path: Path) -> None:
    """What is learned from the past is judged on what came after it."""
    start("classify", tmp_path / "a", churn(tmp_path / "a.csv"))
    items = [json.loads(line)["input"] for line in (tmp_path / "a/golden/core.jsonl").read_text().splitlines()]
    assert len(items) == 120
    assert min(item["row"] for item in items) >= 460, "the last fifth of the year"
    assert "the newest of the file" in (tmp_path / "a/loop.py").read_text()


def test_where_it_is_unsure_it_stops_with_the_flags(tmp_path: Path) -> None:
    data = churn(tmp_path / "a.csv", answer="gone")
    with pytest.raises(Unsure, match=r"several could: .*contract \(2 values.*gone \(2 values: 0, 1\)") as caught:
        start("classify", tmp_path / "a", data)
    assert "--target gone" in caught.value.cure
    assert not (tmp_path / "a").exists()
    made = start("classify", tmp_path / "a", data, said=Said(target="gone", ignore=("zip",)))
    assert "zip: ignored (asked for)" in made.notes
    assert load_loop(tmp_path / "a").label.name == "gone"
    with pytest.raises(DataError, match="'gon'"):
        start("classify", tmp_path / "b", data, said=Said(target="gon"))
    with pytest.raises(ArgumentError, match="--target"):
        start("classify", tmp_path / "b", said=Said(target="gone"))


def test_what_a_person_says_reaches_the_import(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    """A time, a unit and how a date is written are in the printed command and in the README; the golden
    items are kept out of what it imports."""
    n = 200
    table(tmp_path / "a.csv", {
        "who": [f"u{i % 40}" for i in range(n)], "began": [f"{1 + i % 12:02d}/0{1 + i // 60}/2025" for i in range(n)],
        "size": [i * 7 % 199 for i in range(n)], "kind": ["a", "b", "b", "c"] * (n // 4), "y": ["yes", "no"] * (n // 2),
    })  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRUEUP_HOME", raising=False)

    def run(*args: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*args])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    code, said = run("init", "classify", "x", "--data", "a.csv")
    assert code == 2
    assert "--map day-first=began or --map month-first=began" in said
    code, said = run("init", "classify", "x", "--data", "a.csv", "--time", "began", "--unit", "who", "--map", "month-first=began")
    assert code == 0, said
    command = next(line for line in said.splitlines() if "trueup import" in line).split()
    assert command[3:] == ["--map", "ts=began", "--map", "unit=who", "--map", "month-first=began"]
    assert " ".join(command[3:]) in (tmp_path / "x/README.md").read_text()
    monkeypatch.chdir(tmp_path / "x")
    code, said = run("import", *command[2:], "--yes")
    assert (code, "200 new outcomes" in said) == (0, True)
    assert "month-first           began" in said
    code, said = run("run", "--train")
    assert "golden" not in said.lower() or code == 0
    code, said = run("check")
    assert code == 0


def test_with_imbalance_the_commonest_answer_does_not_pass(tmp_path: Path) -> None:
    data = churn(tmp_path / "a.csv", yes=0.09)
    made = start("classify", tmp_path / "a", data)
    loop = load_loop(tmp_path / "a")
    assert any('always "0", the commonest answer, is right 9' in note for note in made.notes)
    floor = loop.gates[0]
    assert isinstance(floor, AtLeast)
    assert isinstance(floor.measure, F1Macro)
    items = loop.golden()[0].load()
    usual = floor.judge(lambda inputs: [Prediction("0")] * len(inputs), None, items, seed=0)
    assert not usual.passed
    balanced = start("classify", tmp_path / "b", churn(tmp_path / "b.csv", yes=0.5))
    assert balanced
    gate = load_loop(tmp_path / "b").gates[0]
    items = load_loop(tmp_path / "b").golden()[0].load()
    for answer in ("0", "1"):
        assert not gate.judge(lambda inputs, answer=answer: [Prediction(answer)] * len(inputs), None, items, seed=0).passed


def test_one_column_of_numbers_is_enough(tmp_path: Path) -> None:
    data = table(tmp_path / "a.csv", {"price": [n % 50 + n / 1000 for n in range(300)], "label": ["ab"[n % 50 > 25] for n in range(300)]})
    start("classify", tmp_path / "a", data)
    loop = load_loop(tmp_path / "a")
    assert loop.trainer.features == Features(numeric=("price",))  # type: ignore[attr-defined]
    assert json.loads((tmp_path / "a/golden/core.jsonl").read_text().splitlines()[0])["input"].keys() == {"price"}


def test_the_report_has_the_line_to_beat() -> None:
    """EVL: always the commonest answer stands beside the candidate, and nothing learned is said in plain words."""
    from trueup.data.golden import golden_items

    raw = [{"id": str(n), "input": n, "target": "yes" if n < 2 else "no"} for n in range(20)]
    items = golden_items("core", raw, (), "x")
    targets = ['"no"'] * 18 + ['"yes"'] * 2
    given = {"scorers": [Accuracy()], "metrics": [F1Macro()], "seed": 0}

    def words(answer: Any) -> str:
        found = [evaluate(answer, None, items, **given)]  # type: ignore[arg-type]
        section = beside(found, [items], targets, "label", **given)  # type: ignore[arg-type]
        assert section is not None
        return str(section.parts[0])

    assert words(lambda inputs: [Prediction("no")] * len(inputs)).startswith("Nothing was learned: by no measure is the candidate better than always \"no\"")
    assert "better than always \"no\", the commonest answer by every measure" in words(lambda inputs: [Prediction("yes" if n < 2 else "no") for n in inputs])
    assert "no better than" in words(lambda inputs: [Prediction("yes" if n in (0, 7) else "no") for n in inputs])
    assert beside([], [], [], "label", **given) is None  # type: ignore[arg-type]
