# SPDX-License-Identifier: Apache-2.0
"""Which column of a file is what: proposed from the columns, confirmed by a person."""

from __future__ import annotations

import difflib
import re
from collections import Counter, abc
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from trueup.core.errors import ArgumentError, DataError
from trueup.core.task import Outcome, Task
from trueup.core.values import value
from trueup.data._parquet import plain
from trueup.data._readers import rows_of
from trueup.data.times import parse_time

SAMPLE = 1_000
_UNITS = (
    "unit", "unit_id", "user_id", "user", "customer_id", "customer", "account_id", "account", "client_id", "client", "member_id",
    "member", "visitor_id", "visitor", "device_id", "session_id", "session",
)
_TIMES = ("ts", "time", "timestamp", "created_at", "created", "datetime", "date", "date_added", "day")
_KEYS = ("id", "row_id", "key", "uuid", "request_id")
_KNOWN = ("known", "known_at", "labelled_at", "labeled_at", "label_time")
_LABELS = (
    "label", "labels", "target", "class", "y", "category", "genre", "genres", "topic", "sentiment", "tags", "answer",
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LIST = re.compile(r"\s*[,;|]\s+|[;|]")


@value("data.mapping")
class Mapping:
    """The columns of a file by what they hold.

    `input` is one column, or several that make an object. `output` is the answer that was given.
    `outcomes` maps an outcome's name to its column. `known` is when the outcomes became known (else `ts`); `ts` when it happened (else the
    moment of the import). Without `unit` each row is a unit of its own. `key` tells apart rows that
    are otherwise equal. `keep` holds False where a row must never train. `split` separates several
    labels within one text. `numbers` are columns whose text is read as a number.
    """

    input: str | tuple[str, ...]
    unit: str | None = None
    ts: str | None = None
    output: str | None = None
    outcomes: abc.Mapping[str, str] = field(default_factory=dict)
    known: str | None = None
    key: str | None = None
    keep: str | None = None
    split: str | None = None
    numbers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.input:
            raise ArgumentError("expected at least one column for the input")

    def columns(self) -> list[str]:
        """Every column that is named, once."""
        inputs = [self.input] if isinstance(self.input, str) else [*self.input]
        others = [self.unit, self.ts, self.output, self.known, self.key, self.keep]
        named = [*inputs, *(name for name in others if name), *self.outcomes.values(), *self.numbers]
        return list(dict.fromkeys(named))

    def lines(self) -> list[str]:
        """The mapping for people, a line a part."""
        inputs = self.input if isinstance(self.input, str) else ", ".join(self.input)
        parts: list[tuple[str, str]] = [
            ("input", inputs),
            ("unit", self.unit or "none: each row is a unit of its own"),
            ("time", self.ts or "none: the moment of the import"),
        ]
        parts += [("answer", self.output)] if self.output else []
        split = f", split at {self.split!r}" if self.split else ""
        parts += [(f"outcome {name}", column + split) for name, column in self.outcomes.items()]
        parts += [("known", self.known)] if self.known else []
        parts += [("key", self.key)] if self.key else []
        parts += [("may train", self.keep)] if self.keep else []
        return [f"{name:<22}{column}" for name, column in parts]


@dataclass(frozen=True, slots=True)
class Column:
    """What a sample of a column looks like."""

    name: str
    type: str
    distinct: int
    nulls: int
    length: float


@dataclass(frozen=True, slots=True)
class Profile:
    """What a file looks like: its columns, and the task that it seems to be made for.

    `label` is the column that looks like the answer, `answers` what kind it is, `classes` the
    labels that were seen, most frequent first; `split` is set where one text holds several.
    """

    columns: tuple[Column, ...]
    rows: int
    label: str | None
    answers: str
    classes: tuple[str, ...]
    split: str | None
    time: str | None
    unit: str | None


def check_columns(mapping: Mapping, present: Iterable[str], where: str) -> None:
    """Raise DataError, with the nearest name, where a column of the mapping is not in the file."""
    names = sorted(present)
    for name in mapping.columns():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
            cure = f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(names)}"
            raise DataError(f"expected the column {name!r} in {where}, which it does not have", cure=cure)


def sample(path: Path) -> list[dict[str, Any]]:
    """The first rows of a file that can be read; raises DataError where there are none."""
    first = None
    rows: list[dict[str, Any]] = []
    with closing(rows_of(path)) as read:
        for row in islice(read, SAMPLE):
            if not row.fault:
                rows.append(row.data)
            else:
                first = first or row
    if not rows:
        why = "" if first is None else f"; the first fault: line {first.line}: {first.fault}"
        raise DataError(
            f"expected rows in {path.name}, got none that can be read{why}",
            cure="" if first is None else f"look at line {first.line} of the file: {first.raw[:120]!r}",
        )
    return rows


def propose_mapping(path: Path | str, task: Task, outcomes: Sequence[Outcome]) -> Mapping:
    """A mapping from the columns' names and types, to be shown to a person before it is used.

    Names that the task and the outcomes give come first, then usual names. Columns that are nothing
    else make the input, where the task's own column is not there.
    """
    path = Path(path)
    rows = sample(path)
    columns = {column.name: column for column in _columns(rows)}
    left = dict(columns)
    found = {outcome.name: _take(left, (outcome.name,)) for outcome in outcomes}
    output = _take(left, (task.output,))
    labels = [outcome.name for outcome in outcomes if outcome.type == "label" and not found[outcome.name]]
    if len(labels) == 1:  # a file of labels calls them by the answer's name, or a usual one
        found[labels[0]] = output or _take(left, _LABELS)
        output = None
    known_names = [f"{name}_known" for name in found] + [*_KNOWN]
    known = _take(left, known_names) if any(found.values()) else None
    if task.input in left:
        inputs: str | tuple[str, ...] = task.input
        del left[task.input]
    else:
        inputs = ()
    unit = _take(left, (task.unit, *_UNITS))
    ts = _take(left, [name for name in _TIMES if name in left and _is_time(rows, name)])
    ts = ts or _take(left, [name for name, column in left.items() if column.type == "time"])
    keep = _take(left, ("keep", "store"))
    key = _take(left, [name for name in (*_KEYS, *_ids(left)) if _unique(left, name, len(rows))])
    inputs = inputs or tuple(left)
    if not inputs:
        raise DataError(f"expected a column for the input in {path.name}, none is left")
    if isinstance(inputs, tuple) and len(inputs) == 1:
        inputs = inputs[0]
    of_input = [inputs] if isinstance(inputs, str) else list(inputs)
    outcome_columns = {name: column for name, column in found.items() if column}
    split = None
    if task.answers == "labels":
        splits = [_split(rows, column) for column in outcome_columns.values()]
        split = next((found_split for found_split in splits if found_split), None)
    return Mapping(
        input=inputs, unit=unit, ts=ts, output=output, outcomes=outcome_columns, known=known,
        key=key, keep=keep, split=split,
        numbers=tuple(name for name in of_input if columns[name].type == "number as text"),
    )  # fmt: skip


def profile(path: Path | str) -> Profile:
    """What a file looks like, from its first rows: a start for a loop file, to be corrected."""
    rows = sample(Path(path))
    columns = _columns(rows)
    left = {column.name: column for column in columns}
    time = _take(left, [name for name in _TIMES if name in left and _is_time(rows, name)])
    time = time or _take(left, [column.name for column in columns if column.type == "time"])
    unit = _take(left, _UNITS)
    label = _take(left, _LABELS) or _fewest(left, len(rows))
    if label is None:
        return Profile(tuple(columns), len(rows), None, "text", (), None, time, unit)
    split = _split(rows, label)
    values = [row.get(label) for row in rows if row.get(label) is not None]
    parts = [part for found in values for part in labels_of(found, split)]
    classes = tuple(str(name) for name, _ in Counter(map(str, parts)).most_common(100))
    kind = next(column for column in columns if column.name == label)
    if split or kind.type == "list":
        answers = "labels"
    elif kind.distinct <= max(20, len(rows) // 20):
        answers = "label"
    else:
        answers = "number" if kind.type.startswith("number") else "text"
    shown = classes if answers in ("label", "labels") else ()
    return Profile(tuple(columns), len(rows), label, answers, shown, split, time, unit)


def labels_of(given: Any, split: str | None) -> list[Any]:
    """The labels within a value: a list's items, or the parts of a text."""
    if isinstance(given, list | tuple):
        return list(given)
    if isinstance(given, str) and split:
        return [part for part in (piece.strip() for piece in given.split(split)) if part]
    return [given]


def _columns(rows: Sequence[dict[str, Any]]) -> list[Column]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        there = [item for item in values if item is not None]
        texts = [item if isinstance(item, str) else str(item) for item in there]
        length = sum(map(len, texts)) / len(texts) if texts else 0.0
        columns.append(Column(name, _type(there), len(set(texts)), len(values) - len(there), length))
    return columns


def _type(values: Sequence[Any]) -> str:
    if not values:
        return "null"
    if all(isinstance(item, bool) for item in values):
        return "boolean"
    if all(isinstance(item, int | float) and not isinstance(item, bool) for item in values):
        return "number"
    if all(isinstance(item, list) for item in values):
        return "list"
    if all(isinstance(item, dict) for item in values):
        return "object"
    if all(isinstance(item, str) for item in values):
        return "number as text" if all(_NUMBER.fullmatch(item.strip()) for item in values) else "text"
    return "time" if all(isinstance(plain(item), str) for item in values) else "mixed"


def _take(left: dict[str, Column], names: Iterable[str]) -> str | None:
    lower = {name.lower(): name for name in left}
    for name in names:
        found = name if name in left else lower.get(name.lower())
        if found is not None:
            del left[found]
            return found
    return None


def _is_time(rows: Sequence[dict[str, Any]], name: str) -> bool:
    """Whether nine in ten of the first values are times: one typing error hides no column."""
    values = [row.get(name) for row in rows if row.get(name) is not None][:50]
    times = 0
    for given in values:
        with suppress(DataError):
            times += parse_time(given) > 86_400_000_000 * 366
    return bool(values) and times * 10 >= len(values) * 9


def _ids(left: abc.Mapping[str, Column]) -> list[str]:
    return [name for name in left if name.lower().endswith(("_id", "_key", "_uuid"))]


def _unique(left: abc.Mapping[str, Column], name: str, rows: int) -> bool:
    column = left.get(name)
    return column is not None and column.nulls == 0 and column.distinct == rows and column.length <= 64


def _split(rows: Sequence[dict[str, Any]], name: str) -> str | None:
    """The mark between several labels in one text: where it is, labels repeat across rows."""
    texts = [row[name] for row in rows if isinstance(row.get(name), str)]
    marks = Counter(mark.strip() for text in texts for mark in _LIST.findall(text))
    if not marks:
        return None
    (mark, _), *_ = marks.most_common(1)
    parts = Counter(part for text in texts for part in labels_of(text, mark))
    several = sum(mark in text for text in texts)
    return mark if several * 10 >= len(texts) and len(parts) * 4 <= sum(parts.values()) else None


def _fewest(left: abc.Mapping[str, Column], rows: int) -> str | None:
    few = [c for c in left.values() if 2 <= c.distinct <= max(20, rows // 20) and c.type != "mixed"]
    texts = [c for c in few if c.type in ("text", "boolean")]
    return (texts or few)[-1].name if few else None
