# SPDX-License-Identifier: Apache-2.0
"""Import: rows of a file become interactions and outcomes, once, however often it is imported."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from trueup.core import scalars
from trueup.core.clock import to_us
from trueup.core.errors import DataError
from trueup.core.events import Event, outcome
from trueup.core.files import replace
from trueup.core.json import digest as digest_json
from trueup.core.json import dumps, sha256
from trueup.core.task import Outcome, Task
from trueup.core.values import to_json
from trueup.data._parquet import plain
from trueup.data._readers import rows_of
from trueup.data._rows import RAW, Row
from trueup.data.columns import columns_of
from trueup.data.mapping import Mapping, certain, check_columns, labels_of, propose, settled
from trueup.data.numbers import parse_number
from trueup.data.times import parse_time
from trueup.models.features import Features

if TYPE_CHECKING:
    from trueup.store import Ledger

_REASONS = {OverflowError: "a number too large", RecursionError: "nested too deeply"}
_NO_LABEL = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null"})  # "none" may be a label
_BATCH_CHARACTERS = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: rows that were fit, those of them that the ledger did not have, rows
    set aside, and the SHA-256 of the file. `labels` counts the outcomes that were new, and
    `quarantine` is the file of the rows set aside, with their lines and reasons."""

    rows: int
    new: int
    quarantined: int
    digest: str
    labels: int = 0
    quarantine: Path | None = None


def import_file(
    ledger: Ledger,
    path: Path | str,
    loop: str,
    mapping: Mapping | None = None,
    *,
    task: Task,
    outcomes: Sequence[Outcome],
    features: Features | None = None,
    progress: Callable[[int, int], None] | None = None,
    batch: int = 5_000,
) -> Imported:
    """Import a file of JSON, CSV or Parquet in bounded memory.

    Every row becomes an interaction, and an outcome for each of its values that is there; they count
    as received when the file says that they happened, or became known, so that a past that is
    imported reads as it would have been read then; never later than now, and while a release of the
    loop runs, what is older than its start counts as received now: no evidence may appear in a past
    that a release has looked at. Ids are made from the rows, so that importing twice, or after a
    crash, adds nothing twice. Rows that do not fit go to `<home>/quarantine/<file digest>.jsonl`
    with their line and reason, and the import goes on. A signal "import" in the ledger names the
    file's digest. `features` are the loop's: their fields decide what is a number and what a text.
    `progress(done, total)` counts bytes (rows for Parquet).

    Raises DataError where a column of the mapping is missing, no row is fit, or where the mapping
    does not say how a column of times or numbers is written and its values leave it open.
    """
    path = Path(path)
    given = mapping or propose(path, task, outcomes, features).mapping
    check_columns(given, [column.name for column in columns_of(path)], path.name)
    mapping = certain(settled(path, given, task, outcomes, features), path.name)
    unknown = set(mapping.outcomes) - {declared.name for declared in outcomes}
    if unknown:
        raise DataError(
            f"expected outcomes of the loop {loop!r}, got {', '.join(sorted(unknown))}",
            cure=f"its outcomes: {', '.join(declared.name for declared in outcomes)}",
        )
    now_us = to_us(ledger.clock.now())
    digest = file_digest(path)
    release = ledger.state(loop)[1].get("release") or {}
    make = _Maker(
        loop, mapping, task, outcomes, now_us=now_us, digest=digest, running=release.get("started")
    )
    rows = new = labels = 0
    aside = _Quarantine(Path(ledger.home) / "quarantine", digest)
    with aside, closing(rows_of(path, progress, mapping.columns())) as read:
        for facts, feedback in _batches(read, make, aside, batch):
            rows += len(facts)
            new += ledger.append(facts)
            labels += ledger.append(feedback) if feedback else 0
    if not rows:
        raise DataError(
            f"expected rows that fit the mapping in {path.name}, all {aside.count:,} were set aside; "
            f"the first: {aside.first}",
            cure=f"look at {aside.path}, and at the mapping",
        )
    where = aside.path if aside.count else None
    done = Imported(rows, new, aside.count, digest, labels, where)
    ledger.append([_signal(loop, path.name, _digest(mapping), now_us, done)])
    return done


def read_events(
    path: Path, loop: str, mapping: Mapping, *, task: Task, outcomes: Sequence[Outcome], now_us: int
) -> Iterator[tuple[Event, list[Event]]]:
    """What an import of the file would make of each row that fits, without writing anything."""
    mapping = certain(settled(path, mapping, task, outcomes), path.name)
    make = _Maker(loop, mapping, task, outcomes, now_us=now_us, digest=file_digest(path))
    with closing(rows_of(path, None, mapping.columns())) as read:
        for row in read:
            if not row.fault:
                with suppress(DataError, UnicodeError, OverflowError, RecursionError):
                    yield make.events(row.data)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Maker:
    """Turns a row into its events."""

    def __init__(
        self, loop: str, mapping: Mapping, task: Task, outcomes: Sequence[Outcome],
        *, now_us: int, digest: str, running: int | None = None,
    ) -> None:  # fmt: skip
        self.loop, self.mapping, self.task, self.now_us = loop, mapping, task, now_us
        self.running = running
        self.declared = {declared.name: declared for declared in outcomes}
        self.numbers = frozenset(mapping.numbers)
        self.spelled = dict(mapping.spelled)
        self.columns = dict(mapping.outcomes)
        self.extra = dumps({"source": digest[:16]})

    def events(self, row: dict[str, Any]) -> tuple[Event, list[Event]]:
        """The interaction and its outcomes; raises DataError with what does not fit."""
        m = self.mapping
        asked = self._input(row)
        given = dumps(asked)
        ts = None if m.ts is None else parse_time(_there(row, m.ts), self._time(m.ts))
        unit = None if m.unit is None else _name(row, m.unit)
        output = row.get(m.output) if m.output else None
        answer = None if output is None else dumps(self._answer(output))
        key = None if m.key is None else _name(row, m.key)
        identity = dumps([self.loop, key, ts, unit, self._before(asked, given), answer])
        ident = sha256(identity)[:32]
        ts = self.now_us if ts is None else ts
        unit = ident if unit is None else unit
        fact = Event(
            id=ident, loop=self.loop, kind="interaction", ts=ts, received=self._received(ts),
            unit=unit, choice=ident, key=key, input=given, output=answer,
            keep=True if m.keep is None else self._keep(row), extra=self.extra,
        )  # fmt: skip
        return fact, [*self._outcomes(row, ident, unit, ts)]

    def _received(self, moment: int) -> int:
        """When a fact of this moment counts as received (1: the ledger would fill in a 0)."""
        if self.running is not None and moment <= self.running:
            return self.now_us
        return max(1, min(moment, self.now_us))

    def _input(self, row: dict[str, Any]) -> Any:
        names = self.mapping.input
        if isinstance(names, str):
            given = self._field(names, _there(row, names))
            if given == "":
                raise DataError(f"{names} is empty")
            return given
        given = {name: self._field(name, _column(row, name)) for name in names}
        if all(part is None or part == "" for part in given.values()):
            raise DataError("all of the input is empty")
        return given

    def _field(self, name: str, given: Any) -> Any:
        if isinstance(given, float) and not math.isfinite(given):
            raise DataError(f"{name} is {given}")
        if isinstance(given, str):
            if name not in self.numbers:
                return given
            spelling = self.spelled.get(name, "")
            return None if not given[-1:].isdigit() and scalars.missing(given) else parse_number(name, given, spelling)
        try:
            return plain(given)
        except DataError as error:
            raise DataError(f"{name}: {error.message}") from None

    def _before(self, asked: Any, given: str) -> str:
        """The input as it was spelt when numbers out of texts had a fraction always: a row keeps its id."""
        if self.numbers and isinstance(asked, dict) and any(type(asked.get(name)) is int for name in self.numbers):
            asked = {name: float(one) if type(one) is int and name in self.numbers else one for name, one in asked.items()}
            return dumps(asked)
        return given

    def _time(self, column: str) -> str:
        return self.spelled.get(column, "")

    def _outcomes(self, row: dict[str, Any], ident: str, unit: str, ts: int) -> Iterator[Event]:
        m = self.mapping
        moment = row.get(m.known) if m.known else None
        known = ts if m.known is None or scalars.missing(moment) else parse_time(moment, self._time(m.known))
        for name, column in self.columns.items():
            given = row.get(column)
            declared = self.declared[name]
            if given is None or _no_answer(declared, given):
                continue
            if isinstance(given, float) and not math.isfinite(given):
                raise DataError(f"{column} is {given}")
            said = self._outcome(declared, column, given)
            yield outcome(self.loop, ident, name, said, ts=known, received=self._received(known), unit=unit)

    def _outcome(self, declared: Outcome, column: str, given: Any) -> Any:
        if declared.type == "boolean":
            found = scalars.truth(given)
            if found is None:
                raise DataError(f"{column} is {given!r:.40}, not yes or no")
            return found
        if declared.type == "number":
            number = float(parse_number(column, given, self.spelled.get(column, "")))
            if not declared.low <= number <= declared.high:
                raise DataError(f"{column} is {number:g}, outside [{declared.low:g}, {declared.high:g}]")
            return number
        return self._answer(given, column)

    def _answer(self, given: Any, column: str = "") -> Any:
        if self.task.answers == "labels":
            labels = [part for part in labels_of(plain(given), self.mapping.split) if part is not None]
            return sorted({scalars.name(part) or str(part) for part in labels})
        if self.task.answers == "number":
            return float(parse_number(column or "the answer", given, self.spelled.get(column, "")))
        return given.strip() if isinstance(given, str) else scalars.whole(plain(given))

    def _keep(self, row: dict[str, Any]) -> bool:
        given = row.get(self.mapping.keep or "")
        if scalars.missing(given):
            return True
        found = scalars.truth(given)
        if found is None:
            raise DataError(f"{self.mapping.keep} is {given!r:.40}, not yes or no")
        return found


class _Quarantine:
    """Rows set aside, in a file that appears when the import has ended."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.path = folder / f"{digest}.jsonl"
        self.count, self.first = 0, ""
        self._part = folder / f".{digest}.{os.getpid()}.part"
        self._file: TextIO | None = None

    def add(self, row: Row, reason: str) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("w", encoding="utf-8", errors="backslashreplace")
        raw = row.raw or repr(row.data)[:RAW]
        self._file.write(dumps({"line": row.line, "reason": reason, "row": raw}) + "\n")
        self.count += 1
        self.first = self.first or f"line {row.line}: {reason}"

    def __enter__(self) -> _Quarantine:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._file is None:
            return
        if kind is None:
            self._file.close()
            replace(self._part, self.path)
        else:
            self._file.close()
            self._part.unlink(missing_ok=True)


def _batches(
    rows: Iterator[Row], make: _Maker, aside: _Quarantine, size: int
) -> Iterator[tuple[list[Event], list[Event]]]:
    facts: list[Event] = []
    feedback: list[Event] = []
    characters = 0
    for row in rows:
        if row.fault:
            aside.add(row, row.fault)
            continue
        try:
            fact, outcomes = make.events(row.data)
        except DataError as error:
            aside.add(row, error.message)
            continue
        except (UnicodeError, OverflowError, RecursionError) as error:
            aside.add(row, _REASONS.get(type(error), "not Unicode text"))
            continue
        facts.append(fact)
        feedback += outcomes
        characters += len(str(fact.input))
        if len(facts) >= size or characters >= _BATCH_CHARACTERS:
            yield facts, feedback
            facts, feedback, characters = [], [], 0
    if facts:
        yield facts, feedback


def _signal(loop: str, name: str, mapping: str, now_us: int, done: Imported) -> Event:
    extra = {
        "file": name, "digest": done.digest, "rows": done.rows, "new": done.new, "labels": done.labels,
        "quarantined": done.quarantined, "mapping": mapping,
    }  # fmt: skip
    return Event(
        sha256(dumps([loop, "import", done.digest, mapping]))[:32], loop, "signal", now_us,
        name="import", value=float(done.new), extra=dumps(extra),
    )  # fmt: skip


def _column(row: dict[str, Any], name: str) -> Any:
    if name not in row:
        raise DataError(f"no column {name}")
    return row[name]


def _there(row: dict[str, Any], name: str) -> Any:
    given = _column(row, name)
    if given is None:
        raise DataError(f"{name} is missing")
    return given


def _name(row: dict[str, Any], column: str) -> str:
    """A unit or a key: 1, 1.0 and "1" are one."""
    given = _there(row, column)
    if scalars.missing(given):
        raise DataError(f"{column} is missing")
    return scalars.name(given) or str(given)


def _no_answer(declared: Outcome, given: Any) -> bool:
    """Whether a text means that the outcome is not known."""
    if declared.type != "label":
        return scalars.missing(given)
    return isinstance(given, str) and given.strip().lower() in _NO_LABEL


def _digest(mapping: Mapping) -> str:
    """What tells one mapping from another: as it was before columns could be spelt in several ways, where all are plain."""
    data = to_json(mapping)
    if not mapping.spelled:
        del data["spelled"]
    return digest_json(data)
