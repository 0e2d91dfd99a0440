# SPDX-License-Identifier: Apache-2.0
"""Rows of JSON: an object a line, objects over several lines, or one array of objects."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal

from trueup.core.errors import DataError
from trueup.core.json import loads
from trueup.data._rows import LONGEST, RAW, Row

Shape = Literal["lines", "objects", "array"]
_ARRAY = re.compile(r"\s*\[\s*\{")
_BETWEEN = re.compile(r"[\s,]*")
_SPACE = re.compile(r"\s*")


def shape_of(head: str) -> Shape:
    """How the objects stand in the file, by its beginning."""
    if _ARRAY.match(head):
        return "array"
    start = _SPACE.match(head).end()  # type: ignore[union-attr]
    try:
        found, end = _DECODER.raw_decode(head, start)
    except (ValueError, RecursionError):
        return "lines"
    return "objects" if isinstance(found, dict) and "\n" in head[start:end] else "lines"


def lines(file: BinaryIO) -> Iterator[Row]:
    """An object a line, in UTF-8."""
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
            yield _row(line, data, _raw(chunk) if not isinstance(data, dict) else "")


def values(text: io.TextIOBase, shape: Shape) -> Iterator[Row]:
    """Objects one after another, or the items of one array, in bounded memory. After a fault nothing
    more can be read: it is the last row."""
    buffer, line, at, size = text.read(65_536), 1, 0, 65_536
    if shape == "array":
        at = buffer.index("[") + 1
        line += buffer.count("\n", 0, at)
    while True:
        start = _BETWEEN.match(buffer, at).end()  # type: ignore[union-attr]
        line += buffer.count("\n", at, start)
        at = start
        if shape == "array" and buffer[at : at + 1] == "]":
            return
        try:
            data, end = _DECODER.raw_decode(buffer, at)
        except (ValueError, RecursionError) as error:
            deep = isinstance(error, RecursionError)
            more = "" if deep or len(buffer) - at > LONGEST else text.read(size)
            if more:
                buffer, at, size = buffer[at:] + more, 0, size * 2
                continue
            if at < len(buffer) or shape == "array":
                words = "nested too deeply" if deep else str(error) if at < len(buffer) else "the array is not closed"
                yield Row(line, {}, f"not JSON, and nothing after it can be read: {words}", buffer[at : at + RAW])
            return
        yield _row(line, data, buffer[at : at + RAW])
        line += buffer.count("\n", at, end)
        at = end
        if at > 2**20:
            buffer, at, size = buffer[at:], 0, 65_536


def _row(line: int, data: Any, raw: str) -> Row:
    return Row(line, data) if isinstance(data, dict) else Row(line, {}, f"not an object but {type(data).__name__}", raw)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _raw(chunk: bytes) -> str:
    return chunk[: 4 * RAW].decode("utf-8", "replace").rstrip("\r\n")[:RAW]
