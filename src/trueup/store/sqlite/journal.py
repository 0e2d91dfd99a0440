# SPDX-License-Identifier: Apache-2.0
"""The journal over one SQLite file: a writer, a reader, and a connection that watches for commits."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trueup.core.decisions import Decision
from trueup.core.errors import NotFound, StoreError
from trueup.core.files import make_folder
from trueup.store import _files, sql
from trueup.store._decisions import decision_of, link
from trueup.store._ids import pack
from trueup.store.journal import Audit, Record, Row, Segment, closed
from trueup.store.locks import lock
from trueup.store.sqlite import _audit, _database
from trueup.store.sqlite._mounts import refuse_network
from trueup.store.sqlite._writer import Writer

if TYPE_CHECKING:
    from trueup.store.sqlite._tail import SqliteTail

FILE = "journal.sqlite"
SQL = sql.load("trueup.store.sqlite", "sql/journal.sql")
SEALING = sql.load("trueup.store.sqlite", "sql/sealing.sql")


class SqliteJournal:
    """`<home>/journal.sqlite`. `busy`: seconds that a write waits for a foreign program before it is Busy."""

    def __init__(self, home: Path, *, busy: float) -> None:
        self._path = home / FILE
        self._busy = busy
        self._writer = Writer(home, self._path, busy=busy)
        self._reader = _database.connect(self._path, busy=busy)
        self._watch = _database.connect(self._path, busy=busy)
        self._reading = threading.Lock()
        self._watching = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, home: Path, *, create: bool, busy: float) -> Self:
        """Open the journal of a home, made or migrated where need be (see Ledger.open)."""
        path = home / FILE
        refuse_network(home)
        if not create and not path.exists():
            raise NotFound(f"expected a ledger in {home}, got none", cure="trueup init, or set TRUEUP_HOME")
        with _files.told(f"the home {home}"):
            make_folder(home)
            if not _database.current(path, busy=busy):
                with lock(home, "migrate", wait=busy):
                    _database.prepare(home, path, busy=busy)
        return cls(home, busy=busy)

    def close(self) -> None:
        self._closed = True
        self._writer.close()
        with self._reading:
            self._reader.close()
        with self._watching:
            self._watch.close()

    # -- facts ------------------------------------------------------------------------------------

    def append(self, rows: Sequence[Row]) -> int:
        return self._writer.append(rows)

    def last_seq(self) -> int:
        return int(self._one("last_seq")[0])

    def count(self, loop: str, kind: str) -> int:
        found = self._one("counter", (loop, kind))
        return int(found[0]) if found else 0

    def version(self) -> int:
        with self._watching, _database.errors(self._path):
            self._open_still()
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    # -- decisions --------------------------------------------------------------------------------

    def decide(self, decision: Decision, expect: int) -> Decision:
        def work(connection: sqlite3.Connection) -> Decision:
            last = connection.execute(SQL["last_decision"], (decision.loop,)).fetchone()
            made, state = link(decision, last, expect)
            connection.execute(SQL["add_decision"], made)
            connection.execute(SQL["set_state"], state)
            return decision_of(made.digest, made.body)

        return self._writer.run(work)

    def state(self, loop: str) -> tuple[int, str]:
        found = self._one("state", (loop,))
        return (int(found[0]), str(found[1])) if found else (0, "{}")

    def loops(self) -> list[str]:
        return [str(row[0]) for row in self._all("loops")]

    def decisions(
        self, loop: str, *, kind: str | None, subject: str | None, limit: int | None, newest: bool, after: int
    ) -> list[Decision]:
        named = {"loop": loop, "kind": kind, "subject": subject, "limit": -1 if limit is None else limit, "after": after}
        rows = self._all("decisions_newest_first" if newest else "decisions", named)
        return [decision_of(digest, body) for digest, body in rows]

    def decisions_between(self, low: str, high: str, loop: str | None) -> list[Decision]:
        rows = self._all("decisions_by_prefix", {"low": low, "high": high, "loop": loop})
        return [decision_of(digest, body) for digest, body in rows]

    # -- records ----------------------------------------------------------------------------------

    def put(self, loop: str, kind: str, record: Record) -> bool:
        row = (loop, kind, *record)
        return self._writer.run(lambda connection: connection.execute(SQL["add_record"], row).rowcount == 1)

    def get(self, loop: str, kind: str, ident: str) -> Record | None:
        found = self._one("record", (loop, kind, ident))
        return Record(*found) if found else None

    def records(self, loop: str, kind: str, *, limit: int | None, newest: bool) -> list[Record]:
        given = (loop, kind, -1 if limit is None else limit)
        return [Record(*row) for row in self._all("records_newest_first" if newest else "records", given)]

    # -- sealing ----------------------------------------------------------------------------------

    def tail(self) -> SqliteTail:
        from trueup.store.sqlite._tail import (
            SqliteTail,  # Arrow, which the light client never loads
        )

        return SqliteTail(self._path, busy=self._busy)

    def enter(self, segments: Sequence[Segment], *, before: int, upto: int, at: int) -> None:
        rows = [
            (one.sha256, one.loop, one.kind, one.rows, one.bytes, *one.seq, *one.ts, *one.received, at)
            for one in segments
        ]

        def work(connection: sqlite3.Connection) -> None:
            moved = connection.execute(SEALING["move_watermark"], {"upto": upto, "before": before}).rowcount
            if moved != 1:
                raise StoreError("expected to be alone in sealing, got a watermark that moved meanwhile")
            connection.executemany(SEALING["add_segment"], rows)

        self._writer.run(work)

    def leave(self, rows: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            leaving = connection.execute(SEALING["rows_to_leave"], (rows,)).fetchall()
            if leaving:
                keys = sorted((pack(kind, ident),) for _, ident, kind in leaving)
                connection.executemany(SEALING["keep_id"], keys)
                connection.execute(SEALING["delete_upto"], (leaving[-1][0],))
            return len(leaving)

        return self._writer.run(work)

    def tidy(self) -> None:
        self._writer.checkpoint()

    # -- keeping ----------------------------------------------------------------------------------

    def audit(self) -> AbstractContextManager[Audit]:
        return _audit.audit(self._path, busy=self._busy)

    def size(self) -> int:
        return self._path.stat().st_size

    # -- within -----------------------------------------------------------------------------------

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
            raise closed()
