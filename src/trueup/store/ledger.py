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
from trueup.core.errors import NotFound, StoreError
from trueup.core.events import Event
from trueup.core.json import dumps, loads
from trueup.core.records import from_plain, kind_of_record, stored
from trueup.store import _database, _decisions, _files, sql
from trueup.store._mounts import refuse_network
from trueup.store._rows import checked
from trueup.store._writer import Writer
from trueup.store.artifacts import Artifacts
from trueup.store.locks import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from trueup.store._doctor import Ailment
    from trueup.store._history import History, Sealed

R = TypeVar("R")
SQL = sql.load("trueup.store", "sql/journal.sql")
BUSY_SECONDS = 10.0
"""How long a write waits for a foreign program that holds the journal before it is Busy."""


class Ledger:
    """All that a home knows. Safe for threads; processes open their own; do not share over a fork.

    A call that writes returns when its rows are on the disk, and raises Busy, StoreFull or
    StoreError with nothing written otherwise. Reads see the last commit of any process.
    """

    def __init__(self, home: Path, clock: Clock, *, busy: float) -> None:
        self.home = home
        self.clock = clock
        self.artifacts = Artifacts(home)
        self._path = home / "journal.sqlite"
        self._busy = busy
        self._writer = Writer(home, self._path, busy=busy)
        self._reader = _database.connect(self._path, busy=busy)
        self._watch = _database.connect(self._path, busy=busy)
        self._reading = threading.Lock()
        self._watching = threading.Lock()
        self._past: History | None = None
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
        path = home / "journal.sqlite"
        refuse_network(home)
        if not create and not path.exists():
            raise NotFound(f"expected a ledger in {home}, got none", cure="trueup init, or set TRUEUP_HOME")
        with _files.told(f"the home {home}"):
            _files.make_folder(home.absolute())
            if not _database.current(path, busy=busy):
                with lock(home, "migrate", wait=busy):
                    _database.prepare(home, path, busy=busy)
        return cls(home, clock or SystemClock(), busy=busy)

    def close(self) -> None:
        """Close; every later call raises StoreError."""
        self._closed = True
        self._writer.close()
        with self._reading:
            self._reader.close()
        with self._watching:
            self._watch.close()
        if self._past is not None:
            self._past.close()

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
        return self._writer.append(rows) if rows else 0

    def cut(self) -> int:
        """The greatest seq that is committed: what was known up to it never changes."""
        return int(self._one("last_seq")[0])

    def count(self, loop: str, kind: str) -> int:
        """How many events a loop has of a kind: one look at a counter."""
        found = self._one("counter", (loop, kind))
        return int(found[0]) if found else 0

    def version(self) -> int:
        """A number that changes with every commit of any process: some microseconds to ask.

        Comparable within this object only.
        """
        with self._watching, _database.errors(self._path):
            self._open_still()
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

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
        return self._writer.run(lambda connection: _decisions.decide(connection, decision, expect))

    def state(self, loop: str) -> tuple[int, dict[str, Any]]:
        """A loop's generation and state; (0, {}) before its first decision."""
        found = self._one("state", (loop,))
        return (int(found[0]), loads(found[1])) if found else (0, {})

    def loops(self) -> list[str]:
        """Every loop of which this home knows anything, by name."""
        return [str(row[0]) for row in self._all("loops")]

    def decisions(
        self, loop: str, *, kind: str | None = None, subject: str | None = None,
        limit: int | None = None, newest: bool = False, after: int = 0,
    ) -> list[Decision]:
        """A loop's decisions in order, or the newest first; by kind and by subject where given, and
        those after a generation alone."""
        named = {"loop": loop, "kind": kind, "subject": subject, "limit": -1 if limit is None else limit, "after": after}
        rows = self._all("decisions_newest_first" if newest else "decisions", named)
        return [_decisions.decision_of(digest, body) for digest, body in rows]

    def decision(self, ident: str, loop: str | None = None) -> Decision:
        """A decision by its id or the beginning of it; raises NotFound, or ArgumentError for many."""
        low, high = _decisions.bounds(ident)
        rows = self._all("decisions_by_prefix", {"low": low, "high": high, "loop": loop})
        return _decisions.only(ident, rows)

    # -- records ----------------------------------------------------------------------------------

    def put(self, loop: str, kind: str, ident: str, body: Mapping[str, Any]) -> bool:
        """Keep a record for good; False where one of that id is there already, which stands."""
        row = (loop, kind, ident, self._now(), dumps(dict(body)))
        return self._writer.run(lambda connection: connection.execute(SQL["add_record"], row).rowcount == 1)

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
        found = self._one("record", (loop, _kind(kind), ident))
        if not found:
            return None
        body = _record(*found)
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
        named = (loop, _kind(kind), -1 if limit is None else limit)
        rows = self._all("records_newest_first" if newest else "records", named)
        if isinstance(kind, str):
            return [_record(*row) for row in rows]
        return [from_plain(kind, {**_record(*row), "loop": loop}) for row in rows]

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
        return examine(self.home, self._path, self.clock, busy=self._busy, deep=deep)

    # -- within -----------------------------------------------------------------------------------

    def _history(self) -> History:
        self._open_still()
        if self._past is None:
            from trueup.store._history import History

            with self._reading:
                if self._past is None:
                    self._past = History(self.home, self._path, self.clock, self._writer, busy=self._busy)
        return self._past

    def _now(self) -> int:
        return to_us(self.clock.now())

    def _one(self, name: str, params: Sequence[Any] = ()) -> Any:
        with self._reading, _database.errors(self._path):
            self._open_still()
            return self._reader.execute(SQL[name], params).fetchone()

    def _all(self, name: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        with self._reading, _database.errors(self._path):
            self._open_still()
            return self._reader.execute(SQL[name], params).fetchall()

    def _open_still(self) -> None:
        if self._closed:
            raise StoreError("expected an open ledger, got a closed one", cure="open it again")


def _kind(kind: str | type) -> str:
    return kind if isinstance(kind, str) else kind_of_record(kind)


def _record(ident: str, at: int, body: str) -> dict[str, Any]:
    return {**loads(body), "id": ident, "at": at}
