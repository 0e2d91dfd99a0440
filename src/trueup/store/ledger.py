# SPDX-License-Identifier: Apache-2.0
"""The ledger of a home: facts, decisions and records, in one place, durable when a call returns."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from trueup.core.clock import Clock, SystemClock, to_us
from trueup.core.decisions import Decision
from trueup.core.events import Event
from trueup.core.json import dumps, loads
from trueup.core.records import from_plain, kind_of_record, stored
from trueup.store import _decisions
from trueup.store._rows import checked
from trueup.store.artifacts import Artifacts
from trueup.store.journal import Ailment, Journal, Record, closed
from trueup.store.sqlite import SqliteJournal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from tempfile import TemporaryDirectory

    import pyarrow as pa

    from trueup.store._history import History, Sealed

R = TypeVar("R")
BUSY_SECONDS = 10.0
"""How long a write waits for a foreign program that holds the journal before it is Busy."""


class Ledger:
    """All that a home knows. Safe for threads; processes open their own; do not share over a fork.

    A call that writes returns when its rows are on the disk, and raises Busy, StoreFull or
    StoreError with nothing written otherwise. Reads see the last commit of any process.
    """

    def __init__(self, home: Path, clock: Clock, journal: Journal) -> None:
        self.home = home
        self.clock = clock
        self.artifacts = Artifacts(home)
        self._journal = journal
        self._reading = threading.Lock()
        self._past: History | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._closed = False

    @classmethod
    def open(
        cls, home: Path | str, *, clock: Clock | None = None, create: bool = True,
        busy: float = BUSY_SECONDS,
    ) -> Self:
        """Open a home, made where there is none and `create` is set.

        Raises NotFound (no ledger there), ForeignLedger, NewerLedger, NetworkFileSystem, Busy
        (being migrated) or StoreFull. An older schema is backed up and migrated.
        """
        home = Path(home).expanduser().absolute()
        return cls(home, clock or SystemClock(), SqliteJournal.open(home, create=create, busy=busy))

    @classmethod
    def memory(cls, *, clock: Clock | None = None) -> Self:
        """An empty ledger of this process, for tests: events, decisions and records in memory, artifacts
        and sealed history in a temporary folder that goes when the ledger is closed."""
        from tempfile import TemporaryDirectory

        from trueup.store.memory import MemoryJournal

        folder = TemporaryDirectory(prefix="trueup-home-")
        ledger = cls(Path(folder.name), clock or SystemClock(), MemoryJournal())
        ledger._folder = folder
        return ledger

    def close(self) -> None:
        """Close; every later call raises StoreError."""
        self._closed = True
        self._journal.close()
        if self._past is not None:
            self._past.close()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({str(self.home)!r})"

    # -- facts ------------------------------------------------------------------------------------

    def append(self, events: Sequence[Event]) -> int:
        """Add facts; the number that were new. An event whose (kind, id) is known is left alone.

        All of a call or none of it is written. Threads and processes that append at the same time
        share a sync to the disk. Raises ArgumentError for what cannot be stored as it is.
        """
        rows = checked(events, self._now())
        return self._journal.append(rows) if rows else 0

    def cut(self) -> int:
        """The greatest seq that is committed: what was known up to it never changes."""
        return self._journal.last_seq()

    def count(self, loop: str, kind: str) -> int:
        """How many events a loop has of a kind: one look at a counter."""
        return self._journal.count(loop, kind)

    def version(self) -> int:
        """A number that changes with every commit of any process: some microseconds to ask.

        Comparable within this object only.
        """
        return self._journal.version()

    def scan(
        self, loop: str, kind: str | Sequence[str], *, since_us: int | None = None,
        until_us: int | None = None, cut: int | None = None, columns: Sequence[str] | None = None,
        by: str = "received",
    ) -> pa.Table:
        """Events of a loop as an Arrow table in order of seq: the fields of Event, and seq.

        `since_us <= by < until_us`, where `by` is `received` or `ts`; seq <= cut.
        """
        return self._history().scan(
            loop, kind, since_us=since_us, until_us=until_us, cut=cut, columns=columns, by=by
        )

    def batches(
        self, loop: str, kind: str | Sequence[str], *, rows: int = 65_536, since_us: int | None = None,
        until_us: int | None = None, cut: int | None = None, columns: Sequence[str] | None = None,
        by: str = "received",
    ) -> Iterator[pa.RecordBatch]:
        """`scan` in record batches, one (loop, kind) file or stretch of the journal at a time."""
        return self._history().batches(
            loop, kind, rows=rows, since_us=since_us, until_us=until_us, cut=cut, columns=columns, by=by
        )

    def query(
        self, statement: str, params: Sequence[Any] | Mapping[str, Any] = (), *, cut: int | None = None
    ) -> pa.Table:
        """DuckDB's answer over one view, `event`: sealed history and the journal up to `cut`."""
        return self._history().query(statement, params, cut=cut)

    def interactions(
        self, loop: str, *, outcomes: Sequence[str], since_us: int | None = None,
        until_us: int | None = None, cut: int | None = None, by: str = "ts",
    ) -> pa.Table:
        """Interactions of a loop, in order of seq, with the latest value of each named outcome.

        Columns: seq, choice, ts, received, unit, arm, candidate, propensity, generation, release,
        input, output, error, seconds, keep, shown (the probability with which the application
        showed this answer, where it explores); and for an outcome `name`, of those known at the cut,
        `name` (JSON text) and `name_value` (double) of the latest by (received, seq), `name_known`
        (its received, us) and `name_first` (the earliest received, us). An outcome counts whether
        it came before its interaction or after. `since_us <= by < until_us`, by `ts` or `received`.
        """
        return self._history().interactions(
            loop, outcomes=outcomes, since_us=since_us, until_us=until_us, cut=cut, by=by
        )

    # -- decisions --------------------------------------------------------------------------------

    def decide(self, decision: Decision, *, expect: int) -> Decision:
        """The one door: append a decision and move the loop's state to its `state`, or Conflict.

        `expect` is the generation that the decision was made on. The result carries
        `generation = expect + 1`, `previous`, `id`, and an `at` no earlier than the decision's
        before it (a clock that jumped back does not make history run backwards).
        """
        return self._journal.decide(decision, expect)

    def state(self, loop: str) -> tuple[int, dict[str, Any]]:
        """A loop's generation and state; (0, {}) before its first decision."""
        generation, body = self._journal.state(loop)
        return generation, loads(body)

    def loops(self) -> list[str]:
        """Every loop of which this home knows anything, by name."""
        return self._journal.loops()

    def decisions(
        self, loop: str, *, kind: str | None = None, subject: str | None = None,
        limit: int | None = None, newest: bool = False, after: int = 0,
    ) -> list[Decision]:
        """A loop's decisions in order, or the newest first; by kind and by subject where given, and
        those after a generation alone."""
        return self._journal.decisions(loop, kind=kind, subject=subject, limit=limit, newest=newest, after=after)

    def decision(self, ident: str, loop: str | None = None) -> Decision:
        """A decision by its id or the beginning of it; raises NotFound, or ArgumentError for many."""
        low, high = _decisions.bounds(ident)
        return _decisions.only(ident, self._journal.decisions_between(low, high, loop))

    # -- records ----------------------------------------------------------------------------------

    def put(self, loop: str, kind: str, ident: str, body: Mapping[str, Any]) -> bool:
        """Keep a record for good; False where one of that id is there already, which stands."""
        return self._journal.put(loop, kind, Record(ident, self._now(), dumps(dict(body))))

    def add(self, loop: str, ident: str, record: object) -> bool:
        """Keep a typed record for good under its kind; False where one of that id is there already,
        which stands."""
        return self.put(loop, kind_of_record(type(record)), ident, stored(record))

    @overload
    def get(self, loop: str, kind: str, ident: str) -> dict[str, Any] | None: ...
    @overload
    def get(self, loop: str, kind: type[R], ident: str) -> R | None: ...
    def get(self, loop: str, kind: str | type[R], ident: str) -> dict[str, Any] | R | None:
        """A record by its id, or None: of a class made with @record, or its body with `id` and `at` (us)."""
        found = self._journal.get(loop, _kind(kind), ident)
        if found is None:
            return None
        body = _record(found)
        return body if isinstance(kind, str) else from_plain(kind, {**body, "loop": loop})

    @overload
    def records(
        self, loop: str, kind: str, *, limit: int | None = None, newest: bool = False
    ) -> list[dict[str, Any]]: ...
    @overload
    def records(
        self, loop: str, kind: type[R], *, limit: int | None = None, newest: bool = False
    ) -> list[R]: ...
    def records(
        self, loop: str, kind: str | type[R], *, limit: int | None = None, newest: bool = False
    ) -> list[dict[str, Any]] | list[R]:
        """Records of a kind in the order in which they came, or the newest first: of a class made with
        @record, or their bodies."""
        rows = self._journal.records(loop, _kind(kind), limit=limit, newest=newest)
        if isinstance(kind, str):
            return [_record(row) for row in rows]
        return [from_plain(kind, {**_record(row), "loop": loop}) for row in rows]

    # -- keeping ----------------------------------------------------------------------------------

    def seal(self, before_us: int | None = None, *, min_rows: int = 50_000) -> Sealed:
        """Move events received before a moment (default: all) from the journal to history.

        Does nothing where fewer than `min_rows` wait. Raises Busy where another process is at it.
        Nothing is lost, doubled or hidden if the process is killed at any point.
        """
        done = self._history().seal(before_us, min_rows=min_rows)
        if done.rows:
            self.give_back()
        return done

    def give_back(self) -> None:
        """Hand back to the system what looking took for a moment, and is not needed before the next look:
        allocators would keep it."""
        if self._past is not None:
            self._past.give_back()

    def doctor(self, *, deep: bool = True) -> list[Ailment]:
        """What is wrong with this home; with `deep`, every file is read and its digest compared."""
        from trueup.store._doctor import examine

        self._open_still()
        return examine(self.home, self._journal, self.clock, deep=deep)

    def journal_bytes(self) -> int:
        """Bytes that the journal takes in the home, 0 where it lies elsewhere."""
        return self._journal.size()

    # -- within -----------------------------------------------------------------------------------

    def _history(self) -> History:
        self._open_still()
        if self._past is None:
            from trueup.store._history import History

            with self._reading:
                if self._past is None:
                    self._past = History(self.home, self.clock, self._journal)
        return self._past

    def _now(self) -> int:
        return to_us(self.clock.now())

    def _open_still(self) -> None:
        if self._closed:
            raise closed()


def _kind(kind: str | type) -> str:
    return kind if isinstance(kind, str) else kind_of_record(kind)


def _record(row: Record) -> dict[str, Any]:
    return {**loads(row.body), "id": row.id, "at": row.at}
