# SPDX-License-Identifier: Apache-2.0
"""What each column of a file is taken for, with the reason: printed, so that a person can object."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.errors import DataError

if TYPE_CHECKING:
    from trueup.data import Column, Profile

LONG_TEXT = 25.0  # characters on average, from which a column is read as words
_IDENTIFIER = re.compile(r"(?i)(.*[_ ])?(id|key|uuid|guid|no|nr|index|row|rowid)|unnamed.*|column \d+")


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of the columns on the command line; maps are as `trueup import --map` takes them."""

    target: str | None = None
    time: str | None = None
    unit: str | None = None
    ignore: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()

    @property
    def as_maps(self) -> tuple[str, ...]:
        """What an import of the file must be told as well."""
        return (*((f"ts={self.time}",) if self.time else ()), *((f"unit={self.unit}",) if self.unit else ()), *self.maps)


NOTHING = Said()


class Unsure(DataError):
    """The file does not say which column is the answer."""

    def __init__(self, seen: Profile, data: Path) -> None:
        columns = {column.name: column for column in seen.columns}
        self.choices = seen.candidates
        shown = "; ".join(f"{name} ({values_of(columns[name])})" for name in self.choices[:8])
        super().__init__(
            f"expected to know which column of {data.name} holds the right answer, several could: {shown}",
            cure=" or ".join(f"--target {name}" for name in self.choices[:4]),
        )


@dataclass(frozen=True, slots=True)
class Guess:
    """A column, what it is taken for, and why."""

    column: str
    role: str
    reason: str

    def __str__(self) -> str:
        return f"{self.column}: {self.role} ({self.reason})"


def values_of(column: Column) -> str:
    """A column's values in a few words."""
    shown = ", ".join(value[:20] for value in column.values[:4])
    return f"{column.distinct:,} value{'s' * (column.distinct != 1)}: {shown}{', ...' if column.distinct > 4 else ''}"


def role_of(column: Column, rows: int, said: Said) -> Guess:
    """What a column of the input is read as: a number, a category, words; or ignored, and why."""
    name, kind = column.name, column.type

    def guess(role: str, reason: str) -> Guess:
        return Guess(name, role, reason)

    if name in said.ignore:
        return guess("ignored", "asked for")
    if kind == "null":
        return guess("ignored", "empty")
    if column.distinct == 1:
        return guess("ignored", f"constant: always {column.values[0][:30]!r}" if column.values else "constant")
    if kind.startswith("time"):
        return guess("ignored", "a time beside the row's own; a date is no feature as it stands")
    if kind in ("list", "object", "mixed", "bytes"):
        return guess("ignored", kind)
    single = column.distinct == rows - column.nulls and rows > 1
    named = bool(_IDENTIFIER.fullmatch(name))
    if single and kind != "boolean" and (named or _counts(column, rows)):
        return guess("ignored", "identifier: every row has another")
    if kind.startswith("number"):
        note = f"; {column.note}" if column.note else f"; {column.spelling}" if column.spelling else ""
        return guess("number", f"its values are numbers{note}")
    if kind == "code":
        if column.distinct * 2 > rows:
            return guess("ignored", "identifier: codes that hardly repeat")
        return guess("category", column.note)
    if kind == "boolean" or (column.length < LONG_TEXT and column.distinct * 2 <= rows):
        note = f"; {column.note}" if column.note else ""
        return guess("category", f"{values_of(column)}{note}")
    if single and column.length < LONG_TEXT and not any(" " in value for value in column.values):
        return guess("ignored", "identifier: every row has another")
    note = f"; {column.note}" if column.note else ""
    return guess("words", f"texts of {column.length:.0f} characters on average{note}")


def _counts(column: Column, rows: int) -> bool:
    """Whether the first values count up by one."""
    if not all(value.isdigit() and len(value) < 16 for value in column.values):
        return False
    numbers = [int(value) for value in column.values]
    return len(numbers) >= min(rows, 20) and all(b - a == 1 for a, b in pairwise(numbers))


def others(seen: Profile, label: str, key: str | None, inputs: Sequence[str]) -> list[Guess]:
    """What the columns beside the input are taken for."""
    columns = {column.name: column for column in seen.columns}
    found = [Guess(label, "answer", values_of(columns[label]))]
    if seen.time is not None:
        how = columns[seen.time].time.name
        found.append(Guess(seen.time, "time", f"its values are times{f', {how}' if how else ''}"))
    if seen.unit is not None:
        found.append(Guess(seen.unit, "unit", "by its name: who asks; rows of one unit are capped and randomised together"))
    if key is not None:
        found.append(Guess(key, "key", "every row has another: it tells rows apart, and is not learned from"))
    told = {guess.column for guess in found} | set(inputs)
    found += (Guess(one.name, "ignored", one.note or one.type) for one in seen.columns if one.name not in told)
    return found
