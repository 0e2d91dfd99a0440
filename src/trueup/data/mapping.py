# SPDX-License-Identifier: Apache-2.0
"""Which column is what: proposed from names, types and values, shown to a person, then used by an import."""

from __future__ import annotations

import difflib
import re
from collections import Counter, abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trueup.core.errors import ArgumentError, DataError, UnknownName
from trueup.core.scalars import truth
from trueup.core.task import Outcome, Task
from trueup.core.values import value
from trueup.data._readers import how_read
from trueup.data.columns import Column, columns_of, sample
from trueup.data.numbers import DECIMAL_COMMA, DECIMAL_POINT
from trueup.data.times import ENOUGH, SPELLINGS
from trueup.models.features import Features

UNITS = (
    "unit", "unit_id", "user_id", "user", "customer_id", "customer", "account_id", "account", "client_id", "client", "member_id",
    "member", "visitor_id", "visitor", "device_id", "session_id", "session",
)
_TIMES = ("ts", "time", "timestamp", "created_at", "created", "datetime", "date", "date_added", "day")
_LIKE_A_TIME = re.compile(r"(?i)(.*[a-z]_|^)(at|ts|date|time|day|datum|timestamp)|.*(date|time|datum)")
_BIRTH = re.compile(r"(?i)birth|dob\b|born")
_KEYS = ("id", "row_id", "key", "uuid", "request_id")
_KNOWN = ("known", "known_at", "labelled_at", "labeled_at", "label_time")
LABELS = (
    "label", "labels", "target", "class", "y", "category", "genre", "genres", "topic", "sentiment", "tags", "answer",
)  # fmt: skip
_LIST = re.compile(r"\s*[,;|]\s+|[;|]")
NUMBER_SPELLINGS = (DECIMAL_COMMA, DECIMAL_POINT)
_PARTS = ("input", "unit", "ts", "output", "known", "key", "keep", "split", "numbers")
_WRITTEN = (*NUMBER_SPELLINGS, *SPELLINGS, "text")


@value("data.mapping")
class Mapping:
    """The columns of a file by what they hold.

    `input` is one column, or several that make an object. `output` is the answer that was given.
    `outcomes` maps an outcome's name to its column. `known` is when the outcomes became known (else `ts`); `ts` when it happened (else the
    moment of the import). Without `unit` each row is a unit of its own. `key` tells apart rows that
    are otherwise equal. `keep` holds False where a row must never train. `split` separates several
    labels within one text. `numbers` are columns whose text is read as a number; texts in them that
    mean "not known" (NA, null, -) are null. `spelled` says how a column of numbers or times is written, where it is
    not plain: "decimal-comma", "decimal-point" (with thousands separators), or one of `times.SPELLINGS`.
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
    spelled: abc.Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.input:
            raise ArgumentError("expected at least one column for the input")
        for column, how in self.spelled.items():
            if how not in ("", "text", *NUMBER_SPELLINGS, *SPELLINGS):
                raise UnknownName(f"spelling of {column}", str(how), (*NUMBER_SPELLINGS, *SPELLINGS))

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
        parts += [(how, name) for name, how in self.spelled.items() if how]
        return [f"{name:<22}{column}" for name, column in parts]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that a file leaves open: what, and the ways to say it, each as `--map` takes it."""

    column: str
    words: str
    cures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A mapping, what it leaves open, and what a person should know of the file."""

    mapping: Mapping
    doubts: tuple[Doubt, ...] = ()
    notes: tuple[str, ...] = ()


def check_columns(mapping: Mapping, present: Iterable[str], where: str) -> None:
    """Raise DataError, with the nearest name, where a column of the mapping is not in the file."""
    names = sorted(present)
    for name in mapping.columns():
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
            cure = f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(names)}"
            raise DataError(f"expected the column {name!r} in {where}, which it does not have", cure=cure)


def propose_mapping(
    path: Path | str, task: Task, outcomes: Sequence[Outcome], features: Features | None = None
) -> Mapping:
    """A mapping from the columns' names and types, to be shown to a person before it is used.

    Names that the task and the outcomes give come first, then usual names. Columns that are nothing
    else make the input, where the task's own column is not there. The fields that `features` names decide
    what is a number and what a text. Raises DataError, with the ways to say it, where the file leaves
    something open that changes what is read.
    """
    return certain(propose(path, task, outcomes, features), Path(path).name)


def certain(proposal: Proposal, where: str) -> Mapping:
    """The mapping; raises DataError where it leaves something open."""
    for doubt in proposal.doubts:
        ways = " or ".join(f"--map {cure}" for cure in doubt.cures)
        raise DataError(f"expected to know how to read {where}: {doubt.words}", cure=ways)
    return proposal.mapping


def propose(
    path: Path | str, task: Task, outcomes: Sequence[Outcome], features: Features | None = None
) -> Proposal:
    """As `propose_mapping`, with what is left open instead of an error, and notes for a person."""
    path = Path(path)
    columns = {column.name: column for column in columns_of(path)}
    unread = [f"{column.name} ({_held(column)})" for column in columns.values() if column.type == "bytes"]
    left = {name: column for name, column in columns.items() if column.type != "bytes"}
    rows = sample(path)
    found = {outcome.name: take(left, (outcome.name,)) for outcome in outcomes}
    output = take(left, (task.output,))
    fields = _fields(features)  # what the loop learns from is nothing else
    labels = [outcome.name for outcome in outcomes if outcome.type == "label" and not found[outcome.name]]
    if len(labels) == 1:  # a file of labels calls them by the answer's name, or a usual one
        found[labels[0]] = output or take(left, [name for name in LABELS if name not in fields])
        output = None
    known_names = [name for name in (*(f"{name}_known" for name in found), *_KNOWN) if _has_time(left, name)]
    known = take(left, known_names) if any(found.values()) else None
    inputs: str | tuple[str, ...] = ()
    if task.input in left:
        inputs = task.input
        del left[task.input]
    unit = take(left, (task.unit, *(name for name in UNITS if name not in fields)))
    ts, others = time_of(left, fields)
    keep = take(left, [name for name in ("keep", "store") if _is_truth(rows, name)])
    key = take(left, [name for name in (*_KEYS, *_ids(left)) if name not in fields and _unique(left, name, len(rows))])
    inputs = inputs or tuple(left)
    if not inputs:
        raise DataError(f"expected a column for the input in {path.name}, none is left")
    if isinstance(inputs, tuple) and len(inputs) == 1 and not fields:
        inputs = inputs[0]
    outcome_columns = {name: column for name, column in found.items() if column}
    split = None
    if task.answers == "labels":
        splits = [split_of(rows, column) for column in outcome_columns.values()]
        split = next((found_split for found_split in splits if found_split), None)
    mapping = Mapping(
        input=inputs, unit=unit, ts=ts, output=output, outcomes=outcome_columns, known=known, key=key, keep=keep, split=split,
        numbers=tuple(name for name in _inputs(inputs) if _is_number(columns[name], features)),
    )  # fmt: skip
    proposal = settled(path, mapping, task, outcomes, features)
    notes = [*how_read(path), *proposal.notes]
    doubts = proposal.doubts
    if others:
        words = f"several columns are times ({', '.join([str(ts), *others])}), and no name says which is the row's"
        doubts += (Doubt(str(ts), words, (*(f"ts={name}" for name in (str(ts), *others)), "ts=")),)
    if unread:
        notes.append(f"ignored: {', '.join(unread)}")
    return Proposal(proposal.mapping, doubts, tuple(notes))


def settled(
    path: Path, mapping: Mapping, task: Task, outcomes: Sequence[Outcome], features: Features | None = None
) -> Proposal:
    """The mapping with how its columns of times and numbers are written, where a person has not said
    so, by what reads all their values; and what stays open."""
    columns = {column.name: column for column in columns_of(path)}
    if isinstance(mapping.input, str) and mapping.input in _fields(features):
        mapping = replace(mapping, input=(mapping.input,))  # a field by itself is still a field
    spelled = dict(mapping.spelled)
    doubts: list[Doubt] = []
    notes: list[str] = []
    for name in filter(None, (mapping.ts, mapping.known)):
        if name in spelled or name not in columns:
            continue
        time = columns[name].time
        if time.doubt:
            seen = ", ".join(columns[name].values[:3])
            words = f"{name} reads as {' and as '.join(time.doubt)} in every row ({seen})"
            doubts.append(Doubt(name, words, tuple(f"{one}={name}" for one in time.doubt)))
        elif time.name:
            spelled[name] = time.name
    for name in dict.fromkeys((*mapping.numbers, *_number_columns(mapping, task, outcomes))):
        column = columns.get(name)
        if column is None or name in spelled:
            continue
        if len(column.doubt) == 2 and set(column.doubt) <= set(NUMBER_SPELLINGS):
            words = f"{name} reads as another number by a decimal comma and by a decimal point ({', '.join(column.values[:3])})"
            doubts.append(Doubt(name, words, tuple(f"{one}={name}" for one in column.doubt)))
        elif column.spelling:
            spelled[name] = column.spelling
        elif column.type == "code":
            spelled[name] = DECIMAL_POINT  # the loop says that it is a number
        if column.note:
            notes.append(f"{name}: {column.note}")
    for name in _inputs(mapping.input):
        column = columns.get(name)
        if column is None or name in mapping.numbers or name in spelled or not column.note:
            continue
        if column.doubt == ("numbers", "text") and not _fields(features):
            ways = (f"numbers={','.join((*mapping.numbers, name))}", f"text={name}")
            doubts.append(Doubt(name, f"{name}: {column.note}", ways))
        else:
            notes.append(f"{name}: {column.note}")
    if spelled != mapping.spelled:
        mapping = replace(mapping, spelled=spelled)
    return Proposal(mapping, tuple(doubts), tuple(dict.fromkeys(notes)))


def with_maps(mapping: Mapping, maps: Sequence[str], outcomes: Sequence[str]) -> Mapping:
    """The mapping with what a person said of columns: PART=COLUMN, OUTCOME=COLUMN, SPELLING=COLUMN or
    text=COLUMN; PART= for none. Raises ArgumentError or UnknownName."""
    changes: dict[str, Any] = {}
    found, spelled = dict(mapping.outcomes), dict(mapping.spelled)
    for text in maps:
        part, sign, column = text.partition("=")
        names = tuple(name.strip() for name in column.split(",") if name.strip())
        if not sign:
            raise ArgumentError(f"expected PART=COLUMN, got {text!r}", cure="--map unit=user_id")
        if part in outcomes:
            found = {**found, part: column} if column else {name: at for name, at in found.items() if name != part}
        elif part in ("input", "numbers"):
            changes[part] = names[0] if part == "input" and len(names) == 1 else names
        elif part in _PARTS:
            changes[part] = column or None
        elif part in _WRITTEN:
            spelled |= dict.fromkeys(names, part)
        else:
            raise UnknownName("part of the mapping", part, (*_PARTS, *_WRITTEN, *outcomes))
    inputs = _inputs(changes.get("input", mapping.input))
    numbers = changes.get("numbers", mapping.numbers)
    if "input" in changes and "numbers" not in changes:
        numbers = tuple(name for name in numbers if name in inputs)
    told = [name for name, how in spelled.items() if how in NUMBER_SPELLINGS and name in inputs]
    changes["numbers"] = tuple(dict.fromkeys(name for name in (*numbers, *told) if spelled.get(name) != "text"))
    return replace(mapping, outcomes=found, spelled=spelled, **changes)


def labels_of(given: Any, split: str | None) -> list[Any]:
    """The labels within a value: a list's items, or the parts of a text."""
    if isinstance(given, list | tuple):
        return list(given)
    if isinstance(given, str) and split:
        return [part for part in (piece.strip() for piece in given.split(split)) if part]
    return [given]


def take(left: dict[str, Column], names: Iterable[str]) -> str | None:
    lower = {name.lower(): name for name in left}
    for name in names:
        found = name if name in left else lower.get(name.lower())
        if found is not None:
            del left[found]
            return found
    return None


def _inputs(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else [*names]


def _fields(features: Features | None) -> frozenset[str]:
    return frozenset() if features is None else frozenset((*features.text, *features.numeric, *features.categorical))


def _is_number(column: Column, features: Features | None) -> bool:
    """Whether a column's text is to be read as a number: by the loop's features, else by its values."""
    if column.name in _fields(features):
        return features is not None and column.name in features.numeric and column.type not in ("number", "boolean")
    return column.type == "number as text"


def _number_columns(mapping: Mapping, task: Task, outcomes: Sequence[Outcome]) -> list[str]:
    numbers = {one.name for one in outcomes if one.type == "number" or (one.type == "label" and task.answers == "number")}
    return [column for name, column in mapping.outcomes.items() if name in numbers]


def _held(column: Column) -> str:
    return column.values[0] if column.values and column.values[0].startswith("a value of the type") else column.type


def _has_time(left: abc.Mapping[str, Column], name: str) -> bool:
    """Whether a column of this name holds times, by its values."""
    lower = {one.lower(): column for one, column in left.items()}
    column = left.get(name) or lower.get(name.lower())
    return column is not None and (column.type == "time" or column.time.name is not None or bool(column.time.doubt))


def time_of(left: dict[str, Column], fields: abc.Set[str]) -> tuple[str | None, tuple[str, ...]]:
    """The column of times, taken out of `left`, and the others that could be it where no name says so."""
    usual = take(left, [name for name in _TIMES if _has_time(left, name)])
    if usual:
        return usual, ()
    found = [
        name for name, column in left.items()
        if name not in fields and not _BIRTH.search(name) and (column.type == "time" or column.time.share >= ENOUGH)
        and (column.type.startswith("time") or (column.type.startswith("number") and _LIKE_A_TIME.fullmatch(name)))
    ]  # fmt: skip
    if not found:
        return None, ()
    native = [name for name in found if left[name].type == "time"]
    ts = (native or found)[0]
    del left[ts]
    return ts, () if native else tuple(found[1:])


def _is_truth(rows: Sequence[dict[str, Any]], name: str) -> bool:
    values = [row[name] for row in rows if row.get(name) is not None]
    return bool(values) and all(truth(one) is not None for one in values)


def _ids(left: abc.Mapping[str, Column]) -> list[str]:
    return [name for name in left if name.lower().endswith(("_id", "_key", "_uuid"))]


def _unique(left: abc.Mapping[str, Column], name: str, rows: int) -> bool:
    column = left.get(name)
    return column is not None and column.nulls == 0 and column.distinct == rows and column.length <= 64


def split_of(rows: Sequence[dict[str, Any]], name: str) -> str | None:
    """The mark between several labels in one text: where it is, labels repeat across rows."""
    texts = [row[name] for row in rows if isinstance(row.get(name), str)]
    marks = Counter(mark.strip() for text in texts for mark in _LIST.findall(text))
    if not marks:
        return None
    (mark, _), *_ = marks.most_common(1)
    parts = Counter(part for text in texts for part in labels_of(text, mark))
    several = sum(mark in text for text in texts)
    return mark if several * 10 >= len(texts) and len(parts) * 4 <= sum(parts.values()) else None
