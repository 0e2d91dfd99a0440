# SPDX-License-Identifier: Apache-2.0
"""Rows of a Parquet file: any type of column, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trueup.core.errors import DataError
from trueup.data._rows import LONGEST, Row, Unpacked

_ROWS, _BYTES = 5_000, 64 * 2**20  # of a batch, at most
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # the years 1 to 9999, in seconds since 1970


class Unreadable:
    """A value that JSON cannot hold; whoever needs it says so with the column's name."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __repr__(self) -> str:
        return self.what


def rows(path: Path, told: Callable[[int, int], None] | None, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """The rows, of all columns or of those named; raises DataError for a file that is none."""
    try:
        with pq.ParquetFile(path, read_dictionary=_dictionaries(path)) as file:
            names = file.schema_arrow.names
            if twice := [name for name, times in Counter(names).items() if times > 1]:
                raise DataError(
                    f"expected different column names in {path.name}, got {', '.join(map(repr, twice))} more than once",
                    cure="give each column a name of its own",
                )
            wanted = None if columns is None else [name for name in names if name in columns]
            unpacked, total, line = Unpacked(path.name, path.stat().st_size), file.metadata.num_rows, 0
            for batch in file.iter_batches(batch_size=_batch_size(file.metadata), columns=wanted):
                if told is not None:
                    told(line, total)
                lengths = _lengths(batch)
                unpacked.check(unpacked.bytes + sum(lengths))
                parts = [_plain_list(column) for column in batch.columns]
                for at, length in enumerate(lengths):
                    line += 1
                    if length > LONGEST:
                        yield Row(line, {}, f"longer than {LONGEST:,} bytes")
                    else:
                        yield Row(line, {name: part[at] for name, part in zip(batch.schema.names, parts, strict=True)})
            if told is not None:
                told(total, total)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"expected to read the Parquet file {path}: {error}") from None


def _dictionaries(path: Path) -> list[str]:
    """Top-level texts that are stored as a dictionary: they are read as one, whatever their number."""
    with pq.ParquetFile(path) as file:
        texts = {field.name for field in file.schema_arrow if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)}
        if not file.metadata.num_row_groups:
            return []
        group = file.metadata.row_group(0)
        parts = [group.column(at) for at in range(group.num_columns)]
        return [part.path_in_schema for part in parts if part.path_in_schema in texts and part.has_dictionary_page]


def _batch_size(metadata: pq.FileMetaData) -> int:
    """Rows of a batch: fewer where the file says that they are large."""
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    largest = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1.0)
    return max(1, min(_ROWS, int(_BYTES / max(1.0, largest))))


def _lengths(batch: pa.RecordBatch) -> list[int]:
    """Bytes of the texts of each row; numbers count as 8."""
    total = pa.array([8 * batch.num_columns] * batch.num_rows, pa.int64())
    for column in batch.columns:
        values = column.dictionary if isinstance(column, pa.DictionaryArray) else column
        if any(test(values.type) for test in _LONG):
            length = pc.binary_length(values).cast(pa.int64())
            if isinstance(column, pa.DictionaryArray):
                length = length.take(column.indices)
            total = pc.add(total, pc.fill_null(length, 0))
    return list(total.to_pylist())


_LONG = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)


def _plain_list(column: pa.Array) -> list[Any]:
    """The values as Python has them; a dictionary's texts are made once."""
    if isinstance(column, pa.DictionaryArray):
        known = _plain_list(column.dictionary)
        return [None if at is None else known[at] for at in column.indices.to_pylist()]
    if pa.types.is_timestamp(column.type):
        return _moments(column)
    if pa.types.is_duration(column.type):
        per = _PER_SECOND[column.type.unit]
        return [None if n is None else n / per for n in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_time64(column.type):
        column = column.cast(pa.time64("us"), safe=False)
    try:
        return list(column.to_pylist())
    except (pa.ArrowException, ValueError, OverflowError, ImportError):
        return [None if one is None else Unreadable(f"a value of the type {column.type}") for one in column.is_valid().to_pylist()]


def _moments(column: pa.Array) -> list[Any]:
    """Datetimes of microseconds; a time beyond the years 1 to 9999 as a text that says what it is."""
    unit, zone = column.type.unit, column.type.tz
    numbers = column.cast(pa.int64())
    per = _PER_SECOND[unit]
    inside = pc.and_(pc.greater_equal(numbers, _FIRST * per), pc.less_equal(numbers, _LAST * per)) if unit != "ns" else pc.is_valid(numbers)
    kept = pc.if_else(inside, numbers, None)
    kept = pc.divide(kept, 1_000) if unit == "ns" else pc.multiply(kept, 10**6 // per)
    try:
        found = kept.cast(pa.timestamp("us", zone)).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):  # a zone that this machine does not know
        found = kept.cast(pa.timestamp("us", "UTC")).to_pylist()
    given = numbers.to_pylist()
    return [one if one is not None or n is None else f"{n} {unit} since 1970" for one, n in zip(found, given, strict=True)]


def plain(data: Any) -> Any:
    """A value out of a Parquet file as JSON has it; raises DataError for bytes and the like."""
    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, datetime | date | time):
        return data.isoformat()
    if isinstance(data, Decimal):
        return float(data)
    if isinstance(data, UUID):
        return str(data)
    if isinstance(data, timedelta):
        return data.total_seconds()
    if isinstance(data, list | tuple):
        return [plain(item) for item in data]
    if isinstance(data, dict):
        return {str(key): plain(item) for key, item in data.items()}
    what = data.what if isinstance(data, Unreadable) else type(data).__name__
    raise DataError(f"expected a value that JSON can hold, got {what}")
