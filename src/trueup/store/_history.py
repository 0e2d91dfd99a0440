# SPDX-License-Identifier: Apache-2.0
"""Sealed history and the journal's tail, read as one table by DuckDB at a consistent cut."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from trueup.core.clock import Clock
from trueup.core.errors import ArgumentError, StoreError, UnknownName
from trueup.core.events import KINDS
from trueup.core.memory import give_back
from trueup.store import _arrow, _files, sql
from trueup.store._seal import Sealed, Sealing
from trueup.store.journal import Journal, Segment

__all__ = ["History", "Sealed"]

SQL = sql.load("trueup.store", "sql/history.sql")
_EDGE = 2**63 - 1
_COLUMNS = _arrow.SCHEMA.names
_ASKED = (
    "seq", "choice", "ts", "received", "unit", "arm", "candidate", "propensity", "generation", "release",
    "input", "output", "error", "seconds", "keep", "shown",
)  # fmt: skip


class History:
    """Answers questions over all events of a home. One question at a time, whatever the thread.

    The journal's tail is kept as a table within this process's DuckDB and catches up at each
    question; after a sealing a new DuckDB begins with what is left of it, for one that deletes and
    inserts for months keeps more and more.
    """

    def __init__(self, home: Path, clock: Clock, journal: Journal) -> None:
        self._home = home
        self._sealing = Sealing(home, clock, journal)
        self._tail = journal.tail()
        self._turn = threading.Lock()
        self._duck = self._engine()
        self._segments: list[Segment] = []
        self._mark = 0
        self._watermark = 0
        self._upto = 0

    def close(self) -> None:
        with self._turn:
            self._tail.close()
            self._sealing.close()
            self._duck.close()

    def seal(self, before_us: int | None, *, min_rows: int) -> Sealed:
        return self._sealing.seal(before_us, min_rows=min_rows)

    def give_back(self) -> None:
        """Hand memory that no question holds any more back to the system."""
        with self._turn, _errors():
            self._duck.execute(SQL["give_back"])
        give_back()

    def query(self, statement: str, params: Sequence[Any] | Mapping[str, Any], *, cut: int | None) -> pa.Table:
        with self._turn:
            self._one_select(statement)
            self._view(self._catch_up(cut), self._segments, _COLUMNS)
            return self._ask(statement, params)

    def scan(
        self, loop: str, kind: str | Sequence[str], *, since_us: int | None, until_us: int | None,
        cut: int | None, columns: Sequence[str] | None, by: str,
    ) -> pa.Table:
        span = _Span(since_us, until_us, by)
        kinds, names = _kinds(kind), _names(columns)
        with self._turn:
            upto = self._catch_up(cut)
            found = [one for one in self._segments if span.may_hold(one) and one.loop == loop and one.kind in kinds]
            return self._scan(loop, kinds, span, upto, names, found)

    def batches(
        self, loop: str, kind: str | Sequence[str], *, rows: int, since_us: int | None,
        until_us: int | None, cut: int | None, columns: Sequence[str] | None, by: str,
    ) -> Iterator[pa.RecordBatch]:
        span = _Span(since_us, until_us, by)
        kinds, names = _kinds(kind), _names(columns)
        with self._turn:
            upto = self._catch_up(cut)
            watermark = self._watermark
            found = [one for one in self._segments if span.may_hold(one) and one.loop == loop and one.kind in kinds]
        for one in found:
            with self._turn:
                part = self._scan(loop, kinds, span, min(upto, watermark), names, [one], tail=False)
            yield from part.to_batches(max_chunksize=rows)
        with self._turn:
            # Rows that were sealed while the files were read stand in newer files now.
            newer = [one for one in self._segments if one.seq[0] > watermark and one.loop == loop and one.kind in kinds]
            rest = self._scan(loop, kinds, span, upto, names, newer)
        yield from rest.to_batches(max_chunksize=rows)

    def interactions(
        self, loop: str, *, outcomes: Sequence[str], since_us: int | None, until_us: int | None,
        cut: int | None, by: str,
    ) -> pa.Table:
        span = _Span(since_us, until_us, by)
        names = _outcome_columns(outcomes)
        with self._turn:
            upto = self._catch_up(cut)
            found = [
                one for one in self._segments
                if one.loop == loop
                and (one.kind == "outcome" or (one.kind == "interaction" and span.may_hold(one)))
            ]  # fmt: skip
            self._view(upto, found, _COLUMNS)
            params = {"loop": loop, **span.params()}
            table = _ordered(self._ask(SQL["asked"].format(by=span.by), params))
            for name, columns in names.items():
                added = self._ask(SQL["outcomes_of"].format(by=span.by), {**params, "name": name})
                for column, new in zip(("text", "value", "last", "first"), columns, strict=True):
                    table = table.append_column(new, added[column])
        return table

    # -- within: the caller holds the turn ---------------------------------------------------------

    def _catch_up(self, cut: int | None) -> int:
        """Bring the tail up to the cut, or to the last commit; the cut that then holds."""
        if cut is not None and cut <= self._upto:
            return cut
        glance = self._tail.glance(self._mark)
        if glance.last == self._upto and glance.watermark == self._watermark:
            return self._upto if cut is None else min(cut, self._upto)
        rows = self._tail.chunk_rows()
        last = self._upto + 1
        while self._upto < last:
            glance, table = self._tail.read(self._mark, self._upto, rows=rows)
            last = glance.last
            self._segments += glance.segments
            self._mark = glance.mark
            if glance.watermark > self._watermark:
                new = self._engine()
                self._duck.close()
                self._duck, self._watermark, self._upto = new, glance.watermark, glance.watermark
                continue
            if table.num_rows:
                self._duck.register("chunk", table)
                self._duck.execute(SQL["tail_grown"])
                self._duck.unregister("chunk")
                self._upto = table.column("seq")[-1].as_py()
            elif last <= glance.watermark or not table.num_rows:
                self._upto = max(self._upto, last)
        return self._upto if cut is None else min(cut, self._upto)

    def _engine(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB with an empty tail."""
        made = duckdb.connect(config={
            "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
            "temp_directory": str(self._home / "scratch"),
        })  # fmt: skip
        made.execute("SET python_enable_replacements = false")
        made.register("empty", _arrow.EMPTY)
        made.execute(SQL["tail"])
        return made

    def _view(self, cut: int, segments: Sequence[Segment], columns: Sequence[str]) -> None:
        files = [_files.segment_path(self._home, one.sha256) for one in segments if one.seq[0] <= cut]
        listed = ", ".join(_text(str(path)) for path in files)
        names = ", ".join(f'"{name}"' for name in columns)
        name = "view" if files else "view_of_tail"
        with _errors():
            self._duck.execute(SQL[name].format(columns=names, files=f"[{listed}]", cut=int(cut)))

    def _scan(
        self, loop: str, kinds: Sequence[str], span: _Span, upto: int, names: Sequence[str],
        segments: Sequence[Segment], *, tail: bool = True,
    ) -> pa.Table:
        self._view(upto, segments, _COLUMNS)
        wanted = list(dict.fromkeys([*names, "seq"]))
        statement = SQL["scan"].format(
            columns=", ".join(f'"{name}"' for name in wanted), kinds=", ".join(map(_text, kinds)), by=span.by
        )
        if not tail:
            statement += f" AND seq <= {int(upto)}"
        return _ordered(self._ask(statement, {"loop": loop, **span.params()})).select(list(names))

    def _ask(self, statement: str, params: Sequence[Any] | Mapping[str, Any]) -> pa.Table:
        given = dict(params) if isinstance(params, Mapping) else list(params)
        with _errors():
            answer: pa.Table = self._duck.sql(statement, params=given).to_arrow_table()
        return answer

    def _one_select(self, statement: str) -> None:
        with _errors():
            parsed = self._duck.extract_statements(statement)
        if len(parsed) != 1 or parsed[0].type != duckdb.StatementType.SELECT:
            raise ArgumentError(
                f"expected one SELECT over the view `event`, got {statement.strip()[:200]!r}",
                cure="the ledger is changed by append, decide and put only",
            )


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of time: since <= by < until, in microseconds."""

    since_us: int | None
    until_us: int | None
    by: str

    def __post_init__(self) -> None:
        if self.by not in ("received", "ts"):
            raise UnknownName("time of an event", str(self.by), ("received", "ts"))

    def params(self) -> dict[str, int]:
        return {
            "since": -_EDGE if self.since_us is None else self.since_us,
            "until": _EDGE if self.until_us is None else self.until_us,
        }

    def may_hold(self, segment: Segment) -> bool:
        low, high = segment.ts if self.by == "ts" else segment.received
        return (self.since_us is None or high >= self.since_us) and (self.until_us is None or low < self.until_us)


class _errors:
    """DuckDB's errors in our words."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, duckdb.Error):
            return
        first = str(error).strip().split("\n\n")[0]
        if isinstance(error, duckdb.IOException | duckdb.InternalException | duckdb.OutOfMemoryException):
            raise StoreError(f"expected to read history, got: {first}", cure="run `trueup doctor`") from error
        raise ArgumentError(f"expected a question that DuckDB can answer, got: {first}") from error


def _outcome_columns(outcomes: Sequence[str]) -> dict[str, tuple[str, str, str, str]]:
    """The columns that each outcome adds; raises ArgumentError where two would have one name."""
    if isinstance(outcomes, str):
        raise ArgumentError(f"expected a list of outcomes, got the text {outcomes!r}", cure=f"[{outcomes!r}]")
    lists = [(name, f"{name}_value", f"{name}_known", f"{name}_first") for name in outcomes]
    taken = [*_ASKED, *(name.lower() for names in lists for name in names)]
    twice = sorted({name for name in taken if taken.count(name) > 1})
    if twice:
        raise ArgumentError(
            f"expected outcomes whose columns differ from each other and from the interaction's, got {twice}",
            cure="rename the outcome",
        )
    return {names[0]: names for names in lists}


def _ordered(table: pa.Table) -> pa.Table:
    """In order of seq: nearly always as it came, because files and tail are."""
    seq = table.column("seq").combine_chunks()
    if len(seq) > 1 and not pc.all(pc.less_equal(seq[:-1], seq[1:])).as_py():
        return table.take(pc.sort_indices(seq))
    return table


def _kinds(kind: str | Sequence[str]) -> list[str]:
    kinds = [kind] if isinstance(kind, str) else list(kind)
    for one in kinds:
        if one not in KINDS:
            raise UnknownName("kind of event", str(one), KINDS)
    if not kinds:
        raise ArgumentError("expected at least one kind of event, got none")
    return kinds


def _names(columns: Sequence[str] | None) -> list[str]:
    for name in columns or ():
        if name not in _COLUMNS:
            raise UnknownName("column of an event", str(name), _COLUMNS)
    return list(_COLUMNS) if columns is None else list(dict.fromkeys(columns))


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
