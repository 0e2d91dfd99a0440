# SPDX-License-Identifier: Apache-2.0
"""Rows of a CSV file, each with its physical line; what is no row is said, and nothing vanishes.

A record is parsed strictly by Python's csv. One that fails, or that swallows lines which are rows of
their own (a stray quote opens a field, and another one far below closes it), is set aside by itself,
and reading goes on at the next physical line.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from trueup.core.errors import DataError
from trueup.data._rows import LONGEST, RAW, Row

DELIMITERS = ",;\t|"
_SEP = re.compile(r"\ufeff?sep=(.)\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\s*[+-]?\d[\d.,eE+-]*\s*")
_FIRST, _LIKE = 1_000, 64  # rows that later ones are compared with, and characters of each field
_OPEN = "a quote is opened and never closed (cure: close it, or double the quotes within a quoted field)"
_AFTER = "text after a closing quote (cure: double the quotes within a quoted field)"


@dataclass(frozen=True, slots=True)
class Header:
    """The columns' names in order (None: a column without a name, which is not read), and how fields
    are separated. `notes` say what was skipped to get there."""

    names: tuple[str | None, ...]
    delimiter: str
    notes: tuple[str, ...] = ()


class Lines:
    """Physical lines, counted from 1; lines that were read too far can be put back."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self._back: deque[str] = deque()
        self.number = 0

    def next(self) -> str:
        """The next line with its end; an empty text at the end of the file."""
        line = self._back.popleft() if self._back else self._text.readline(LONGEST)
        if line:
            self.number += 1
        return line

    def put_back(self, lines: Sequence[str]) -> None:
        """Give these again, in this order."""
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)

    def skip_rest(self) -> None:
        """Pass over what is left of a line that is longer than one may be."""
        while (rest := self._text.readline(LONGEST)) and not rest.endswith(("\n", "\r")):
            pass


def header_of(lines: Lines, name: str) -> Header:
    """Read the line of names; raises DataError where there is none, with its line and the cure."""
    line, notes, delimiter = _content(lines), [], ""
    if found := _SEP.fullmatch(line):
        delimiter = found[1]
        notes.append(f"line {lines.number} names the separator {delimiter!r}")
        line = _content(lines)
    remarks = []
    while line.startswith("#"):
        remarks.append(line)
        line = _content(lines)
    if remarks and _width(line, delimiter) > _width(remarks[-1], delimiter):
        notes.append("the first lines, which begin with #, are comments")
    elif remarks:  # a name may begin with # as well
        lines.put_back([*remarks[1:], *([line] if line else [])])
        line = remarks[0]
    delimiter = delimiter or max(DELIMITERS, key=line.count)
    names = _names(line, delimiter, lines.number, name)
    if names[0] is None:
        notes.append("the first column has no name: an index, not read")
    return Header(names, delimiter, tuple(dict.fromkeys(notes)))


def _content(lines: Lines) -> str:
    while (line := lines.next()) and not line.strip():
        pass
    return line


def _width(line: str, delimiter: str) -> int:
    return max(map(line.count, delimiter or DELIMITERS))


def _names(line: str, delimiter: str, number: int, file: str) -> tuple[str | None, ...]:
    try:
        given = [one.strip() for one in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
        fault = "" if any(given) else "no names"
    except csv.Error:
        given, fault = [], "a quote that is not closed"
    twice = sorted(name for name, times in Counter(filter(None, given)).items() if times > 1)
    if twice:
        fault = f"{', '.join(map(repr, twice))} more than once"
    while len(given) > 1 and not given[-1]:  # a delimiter at the end of every line
        given.pop()
    if fault:
        raise DataError(
            f"expected a first line of different column names in {file}, got {fault} in line {number}: "
            f"{line.strip()[:200]!r}",
            cure="write the columns' names into the first line, each once",
        )
    return tuple(one or (None if at == 0 else f"column {at + 1}") for at, one in enumerate(given))


def rows(text: io.TextIOBase, name: str) -> Iterator[Row]:
    """All rows of an open file; the fields that are empty are None."""
    with suppress(OverflowError):
        csv.field_size_limit(LONGEST)
    lines = Lines(text)
    header = header_of(lines, name)
    names, delimiter = header.names, header.delimiter
    width, records = len(names), _Records(lines, header)
    whole = None not in names
    after = lines.next
    while line := after():
        number = lines.number
        if len(line) >= LONGEST and not line.endswith(("\n", "\r")):
            lines.skip_rest()
            yield Row(number, {}, f"longer than {LONGEST:,} bytes", line[:RAW])
            continue
        bare = line.rstrip("\r\n")
        if not bare:
            continue
        fields, fault = (bare.split(delimiter), "") if '"' not in bare else records.quoted(line)
        if not fault and len(fields) != width:
            if len(fields) > width and not any(fields[width:]):
                fields = fields[:width]
            elif not any(fields):
                continue  # delimiters only
            else:
                fault = f"{len(fields)} fields, the header has {width}"
        if fault:
            yield Row(number, {}, fault, bare[:RAW])
            continue
        records.saw(fields)
        found = {one: field or None for one, field in zip(names, fields, strict=True)}
        if not whole:
            del found[None]
        yield Row(number, found)  # type: ignore[arg-type]


class _Records:
    """Parses the records that have quotes in them, over several lines where they are quoted."""

    def __init__(self, lines: Lines, header: Header) -> None:
        self._lines, self._delimiter, self._width = lines, header.delimiter, len(header.names)
        self._first: list[list[str]] = []

    def saw(self, fields: list[str]) -> None:
        """Remember what the first rows are like."""
        if len(self._first) < _FIRST:
            self._first.append([field[:_LIKE] for field in fields])

    def quoted(self, line: str) -> tuple[list[str], str]:
        """The fields of the record that begins with this line, or what is wrong with the line."""
        fields, held, fault = self._parse(line, None)
        if not fault and self._fits(fields, held):
            return fields, ""
        self._lines.put_back(held[1:])
        if any('\\"' in one for one in held[:100]):
            escaped, taken, wrong = self._parse(line, "\\")
            if not wrong and self._fits(escaped, taken):
                return escaped, ""
            self._lines.put_back(taken[1:])
        if fault or len(held) > 1:
            return [], fault or _OPEN
        return fields, ""

    def _fits(self, fields: list[str], held: list[str]) -> bool:
        whole = len(fields) == self._width or (len(fields) > self._width and not any(fields[self._width :]))
        return whole and not self._swallows(held)

    def _parse(self, line: str, escape: str | None) -> tuple[list[str], list[str], str]:
        """The fields, the lines that they took, and the fault."""
        held = [line]

        def feed() -> Iterator[str]:
            yield line
            size = len(line)
            while size < LONGEST and (more := self._lines.next()):
                held.append(more)
                size += len(more)
                yield more

        try:
            return next(csv.reader(feed(), delimiter=self._delimiter, strict=True, escapechar=escape)), held, ""
        except csv.Error as error:
            return [], held, _AFTER if "expected after" in str(error) else _OPEN

    def _swallows(self, held: list[str]) -> bool:
        """Whether the lines of one record are rows of their own: each has as many fields as the
        header, and values that other rows have in the same columns."""
        if len(held) < 2 or self._width < 2:
            return False
        apart = [[field[:_LIKE] for field in line.rstrip("\r\n").split(self._delimiter)] for line in held]
        if any(len(fields) != self._width for fields in apart):
            return False
        alike = 0
        for at in range(self._width):
            column = [fields[at] for fields in (*self._first, *apart)]
            if any(column) and all(map(_NUMBER.fullmatch, filter(None, column))):
                alike = len(apart)
                break
        common = [
            {one for one, times in Counter(fields[at] for fields in (*self._first, *apart)).items() if times > 1 and one.strip()}
            for at in range(self._width)
        ]
        alike = max(alike, sum(any(one in common[at] for at, one in enumerate(fields)) for fields in apart))
        return alike * 3 >= len(apart) * 2
