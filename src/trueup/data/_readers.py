# SPDX-License-Identifier: Apache-2.0
"""Rows of JSON, CSV and Parquet files, one after another, in bounded memory."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Literal, cast

from trueup.core.errors import DataError, NotFound
from trueup.data import _csv, _json, _parquet
from trueup.data._rows import Row, Unpacked

Format = Literal["jsonl", "csv", "parquet"]
_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv", ".tsv": "csv", ".txt": "csv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_HEAD = 2**20  # bytes by which the encoding is told
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)


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


def rows_of(
    path: Path, told: Callable[[int, int], None] | None = None, columns: Sequence[str] | None = None
) -> Generator[Row, None, None]:
    """All rows; close the generator where it is left before its end. `told` is called now and then with
    what is done, out of what there is. Of a Parquet file only `columns` are read."""
    kind = format_of(path)
    if kind == "parquet":
        yield from _parquet.rows(path, told, columns)
        return
    total = path.stat().st_size
    unpacked = Unpacked(path.name, total)
    with path.open("rb") as plain:
        file = cast(BinaryIO, gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain)
        try:
            with closing(_rows(file, kind, path.name)) as read:
                for count, row in enumerate(read):
                    if count % 100 == 0:
                        unpacked.check(file.tell())
                    if told is not None and count % 5_000 == 0:
                        told(plain.tell(), total)
                    yield row
        except (OSError, EOFError) as error:
            raise DataError(f"expected to read {path} to its end: {error}") from None
    if told is not None:
        told(total, total)


def how_read(path: Path) -> tuple[str, ...]:
    """What a person should know of how a file is read: its encoding, lines and columns that are skipped."""
    if format_of(path) == "parquet":
        return ()
    with path.open("rb") as plain:
        file = cast(BinaryIO, gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain)
        try:
            encoding, _ = _encoding(file, format_of(path))
            notes: tuple[str, ...] = () if encoding.startswith("utf-8") else (f"read as {encoding}, for it is not UTF-8",)
            if format_of(path) == "csv":
                with _Text(file, encoding) as text:
                    notes += _csv.header_of(_csv.Lines(text), path.name).notes
        except (OSError, EOFError) as error:
            raise DataError(f"expected to read {path} to its end: {error}") from None
    return notes


def _rows(file: BinaryIO, kind: Format, name: str) -> Generator[Row, None, None]:
    encoding, head = _encoding(file, kind)
    if kind == "csv":
        with _Text(file, encoding) as text:
            yield from _csv.rows(text, name)
        return
    shape = _json.shape_of(head)
    if shape == "lines" and encoding.startswith("utf-8"):
        yield from _json.lines(file)
        return
    with _Text(file, encoding) as text:
        if shape == "lines":
            yield from _json.lines(cast(BinaryIO, _AsUtf8(text)))
        else:
            yield from _json.values(text, shape)


class _Text:
    """A binary file as text while the block lasts; it is closed by whoever opened it."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._text = io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="")

    def __enter__(self) -> io.TextIOWrapper:
        return self._text

    def __exit__(self, *_: object) -> None:
        self._text.detach()


class _AsUtf8:
    """Lines of a text as UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def readline(self, limit: int) -> bytes:
        return self._text.readline(limit).encode("utf-8", "surrogatepass")


def _encoding(file: BinaryIO, kind: Format) -> tuple[str, str]:
    """The encoding, by a mark at the beginning, zeros between the letters, or what is valid; and the
    beginning of the text. UTF-8 with some broken rows stays UTF-8: they are set aside."""
    head = file.read(_HEAD)
    file.seek(0)
    encoding = next((name for mark, name in _BOMS if head.startswith(mark)), "")
    if not encoding and len(head) >= 4 and not (head[1] and head[0]):
        encoding = "utf-16-be" if not head[0] else "utf-16-le"
    if not encoding and kind == "jsonl":  # by its standard
        encoding = "utf-8-sig"
    elif not encoding:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
            encoding = "utf-8-sig"
        except UnicodeDecodeError:
            kept = head.decode("utf-8", "ignore").encode()
            letters = len(kept) > sum(byte < 0x80 for byte in kept)  # some letters beyond ASCII are valid UTF-8
            encoding = "utf-8-sig" if letters else "cp1252"
    return encoding, codecs.getincrementaldecoder(encoding)("replace").decode(head)


def read_all(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows that can be read, of these columns, for a look at all of a file."""
    with closing(rows_of(path, None, columns)) as read:
        for row in read:
            if not row.fault:
                yield row
