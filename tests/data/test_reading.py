# SPDX-License-Identifier: Apache-2.0
"""ING-01, ING-10: every physical line of a file is a row, a part of one, or set aside with its reason."""

from __future__ import annotations

import gzip
import json
import uuid
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core.errors import DataError
from trueup.data import _parquet, _rows
from trueup.data._readers import how_read, rows_of
from trueup.data.columns import columns_of, sample


def read(path: Path, content: str | bytes) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = list(rows_of(path))
    return [row.data for row in rows if not row.fault], [(row.line, row.fault) for row in rows if row.fault]


HEAD = "text,label,user_id\n"


def test_a_stray_quote_costs_its_line_only(tmp_path: Path) -> None:
    """Two stray quotes are one legal field of CSV; the rows between them are told by their values."""
    lines = [f"film {n} abc,{'ab'[n % 2]},u{n}" for n in range(60)]
    for strays, faults in (((20, 45), (22, 47)), ((20,), (22,)), ((0, 1), (2, 3)), ((59,), (61,))):
        torn = [f'"{line}' if n in strays else line for n, line in enumerate(lines)]
        rows, aside = read(tmp_path / "a.csv", HEAD + "\n".join(torn) + "\n")
        assert [line for line, _ in aside] == [*faults], strays
        assert len(rows) + len(aside) == 60
        assert all("quote" in fault for _, fault in aside)


def test_a_quote_that_closes_below_swallows_no_rows_with_numbers(tmp_path: Path) -> None:
    lines = [f"{n / 7:.3f},{n * n}" for n in range(30)]
    torn = [f'"{line}' if n == 5 else line.replace(",", '",') if n == 9 else line for n, line in enumerate(lines)]
    rows, aside = read(tmp_path / "a.csv", "x,y\n" + "\n".join(torn) + "\n")
    assert len(rows) + len(aside) == 30
    assert aside[0][0] == 7


def test_fields_over_several_lines_are_kept(tmp_path: Path) -> None:
    text = HEAD + '"one, quoted\nline",a,u1\n"a ""b""\n\nc",b,u2\nplain,a,u3\n"Hello, world\nagain",b,u4\n'
    rows, aside = read(tmp_path / "a.csv", text)
    assert not aside
    assert [row["text"] for row in rows] == ["one, quoted\nline", 'a "b"\n\nc', "plain", "Hello, world\nagain"]


@pytest.mark.parametrize(("line", "fields", "words"), [
    (r'"He said \"hi\", twice",a,u1', 'He said "hi", twice', ""),
    (r'"a path C:\",a,u1', "a path C:\\", ""),
    ('a 5" disk,a,u1', 'a 5" disk', ""),
    ("one,a,u1,", "one", ""),
    ("one,a,u1,,", "one", ""),
    ('"one" two,a,u1', None, "text after a closing quote"),
    ("one,a,u1,more", None, "4 fields, the header has 3"),
    ("one,a", None, "2 fields, the header has 3"),
    ("# a remark", None, "1 fields, the header has 3"),
])
def test_a_line_of_its_own_kind(tmp_path: Path, line: str, fields: str | None, words: str) -> None:
    rows, aside = read(tmp_path / "a.csv", f"{HEAD}zero,a,u0\n{line}\nlast,b,u9\n")
    assert rows[0]["text"] == "zero"
    assert rows[-1]["text"] == "last"
    if fields is not None:
        assert (rows[1]["text"], aside) == (fields, [])
    else:
        assert (aside[0][0], len(rows)) == (3, 2)
        assert words in aside[0][1]


@given(st.lists(st.tuples(*[st.text(alphabet='ab",;\n\\ ', max_size=6)] * 3), min_size=1, max_size=12))
def test_what_python_writes_is_read_or_set_aside(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    """Whatever a writer quotes: rows that are read are right, and each line of the others is named."""
    import csv

    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["x1", "x2", "x3"])
        writer.writerows(rows)
    found = list(rows_of(path))
    if not any(row.fault for row in found):
        assert [tuple(one or "" for one in row.data.values()) for row in found] == rows
    else:
        lines = path.read_text(encoding="utf-8").split("\n")
        assert all(1 < row.line <= len(lines) for row in found)


@pytest.mark.parametrize(("content", "rows", "note"), [
    (b"sep=;\r\ntext;label\r\na;b\r\n", [{"text": "a", "label": "b"}], "separator ';'"),
    (b",text,label\n0,a,b\n", [{"text": "a", "label": "b"}], "index"),
    (b"# exported 2026\n# by hand\ntext,label\na,b\n", [{"text": "a", "label": "b"}], "comments"),
    (b"\n\ntext,label\na,b\n", [{"text": "a", "label": "b"}], ""),
    (b"#id,label\n1,b\n", [{"#id": "1", "label": "b"}], ""),
    ("\ufefftext,label\nä,b\n".encode(), [{"text": "ä", "label": "b"}], ""),
    ("text\tlabel\nä\tb\n".encode("utf-16"), [{"text": "ä", "label": "b"}], "utf-16"),
    ("text,label\na,b\n".encode("utf-16-le"), [{"text": "a", "label": "b"}], "utf-16-le"),
    ("text;größe\nschön;3\n".encode("latin-1"), [{"text": "schön", "größe": "3"}], "cp1252"),
    (b"text,,label\na,7,b\n", [{"text": "a", "column 2": "7", "label": "b"}], ""),
    (b"text,label,\na,b,\n", [{"text": "a", "label": "b"}], ""),
    (b"text,label\r a,b\r\n", [{"text": " a", "label": "b"}], ""),
])
def test_a_file_as_other_programs_write_it(tmp_path: Path, content: bytes, rows: list[Any], note: str) -> None:
    """ING-01: what was skipped or guessed is said."""
    assert read(tmp_path / "a.csv", content) == (rows, [])
    told = " ".join(how_read(tmp_path / "a.csv"))
    assert note in told if note else not told


def test_one_row_in_another_encoding_is_set_aside_by_itself(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "a.csv", "text,label\nschön,a\n".encode() + "groß,b\n".encode("latin-1"))
    assert rows[0]["text"] == "schön"
    assert rows[1]["text"] == "gro\udcdf"  # no Unicode: an import sets it aside


@pytest.mark.parametrize("content", [
    b'[{"text": "one", "n": 1},\n {"text": "two", "n": 2}\n]\n', b'{\n "text": "one",\n "n": 1\n}\n{"text": "two",\n"n": 2}',
    b'[{"text":"one","n":1},{"text":"two","n":2}]', '{"text": "one", "n": 1}\n{"text": "two", "n": 2}\n'.encode("utf-16"),
    b'\xef\xbb\xbf{"text": "one", "n": 1}\n\n{"text": "two", "n": 2}',
])
def test_json_in_any_shape(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path / "a.json", content) == ([{"text": "one", "n": 1}, {"text": "two", "n": 2}], [])


def test_json_that_breaks_off_says_where(tmp_path: Path) -> None:
    rows, aside = read(tmp_path / "a.json", b'[{"n": 1},\n{"n": 2},\n3,\n{"n": oops}]')
    assert (rows, [line for line, _ in aside]) == ([{"n": 1}, {"n": 2}], [3, 4])
    assert "nothing after it can be read" in aside[1][1]
    rows, aside = read(tmp_path / "a.json", b'[{"n": 1},\n{"n": 2}')
    assert (len(rows), aside[0][0]) == (2, 2)
    assert "not closed" in aside[0][1]
    large = [{"n": n, "t": "x" * 50_000} for n in range(100)]
    rows, aside = read(tmp_path / "a.json", json.dumps(large, indent=1))
    assert (rows, aside) == (large, [])


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.csv", HEAD + "one,a\ntwo,b\n", "line 2: 2 fields, the header has 3"),
    ("a.csv", "a,b,a\n1,2,3\n", "'a' more than once in line 1"),
    ("a.jsonl", "nonsense\n", "line 1: not JSON"),
])
def test_a_refusal_names_the_first_fault_and_the_cure(tmp_path: Path, name: str, content: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        sample(path)
    assert words in caught.value.message
    assert caught.value.cure


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_of_any_type(tmp_path: Path) -> None:
    """ING-10: what JSON can hold is read; bytes stay what they are until somebody asks for them."""
    moment = datetime(2026, 3, 14, 15, 9, 26, 123456, tzinfo=UTC)
    path = parquet(
        tmp_path / "a.parquet", ns=pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns")),
        far=pa.array([32_503_680_000_000, 1_700_000_000], pa.timestamp("s")),
        us=pa.array([moment, None], pa.timestamp("us", "UTC")), t=pa.array([time(1, 2), None]),
        d=pa.array([timedelta(hours=1), None], pa.duration("ns")), u=pa.array([uuid.UUID(int=1).bytes, None], pa.uuid()),
        b=pa.array([b"\x89PNG", None]), k=pa.array(["a", None]).dictionary_encode(), n=pa.array([1.0, None]),
    )  # fmt: skip
    first, second = (row.data for row in rows_of(path))
    assert (first["ns"].year, first["ns"].microsecond, first["us"]) == (2023, 123456, moment)
    assert first["far"] == "32503680000000000 ms since 1970"
    assert second["far"].year == 2023
    assert [_parquet.plain(first[name]) for name in ("t", "d", "u", "k", "n")] == ["01:02:00", 3600.0, str(uuid.UUID(int=1)), "a", 1.0]
    assert {name for name, one in second.items() if one is not None} == {"far"}
    assert {column.name: column.type for column in columns_of(path)}["b"] == "bytes"
    assert [*next(iter(rows_of(path, None, ["n", "k"]))).data] == ["k", "n"]


def test_duplicate_names_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="'a' more than once"):
        list(rows_of(tmp_path / "a.parquet"))


def test_a_bomb_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to far more than its size is refused, whatever its rows."""
    monkeypatch.setattr(_rows, "LARGEST", 2**22)
    monkeypatch.setattr(_rows, "RATIO", 10)
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), pa.array(["z" * 2**20]))
    path = parquet(tmp_path / "a.parquet", text=long)
    with pytest.raises(DataError, match=r"4 MiB of rows in a\.parquet"):
        list(rows_of(path))
    zipped = tmp_path / "a.jsonl.gz"
    zipped.write_bytes(gzip.compress(json.dumps({"t": "z" * 10**7}).encode() + b"\n" + b'{"t": 1}\n' * 200))
    with pytest.raises(DataError, match=r"rows in a\.jsonl\.gz"):
        list(rows_of(zipped))
