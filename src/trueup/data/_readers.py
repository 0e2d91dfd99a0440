# SPDX-License-Identifier: Apache-2.0
"""Rows of JSON lines, CSV and Parquet files, one after another, in bounded memory."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from trueup.core.errors import DataError, NotFound
from trueup.core.json import loads

Format = Literal["jsonl", "csv", "parquet"]
LONGEST = 16 * 1024 * 1024  # bytes of a line
RAW = 1_000  # characters of a row that are kept where it is quarantined
_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip


class Row(NamedTuple):
    """One row: its line (from 1; a Parquet file's row), and its data, or what is wrong with it."""

    line: int
    data: dict[str, Any]
    fault: str = ""
    raw: str = ""


def format_of(path: Path) -> Format:
    """The format, by the file's name and first bytes; raises NotFound or DataError."""
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PAR1":
                return "parquet"
    except OSError as error:
        raise NotFound(f"expected a readable file at {path}: {error.strerror}") from None
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    found = _SUFFIXES.get(suffix.lower())
    if found is None or found == "parquet":
        raise DataError(
            f"expected a file of JSON lines, CSV or Parquet, got {path.name}",
            cure="name it .jsonl, .csv or .parquet (.gz may follow the first two)",
        )
    return found


def rows_of(path: Path, told: Callable[[int, int], None] | None = None) -> Generator[Row, None, None]:
    """All rows; close the generator where it is left before its end. `told` is called now and then with what is done, out of what there is."""
    kind = format_of(path)
    if kind == "parquet":
        yield from _parquet(path, told)
        return
    total = path.stat().st_size
    with path.open("rb") as plain:
        file = cast(BinaryIO, gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain)
        read = _json_lines(file) if kind == "jsonl" else _csv(file, path)
        try:
            with closing(read):
                for count, row in enumerate(read):
                    if told is not None and count % 5_000 == 0:
                        told(plain.tell(), total)
                    yield row
        except (OSError, EOFError) as error:
            raise DataError(f"expected to read {path} to its end: {error}") from None
    if told is not None:
        told(total, total)


def _json_lines(file: BinaryIO) -> Generator[Row, None, None]:
    line = 0
    while chunk := file.readline(LONGEST):
        line += 1
        if not chunk.endswith(b"\n") and len(chunk) >= LONGEST:
            while rest := file.readline(LONGEST):
                if rest.endswith(b"\n"):
                    break
            yield Row(line, {}, f"longer than {LONGEST:,} bytes", _raw(chunk))
            continue
        if not chunk.strip():
            continue
        try:
            data = loads(chunk.decode("utf-8-sig" if line == 1 else "utf-8"))
        except UnicodeDecodeError:
            yield Row(line, {}, "not UTF-8", _raw(chunk))
        except (DataError, RecursionError) as error:
            words = str(error.__cause__) if isinstance(error, DataError) else "nested too deeply"
            yield Row(line, {}, f"not JSON: {words}", _raw(chunk))
        else:
            if isinstance(data, dict):
                yield Row(line, data)
            else:
                yield Row(line, {}, f"not an object but {type(data).__name__}", _raw(chunk))


def _csv(file: BinaryIO, path: Path) -> Generator[Row, None, None]:
    with suppress(OverflowError):
        csv.field_size_limit(LONGEST)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _csv_rows(text, path)
    finally:
        text.detach()  # the file is closed by whoever opened it


def _csv_rows(text: io.TextIOWrapper, path: Path) -> Iterator[Row]:
    first = text.readline(LONGEST)
    delimiter = max(",;\t|", key=first.count)
    try:
        header = next(csv.reader([first], delimiter=delimiter, strict=True), [])
    except csv.Error:
        header = []
    names = [name.strip() for name in header]
    if not names or len(set(names)) != len(names) or not all(names):
        raise DataError(
            f"expected a first line of different column names in {path.name}, got {first.strip()[:200]!r}"
        )
    reader = csv.reader(text, delimiter=delimiter)
    while True:
        line = reader.line_num + 2
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, {}, f"not CSV: {error}")
            continue
        if not fields:
            continue
        if len(fields) != len(names):
            raw = delimiter.join(fields)[:RAW]
            yield Row(line, {}, f"{len(fields)} fields, the header has {len(names)}", raw)
            continue
        yield Row(line, {name: field if field else None for name, field in zip(names, fields, strict=True)})


def _parquet(path: Path, told: Callable[[int, int], None] | None) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            total, line = file.metadata.num_rows, 0
            for batch in file.iter_batches(batch_size=5_000):
                if told is not None:
                    told(line, total)
                for data in batch.to_pylist():
                    line += 1
                    yield Row(line, data)
            if told is not None:
                told(total, total)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"expected to read the Parquet file {path}: {error}") from None


def plain(data: Any) -> Any:
    """A value out of a Parquet file as JSON has it; raises DataError for bytes and the like."""
    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, datetime | date):
        return data.isoformat()
    if isinstance(data, Decimal):
        return float(data)
    if isinstance(data, list | tuple):
        return [plain(item) for item in data]
    if isinstance(data, dict):
        return {str(key): plain(item) for key, item in data.items()}
    raise DataError(f"expected a value that JSON can hold, got {type(data).__name__}")


def _raw(chunk: bytes) -> str:
    return chunk[: 4 * RAW].decode("utf-8", "replace").rstrip("\r\n")[:RAW]
