# SPDX-License-Identifier: Apache-2.0
"""What the columns of a file hold, by their values: types, and how numbers and times are spelt.

The first rows say which columns are in question; those are then looked at in all rows, for one row can
settle what a thousand leave open: a 13th day, a code with a leading zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from trueup.core import scalars
from trueup.core.errors import DataError
from trueup.data._parquet import Unreadable
from trueup.data._readers import read_all, rows_of
from trueup.data._rows import Row
from trueup.data.numbers import DECIMAL_COMMA, DECIMAL_POINT, is_code, sign_of, spellings
from trueup.data.times import ENOUGH, Spelling, readings, spelling_from

SAMPLE, _CHARACTERS = 1_000, 2**25  # rows that are looked at first, and characters of them
_DISTINCT = 50  # values of a column that are remembered


@dataclass(frozen=True, slots=True)
class Column:
    """What a column looks like, by the first rows (`distinct`, `nulls` and `length` count those).

    `spelling` says how its numbers are written, `time` how its times would be. `doubt` names the
    spellings of numbers that read every value, each as another number. `note` is what a person should
    know of it. `values` are some of its values, most frequent first.
    """

    name: str
    type: str
    distinct: int
    nulls: int
    length: float
    spelling: str = ""
    time: Spelling = field(default_factory=lambda: Spelling(None))
    doubt: tuple[str, ...] = ()
    note: str = ""
    values: tuple[str, ...] = ()


def sample(path: Path) -> list[dict[str, Any]]:
    """The first rows of a file that can be read; raises DataError where there are none, with the first fault."""
    return [row.data for row in _first_rows(path)[0]]


def _first_rows(path: Path) -> tuple[list[Row], bool]:
    """The first rows, and whether there are more."""
    first: Row | None = None
    rows: list[Row] = []
    characters = 0
    with closing(rows_of(path)) as read:
        for row in islice(read, SAMPLE):
            if not row.fault:
                rows.append(row)
                characters += sum(len(one) for one in row.data.values() if isinstance(one, str))
            else:
                first = first or row
            if characters > _CHARACTERS:
                break
        more = next(read, None) is not None
    if not rows:
        why = "" if first is None else f"; the first fault: line {first.line}: {first.fault}"
        raise DataError(
            f"expected rows in {path.name}, got none that can be read{why}",
            cure="" if first is None else f"look at line {first.line} of the file: {first.raw[:120]!r}",
        )
    return rows, more


def columns_of(path: Path) -> tuple[Column, ...]:
    """Every column of a file. The last files are remembered while they do not change."""
    try:
        state = path.stat()
    except OSError:
        sample(path)  # says what is wrong
        raise
    return _columns(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _columns(path: Path, _changed: int, _size: int) -> tuple[Column, ...]:
    rows, more = _first_rows(path)
    names = list(dict.fromkeys(name for row in rows for name in row.data))
    found = {name: _looked(name, [(row.line, row.data.get(name)) for row in rows]) for name in names}
    doubtful = {name: tally for name, (_, tally) in found.items() if tally.in_question}
    if doubtful and more:
        for tally in doubtful.values():
            tally.restart()
        for row in read_all(path, [*doubtful]):
            for name, tally in doubtful.items():
                tally.add(row.data.get(name), row.line)
    return tuple(tally.judge(column) for column, tally in found.values())


def _looked(name: str, values: Sequence[tuple[int, Any]]) -> tuple[Column, _Tally]:
    there = [item for _, item in values if item is not None]
    texts = [item if isinstance(item, str) else str(item) for item in there]
    counted = Counter(texts)
    length = sum(map(len, texts)) / len(texts) if texts else 0.0
    tally = _Tally()
    for line, item in values:
        tally.add(item, line)
    common = tuple(text for text, _ in counted.most_common(_DISTINCT))
    return Column(name, _type(there), len(counted), len(values) - len(there), length, values=common), tally


def _type(values: Sequence[Any]) -> str:
    if not values:
        return "null"
    if all(isinstance(item, bool) for item in values):
        return "boolean"
    if all(isinstance(item, int | float | Decimal | timedelta) and not isinstance(item, bool) for item in values):
        return "number"
    if all(isinstance(item, list) for item in values):
        return "list"
    if all(isinstance(item, dict) for item in values):
        return "object"
    if all(isinstance(item, str | time | UUID) for item in values):
        return "text"
    if all(isinstance(item, datetime | date | str) for item in values):
        return "time"
    return "bytes" if all(isinstance(item, bytes | Unreadable) for item in values) else "mixed"


class _Tally:
    """Counts how the values of one column read, as numbers and as times."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.total = self.plain = self.others = self.numbers = 0
        self.kinds: Counter[frozenset[str]] = Counter()
        self.times: Counter[frozenset[str]] = Counter()
        self.signs: Counter[str] = Counter()
        self.markers: Counter[str] = Counter()
        self.code = self.fault = ""

    def add(self, given: Any, line: int) -> None:
        """Count a value; a null says nothing."""
        if given is None:
            return
        if not isinstance(given, str):
            self.times[readings(given)] += 1
            self.numbers += isinstance(given, int | float) and not isinstance(given, bool)
            self.others += 1
            return
        text = given.strip()
        if scalars.PLAIN.fullmatch(text):
            self.total += 1
            if not text.isdigit():
                self.kinds[spellings(text) or _DRESSED] += 1
            elif text[0] == "0" and is_code([text]):
                self.kinds[_DRESSED] += 1
            else:
                self.plain += 1
            if text[0] in "0+-" and not self.code and is_code([text]):
                self.code = text
            if self.total <= SAMPLE:  # whether it is a time is asked by its name only
                self.times[readings(text)] += 1
        elif scalars.missing(given):
            self.markers[text] += 1
        else:
            self.total += 1
            found = spellings(text)
            if found:
                self.signs[sign_of(text)] += 1
            elif not self.fault:
                self.fault = f"line {line}: {text[:40]!r}"
            self.kinds[found] += 1
            self.times[readings(text)] += 1

    @property
    def in_question(self) -> bool:
        """Whether later rows can change what the first ones say: texts that are numbers, or dates whose
        order is open."""
        if not self.total or self.others:
            return False
        numbers = self.total - self.kinds[frozenset()]
        if numbers * 2 >= self.total:
            return True
        found = spelling_from(self.times)
        return bool(found.doubt or found.name in ("day-first", "month-first"))

    def _gone(self) -> str:
        gone = ", ".join(f"{n:,} x {mark!r}" for mark, n in self.markers.most_common(3))
        return f"{gone} read as missing" if gone else ""

    def judge(self, column: Column) -> Column:
        """The column with what was found."""
        moments = spelling_from(self.times)
        column = replace(column, time=moments)
        texts = self.plain + sum(n for kinds, n in self.kinds.items() if "" in kinds)
        if column.type == "mixed" and self.others == self.numbers and texts == self.total:
            return replace(column, type="number as text", note=self._gone())  # numbers, and texts for some of them
        if column.type != "text" or not self.total:
            return column
        scores = {one: self.plain + sum(n for kinds, n in self.kinds.items() if one in kinds) for one in _ORDER}
        best = max(scores.values())
        if self.code and best == self.total:
            return replace(column, type="code", note=f"digits with leading zeros, such as {self.code}: a code, kept as text")
        told = {one for one in self.signs if one}
        partial = "%" in told and self.signs["%"] < self.total
        if best == self.total and len(told) <= 1 and not partial:
            names = [one for one in _ORDER if scores[one] == best]
            note = self._gone()
            if names[0] == "" or len(names) == 1:
                return replace(column, type="number as text", spelling=names[0], note=note)
            if not any("," in one for one in column.values):  # only a sign is in the way
                return replace(column, type="number as text", spelling=DECIMAL_POINT, note=note)
            return replace(column, type="number as text", doubt=(DECIMAL_COMMA, DECIMAL_POINT), note=note)
        if moments.name is not None or moments.doubt:
            return replace(column, type="time as text")
        if best >= 0.5 * self.total:
            why = "several currencies or units" if best == self.total else f"the first that is none: {self.fault}"
            words = f"{best / self.total:.0%} of its values are numbers ({why})"
            doubt = ("numbers", "text") if best >= ENOUGH * self.total and best < self.total else ()
            spelling = next(one for one in _ORDER if scores[one] == best)
            return replace(column, doubt=doubt, spelling=spelling if doubt else "", note=words)
        return column


_DRESSED = frozenset({DECIMAL_POINT, DECIMAL_COMMA})
_ORDER = ("", DECIMAL_POINT, DECIMAL_COMMA)
