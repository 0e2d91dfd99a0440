# SPDX-License-Identifier: Apache-2.0
"""Facts: what evidence states to people, as typed values; a renderer gives them their words.

`core.records.to_plain` is their JSON form, and `fact_to_plain` adds which fact it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Cell: TypeAlias = str | int | float | bool | None
"""A value that a renderer formats by its type."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A number, with its interval from `low` to `high` at confidence `level` (0 to 1), in `unit` ("" for
    a share or a count), from `n` observations; None where there is none."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    n: int | None = None
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Evidence (a test's wealth, from 0) against the line that it must cross; `at` is the observation, from
    1, at which it crossed, and `null` the hypothesis that crossing rejects."""

    name: str
    evidence: float
    line: float
    crossed: bool
    at: int | None = None
    null: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under named columns; each row has a cell for each column."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A stated condition by its stable code ("canary.crossed"), with its values.

    A renderer knows the words of the built-in codes; a plug-in gives `text`, a template for
    `str.format` with the values by name: "{wins} of {n} were won".
    """

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


Fact: TypeAlias = Measure | Line | Table | Note
"""What evidence may state."""

NAMES: dict[type[Fact], str] = {Measure: "measure", Line: "line", Table: "table", Note: "note"}


def fact_to_plain(fact: Fact) -> dict[str, Any]:
    """The JSON form of a fact: its fields, and under `fact` which one it is."""
    from trueup.core.records import to_plain

    return {"fact": NAMES[type(fact)], **to_plain(fact)}


def fact_from_plain(data: Mapping[str, Any]) -> Fact:
    """The fact of its JSON form; raises DataError where it is none."""
    from trueup.core.errors import DataError
    from trueup.core.records import from_plain

    for cls, name in NAMES.items():
        if data.get("fact") == name:
            return from_plain(cls, {key: part for key, part in data.items() if key != "fact"})
    raise DataError(f"expected a fact of {', '.join(NAMES.values())}, got {data.get('fact')!r}")
