# SPDX-License-Identifier: Apache-2.0
"""Group commit: whoever comes first writes for all who wait, in one transaction, under a file lock.

SQLite's own busy handler sleeps and polls; under several writing processes that makes the slowest
hundredth of writes ten times slower than queueing on one `flock` before `BEGIN IMMEDIATE`.

The sync to the disk comes after the file lock is let go, so that processes sync at the same time
and the disk does it once for all of them: the commit itself only appends to the write-ahead log
(`synchronous=NORMAL`, where SQLite still syncs around each checkpoint), then the log is synced, and
only then does a call return. A log is durable up to a commit only together with all commits before
it, so that nothing acknowledged can rest on something lost.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from trueup.core.errors import DataError, StoreError
from trueup.store import _files, sql
from trueup.store._ids import pack
from trueup.store.journal import Row, closed, forked
from trueup.store.locks import lock_path
from trueup.store.sqlite import _database

T = TypeVar("T")
SQL = sql.load("trueup.store.sqlite", "sql/journal.sql")
BATCH = 4096
"""Rows that one transaction takes from the queue; a single longer call is still one transaction."""
_ROW = f"({','.join('?' * 21)})"
_AT_ONCE = (256, 64, 16, 4, 1)
"""Rows an INSERT: one long statement leaves and takes Python's global lock once, not once a row."""
_APPEND = {n: SQL["append_events"].format(rows=",".join([_ROW] * n)) for n in _AT_ONCE}
_SEALED = {n: SQL["sealed_among"].format(marks=",".join("?" * n)) for n in _AT_ONCE}


_UNFIT = (DataError, ValueError, OverflowError, MemoryError)
"""What a row that cannot be stored raises: text that is not Unicode, or longer than a gigabyte."""


class Writer:
    """The one way into the journal of a home from this process; safe for threads."""

    def __init__(self, home: Path, path: Path, *, busy: float) -> None:
        self._path = path
        self._pid = os.getpid()
        self._connection = _database.connect(path, busy=busy)
        with _database.errors(path):
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("PRAGMA cache_size=-32768")
            # Pages that change often (counters, the index's right edge) reach the file four times
            # less often than by default; a log of 16 MB is read back in milliseconds.
            self._connection.execute("PRAGMA wal_autocheckpoint=4000")
            self._connection.execute("PRAGMA journal_size_limit=67108864")
        self._log: int | None = None
        self._gate = os.open(lock_path(home, "journal"), os.O_RDWR | os.O_CREAT, 0o644)
        self._mutex = threading.Lock()
        self._turn = threading.Lock()
        self._syncing = threading.Lock()
        self._queue: deque[_Waiting] = deque()
        self._led = False
        self._closed = False

    def append(self, rows: Sequence[Row]) -> int:
        """Write checked rows; the number of new ones, once they are on the disk."""
        waiting = _Waiting(rows)
        with self._mutex:
            self._queue.append(waiting)
            lead, self._led = not self._led, True
        if not lead:
            self._wait(waiting)
        if not waiting.done:
            self._lead()
        if waiting.error is not None:
            raise waiting.error
        return waiting.new

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work in one write transaction of its own."""
        with self._turn:
            made = self._transact(work)
        self._sync()
        return made

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the file and empty it; False while a reader holds it."""
        with self._turn, _database.errors(self._path):
            self._usable()
            return bool(self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)

    def close(self) -> None:
        """Wait for the write at hand, and close."""
        with self._turn:
            if not self._closed:
                self._closed = True
                if self._pid == os.getpid():
                    self._connection.close()
                os.close(self._gate)
                if self._log is not None:
                    os.close(self._log)

    def _wait(self, waiting: _Waiting) -> None:
        try:
            waiting.ready.acquire()
        except BaseException:  # an interrupt: leave the queue, and hand on the lead if it was ours
            with self._mutex:
                if waiting in self._queue:
                    self._queue.remove(waiting)
                    if waiting.leads:
                        self._hand_on()
            raise

    def _hand_on(self) -> None:
        """Let the next in the queue lead; the caller holds the mutex."""
        self._led = bool(self._queue)
        if self._queue:
            self._queue[0].leads = True
            self._queue[0].ready.release()

    def _lead(self) -> None:
        with self._mutex:
            batch = [self._queue.popleft()]
            size = len(batch[0].rows)
            while self._queue and size + len(self._queue[0].rows) <= BATCH:
                batch.append(self._queue.popleft())
                size += len(batch[-1].rows)
        try:
            self._write(batch)
            self._sync()
        except Exception as error:
            for waiting in batch:
                waiting.error = waiting.error or error
        except BaseException:
            for waiting in batch:
                waiting.error = StoreError("the write was interrupted", cure="append again")
            raise
        finally:
            with self._mutex:
                self._hand_on()
            for waiting in batch:
                waiting.done = True
                waiting.ready.release()

    def _write(self, batch: list[_Waiting]) -> None:
        with self._turn:
            try:
                new = self._transact(lambda connection: _insert(connection, batch))
            except _UNFIT as error:
                if len(batch) == 1:
                    raise DataError(f"expected rows that the journal can hold, got: {error}") from error
                for waiting in batch:  # one of them is at fault: each stands alone
                    try:
                        self._alone(waiting)
                    except Exception as fault:
                        waiting.error = fault
                return
        for waiting, count in zip(batch, new, strict=True):
            waiting.new = count

    def _alone(self, waiting: _Waiting) -> None:
        try:
            waiting.new = self._transact(lambda connection: _insert(connection, [waiting]))[0]
        except _UNFIT as error:
            raise DataError(f"expected rows that the journal can hold, got: {error}") from error

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._usable()
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            with _database.transaction(self._connection, self._path):
                return work(self._connection)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def _sync(self) -> None:
        """Make all that was committed so far durable."""
        with _files.told(f"{self._path}-wal"):
            if self._log is None or os.fstat(self._log).st_nlink == 0:
                with self._syncing:
                    if self._log is None or os.fstat(self._log).st_nlink == 0:
                        self._log = self._open_log()
            _files.sync_data(self._log)

    def _open_log(self) -> int:
        """A descriptor of the write-ahead log of our own; SQLite keeps its locks on other files."""
        return os.open(f"{self._path}-wal", os.O_RDWR)

    def _usable(self) -> None:
        if self._closed:
            raise closed()
        if self._pid != os.getpid():
            raise forked()


class _Waiting:
    __slots__ = ("done", "error", "leads", "new", "ready", "rows")

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.ready = threading.Lock()
        self.ready.acquire()
        self.done = False
        self.leads = False
        self.new = 0
        self.error: BaseException | None = None


def _insert(connection: sqlite3.Connection, batch: list[_Waiting]) -> list[int]:
    """Insert what is new, count it, and say for each who waits how much of theirs was new."""
    rows = [row for waiting in batch for row in waiting.rows]
    before = connection.execute(SQL["last_seq"]).fetchone()[0]
    fresh = rows
    if connection.execute(SQL["any_sealed_id"]).fetchone()[0]:
        fresh = _unsealed(connection, rows)
    inserted = 0
    for some in _portions(fresh):
        flat = [cell for row in some for cell in row]
        inserted += connection.execute(_APPEND[len(some)], flat).rowcount
    if inserted == len(rows):
        new = rows
        counts = [len(waiting.rows) for waiting in batch]
    else:
        left = set(connection.execute(SQL["ids_after"], (before,)))
        new, counts = [], []
        for waiting in batch:
            count = len(new)
            for row in waiting.rows:
                if (row[0], row[2]) in left:
                    left.discard((row[0], row[2]))
                    new.append(row)
            counts.append(len(new) - count)
    for (loop, kind), count in sorted(Counter((row[1], row[2]) for row in new).items()):
        connection.execute(SQL["add_to_counter"], (loop, kind, count))
    return counts


def _unsealed(connection: sqlite3.Connection, rows: list[Row]) -> list[Row]:
    keys = [pack(row[2], row[0]) for row in rows]
    sealed: set[bytes] = set()
    for some in _portions(keys):
        sealed.update(key for (key,) in connection.execute(_SEALED[len(some)], some))
    return [row for row, key in zip(rows, keys, strict=True) if key not in sealed] if sealed else rows


def _portions(items: list[Any]) -> list[list[Any]]:
    """Split into lists of a few fixed lengths, so that statements are prepared once."""
    found, at = [], 0
    for size in _AT_ONCE:
        while len(items) - at >= size:
            found.append(items[at : at + size])
            at += size
    return found
