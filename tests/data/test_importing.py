# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core.errors import DataError
from trueup.core.task import Outcome, Task
from trueup.data import (
    Mapping,
    Recipe,
    build,
    file_digest,
    import_file,
    propose_mapping,
    read_events,
)
from trueup.store import Ledger

TASK = Task(input="text", output="label", unit="user")
GENRE = Outcome.of_input("genre")
NOW_US = 1_780_272_000_000_000
MAPPING = Mapping(input="text", unit="user", ts="when", outcomes={"genre": "label"})
TIME = "2026-05-20T12:00:00Z"


def line(**fields: object) -> str:
    return json.dumps({"text": "a film", "user": "u", "when": TIME, "label": "drama", **fields})


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_importing_twice_adds_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """ING-01, ING-02."""
    path = write(tmp_path / "a.jsonl", *(line(text=f"film {n}") for n in range(20)), line(text="x", label=None))
    told: list[tuple[int, int]] = []
    done = import_file(
        ledger, path, "films", MAPPING, task=TASK, outcomes=[GENRE], batch=7,
        progress=lambda at, of: told.append((at, of)),
    )  # fmt: skip
    assert (done.rows, done.new, done.labels, done.quarantined) == (21, 21, 20, 0)
    assert done.digest == file_digest(path)
    assert told[-1] == (path.stat().st_size, path.stat().st_size)
    cut = ledger.cut()
    again = import_file(ledger, path, "films", MAPPING, task=TASK, outcomes=[GENRE])
    assert (again.rows, again.new, again.labels) == (21, 0, 0)
    assert ledger.count("films", "interaction") == 21
    assert ledger.count("films", "outcome") == 20
    assert ledger.count("films", "signal") == 1
    assert ledger.cut() == cut
    copy = write(tmp_path / "b.jsonl", line(text="film 3"), line(text="new"))  # another file, a row again
    assert import_file(ledger, copy, "films", MAPPING, task=TASK, outcomes=[GENRE]).new == 1


def test_a_corrected_label_is_a_correction(ledger: Ledger, tmp_path: Path) -> None:
    keyed = Mapping(input="text", unit="user", ts="when", key="id", known="known", outcomes={"genre": "label"})
    rows = [line(id=n, text="same", known=TIME) for n in range(3)]
    import_file(ledger, write(tmp_path / "a.jsonl", *rows), "films", keyed, task=TASK, outcomes=[GENRE])
    later = line(id=1, text="same", label="comedy", known="2026-05-21")
    done = import_file(ledger, write(tmp_path / "b.jsonl", later), "films", keyed, task=TASK, outcomes=[GENRE])
    assert (done.new, done.labels) == (0, 1)
    built = build(Recipe(min_rows=1), ledger, loop="films", target="genre", cut=ledger.cut(), now_us=NOW_US)
    assert built.snapshot is not None
    assert sorted(built.snapshot.rows()["target"].to_pylist()) == ['"comedy"', '"drama"', '"drama"']
    assert [source["file"] for source in built.snapshot.manifest["sources"]] == ["a.jsonl", "b.jsonl"]


def test_rows_that_do_not_fit_are_set_aside_with_their_lines(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    lines = [
        line(), "{oops", "[1, 2]", line(text=None), line(text=""), '{"text": "x", "user": "u", "label": "a"}',
        line(when="soon"), line(text="n", label="y").replace('"y"', "NaN"), line(text="\ud800"), line(user=None),
    ]  # fmt: skip
    path.write_bytes("\n".join(lines).encode() + b"\n" + b'{"text": "\xff"}\n')
    done = import_file(ledger, path, "films", MAPPING, task=TASK, outcomes=[GENRE])
    assert (done.rows, done.quarantined) == (1, 10)
    assert done.quarantine == ledger.home / "quarantine" / f"{done.digest}.jsonl"
    told = [json.loads(text) for text in done.quarantine.read_text().splitlines()]
    assert [item["line"] for item in told] == list(range(2, 12))
    reasons = [item["reason"] for item in told]
    assert reasons[0].startswith("not JSON")
    assert reasons[1:4] == ["not an object but list", "text is missing", "text is empty"]
    assert reasons[4] == "no column when"
    assert reasons[5].startswith("expected a time")
    assert "NaN" in reasons[6]
    assert reasons[7] == "not Unicode text"
    assert reasons[8:] == ["user is missing", "not UTF-8"]
    assert told[0]["row"] == "{oops"
    assert os.listdir(done.quarantine.parent) == [done.quarantine.name]


def test_nothing_fits(ledger: Ledger, tmp_path: Path) -> None:
    path = write(tmp_path / "bad.jsonl", line(when="soon"), line(when="later"))
    with pytest.raises(DataError, match="all 2 were set aside; the first: line 1: expected a time"):
        import_file(ledger, path, "films", MAPPING, task=TASK, outcomes=[GENRE])
    assert ledger.count("films", "signal") == 0
    with pytest.raises(DataError, match="column 'text' in"):
        import_file(ledger, write(tmp_path / "c.csv", "txt", "x"), "films", MAPPING, task=TASK, outcomes=[GENRE])
    odd = Mapping(input="text", outcomes={"genra": "label"})
    with pytest.raises(DataError, match="genra"):
        import_file(ledger, path, "films", odd, task=TASK, outcomes=[GENRE])


def test_hostile_values_are_set_aside(ledger: Ledger, tmp_path: Path) -> None:
    deep = "[" * 100_000
    lines = [
        line(), line(label="\ud800"), line(text="b", label=10**400), line(text="c", when=10**30),
        f'{{"text": {deep}', line(text="d", when="9" * 5_000), line(text=9).replace("9", "9" * 5_000),
    ]  # fmt: skip
    path = write(tmp_path / "a.jsonl", *lines)
    done = import_file(ledger, path, "films", MAPPING, task=TASK, outcomes=[GENRE])
    assert (done.rows, done.labels, done.quarantined) == (1, 1, 6)
    read = read_events(path, "films", MAPPING, task=TASK, outcomes=[GENRE], now_us=NOW_US)
    assert len(list(read)) == 1


def test_csv_with_its_own_troubles(ledger: Ledger, tmp_path: Path) -> None:
    """ING-05: clean rows out of files as they are."""
    path = tmp_path / "a.csv.gz"
    text = (
        "\ufefftext,price,user,when,label,paid\n"
        '"one, quoted\nline",1.5,u1,2026-05-20,drama,yes\n'
        "two,x,u1,2026-05-20,drama,yes\n"
        "three,2,u1,2026-05-20,drama,perhaps\n"
        "four,2,u1\n"
        "\n"
        "five,,u2,1779278400,,no\n"
    )
    path.write_bytes(gzip.compress(text.encode()))
    mapping = Mapping(
        input=("text", "price"), unit="user", ts="when", numbers=("price",), outcomes={"genre": "label", "paid": "paid"}
    )
    outcomes = [GENRE, Outcome.boolean("paid")]
    done = import_file(ledger, path, "films", mapping, task=TASK, outcomes=outcomes)
    assert (done.rows, done.new, done.labels, done.quarantined) == (2, 2, 3, 3)
    assert done.quarantine is not None
    told = [json.loads(text) for text in done.quarantine.read_text().splitlines()]
    assert [(item["line"], item["reason"]) for item in told] == [
        (4, "price is 'x', not a number"),
        (5, "paid is 'perhaps', not yes or no"),
        (6, "3 fields, the header has 6"),
    ]
    inputs = ledger.scan("films", "interaction", columns=["input"])["input"].to_pylist()
    assert inputs == ['{"price":1.5,"text":"one, quoted\\nline"}', '{"price":null,"text":"five"}']


def test_parquet_with_several_labels(ledger: Ledger, tmp_path: Path) -> None:
    table = pa.table(
        {
            "title": [f"Film {n}" for n in range(40)],
            "date_added": [datetime(2026, 5, 1 + n % 28, tzinfo=UTC) for n in range(40)],
            "listed_in": [["Dramas, War", "War, Dramas", "Comedies"][n % 3] for n in range(40)],
            "score": [0.5] * 39 + [float("nan")],
        }
    )
    path = tmp_path / "films.parquet"
    pq.write_table(table, path)
    task = Task(input="film", output="listed_in", unit="viewer", answers="labels")
    outcomes = [Outcome.of_input("genres"), Outcome.number("score", low=0, high=1)]
    mapping = propose_mapping(path, task, outcomes)
    assert mapping.input == "title"
    done = import_file(ledger, path, "films", task=task, outcomes=outcomes)
    assert (done.rows, done.quarantined) == (39, 1)
    built = build(Recipe(min_rows=1), ledger, loop="films", target="genres", cut=ledger.cut(), now_us=NOW_US)
    assert built.snapshot is not None
    assert set(built.snapshot.rows()["target"].to_pylist()) == {'["Dramas","War"]', '["Comedies"]'}
    units = ledger.scan("films", "interaction", columns=["unit", "id"])
    assert units["unit"].to_pylist() == units["id"].to_pylist()


def test_a_file_that_vanishes_midway_leaves_no_half_quarantine(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "torn.csv.gz"
    whole = gzip.compress(("text,user,when,label\n" + f"x,u,{TIME},drama\n" * 5 + "bad\n" + "y" * 9_000).encode(), 0)
    path.write_bytes(whole[:-2_000])
    with pytest.raises(DataError, match="to its end"):
        import_file(ledger, path, "films", MAPPING, task=TASK, outcomes=[GENRE])
    folder = ledger.home / "quarantine"
    assert not folder.exists() or os.listdir(folder) == []
