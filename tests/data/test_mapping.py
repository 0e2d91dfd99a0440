# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core.errors import ArgumentError, DataError, NotFound
from trueup.core.task import Outcome, Task
from trueup.core.values import from_json, to_json
from trueup.data import Mapping, profile, propose_mapping
from trueup.data.mapping import check_columns

GENRES = ["Dramas, Comedies", "Comedies", "Dramas, War", "War, Comedies", "Dramas"]


def films(path: Path, n: int = 60) -> Path:
    table = pa.table(
        {
            "show_id": [f"s{k}" for k in range(n)],
            "title": [f"A Film, number {k}" for k in range(n)],
            "date_added": [datetime(2020, 1 + k % 12, 1) for k in range(n)],
            "listed_in": [GENRES[k % 5] for k in range(n)],
            "description": [f"In this film, {k} people meet, and part" for k in range(n)],
        }
    )
    pq.write_table(table, path)
    return path


def test_a_mapping_is_proposed_from_columns_and_task(tmp_path: Path) -> None:
    """ING-05."""
    path = films(tmp_path / "films.parquet")
    task = Task(input="film", output="listed_in", unit="show_id", answers="labels")
    found = propose_mapping(path, task, [Outcome.of_input("genres")])
    assert found == Mapping(
        input=("title", "description"), unit="show_id", ts="date_added", outcomes={"genres": "listed_in"}, split=","
    )
    assert any("genres" in line and "split" in line for line in found.lines())
    assert from_json(to_json(found)) == found


def test_interactions_and_feedback_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(
        '{"request_id": "a", "article": "t", "summary": "s", "user_id": "u", "timestamp": 1700000000, "thumbs_up": true}\n'
        '{"request_id": "b", "article": "t", "summary": "s", "user_id": "u", "timestamp": 1700000000, "thumbs_up": false}\n'
    )
    task = Task(input="article", output="summary", unit="user_id", answers="text")
    assert propose_mapping(path, task, [Outcome.boolean("thumbs_up")]) == Mapping(
        input="article", output="summary", unit="user_id", ts="timestamp", key="request_id",
        outcomes={"thumbs_up": "thumbs_up"},
    )  # fmt: skip


def test_csv_numbers_are_noticed_and_a_label_has_a_usual_name(tmp_path: Path) -> None:
    path = tmp_path / "market.csv"
    path.write_text("price;load;Class\n0.5;1\n1.5;2;UP\n-2;3;DOWN\n")
    task = Task(input="row", output="movement", unit="period")
    found = propose_mapping(path, task, [Outcome.of_input("truth")])
    assert found == Mapping(
        input=("price", "load"), outcomes={"truth": "Class"}, numbers=("price", "load")
    )
    looked = profile(path)
    assert (looked.label, looked.answers, looked.classes) == ("Class", "label", ("UP", "DOWN"))


def test_a_profile_of_several_labels_in_one_text(tmp_path: Path) -> None:
    looked = profile(films(tmp_path / "films.parquet"))
    assert (looked.label, looked.answers, looked.split) == ("listed_in", "labels", ",")
    assert set(looked.classes) == {"Dramas", "Comedies", "War"}
    assert looked.time == "date_added"


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'titel'") as caught:
        check_columns(Mapping(input="titel"), ["title", "text"], "x.csv")
    assert "did you mean 'title'" in str(caught.value)
    with pytest.raises(ArgumentError):
        Mapping(input=())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        profile(tmp_path / "none.csv")
    for name, content, words in [
        ("a.xlsx", b"PK", "JSON lines, CSV or Parquet"),
        ("b.csv", b"a,a\n1,2\n", "different column names"),
        ("c.csv", b'"a,b\n', "different column names"),
        ("d.jsonl", b"", "got none"),
        ("e.parquet", b"PAR1 nonsense", "to read the Parquet file"),
        ("f.csv.gz", b"no gzip", "to its end"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            profile(path)
