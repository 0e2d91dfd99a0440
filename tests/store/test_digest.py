# SPDX-License-Identifier: Apache-2.0
"""One digest for what a table says, however it is chunked, buffered, encoded or written (VER-01)."""

from __future__ import annotations

import io
import itertools
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core.errors import ArgumentError
from trueup.store import LogicalDigest, logical_digest

ROWS = st.lists(
    st.fixed_dictionaries({
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats(allow_nan=False),
        "s": st.none() | st.text(st.characters(codec="utf-8"), max_size=8),
        "b": st.none() | st.booleans(),
        "l": st.none() | st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=3), max_size=3),
        "d": st.none() | st.fixed_dictionaries({"i": st.none() | st.integers(-9, 9), "t": st.none() | st.text("ab", max_size=2)}),
    }),
    max_size=40,
)  # fmt: skip
SCHEMA = pa.schema([
    ("n", pa.int64()), ("x", pa.float64()), ("s", pa.string()), ("b", pa.bool_()), ("l", pa.list_(pa.string())),
    ("d", pa.struct([("i", pa.int8()), ("t", pa.string())])),
])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(ROWS, st.lists(st.integers(0, 40), max_size=4), st.integers(0, 5))
def test_chunks_offsets_and_parquet_do_not_matter(rows: list[dict[str, Any]], cuts: list[int], lead: int) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    digest = logical_digest(table)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = [table.slice(start, end - start) for start, end in itertools.pairwise(edges)]
    assert logical_digest(pa.concat_tables(pieces)) == digest
    padded = pa.concat_tables([table.slice(0, lead), table]).combine_chunks()
    assert logical_digest(padded.slice(min(lead, len(rows)))) == digest
    assert logical_digest(table.to_reader(max_chunksize=3)) == digest
    for options in ({"compression": "zstd", "row_group_size": 7}, {"use_dictionary": False, "compression": "none"}):
        file = io.BytesIO()
        pq.write_table(table, file, **options)
        assert logical_digest(pq.read_table(file)) == digest


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS)
def test_other_rows_have_another_digest(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> None:
    same = [repr(row) for row in one] == [repr(row) for row in two]  # repr tells -0.0 from 0.0
    digests = [logical_digest(pa.Table.from_pylist(rows, SCHEMA)) for rows in (one, two)]
    assert (digests[0] == digests[1]) == same


def test_encodings_do_not_matter_but_names_types_and_order_do() -> None:
    words = pa.array(["a", None, "b", "a", ""])
    plain = logical_digest(pa.table({"w": words}))
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        assert logical_digest(pa.table({"w": words.cast(kind)})) == plain, kind
    others = [
        pa.table({"v": words}), pa.table({"w": words.cast(pa.binary())}), pa.table({"w": words, "v": words}),
        pa.table({"v": words, "w": words}), pa.table({"w": pa.array(["a", "", "b", "a", ""])}),
        pa.table({"w": pa.array(["a", None, "ba", "", ""])}),
    ]  # fmt: skip
    digests = [plain, *map(logical_digest, others)]
    assert len(set(digests)) == len(digests)


def test_bytes_under_a_null_do_not_matter() -> None:
    valid = pa.py_buffer(bytes([0b101]))
    offsets = pa.array([0, 1, 3, 4], pa.int32()).buffers()[1]
    dirty = pa.Array.from_buffers(pa.string(), 3, [valid, offsets, pa.py_buffer(b"axyb")])
    assert logical_digest(pa.table({"s": dirty})) == logical_digest(pa.table({"s": ["a", None, "b"]}))
    numbers = pa.Array.from_buffers(pa.int64(), 3, [valid, pa.array([1, 99, 2]).buffers()[1]])
    assert logical_digest(pa.table({"n": numbers})) == logical_digest(pa.table({"n": [1, None, 2]}))


def test_more_types_and_streams() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    table = pa.table({
        "when": pa.array([moment, None], pa.timestamp("us", "UTC")), "day": pa.array([date(2026, 3, 1), None]),
        "money": pa.array([Decimal("1.50"), None]), "small": pa.array([1, None], pa.uint8()),
        "half": pa.array([1.5, None], pa.float32()), "none": pa.nulls(2), "vector": pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
    })  # fmt: skip
    whole = LogicalDigest(table.schema)
    for at in range(2):
        for batch in table.slice(at, 1).to_batches():
            whole.update(batch)
    assert whole.hexdigest() == logical_digest(table)
    with pytest.raises(ArgumentError, match="expected the columns"):
        whole.update(pa.record_batch({"x": [1]}))
    with pytest.raises(ArgumentError, match="maps"):
        logical_digest(pa.table({"m": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))}))


def test_the_digest_is_the_same_tomorrow() -> None:
    """Snapshots of old are found by it: a change here is a new VERSION."""
    table = pa.table({"n": pa.array([1, None, 3]), "s": pa.array(["a", "", None]), "b": pa.array([True, None, False])})
    assert logical_digest(table) == "f7ac99ad1392b62194fae46126ec86a073d166b4777b8616e93da2c778eb6266"
