# SPDX-License-Identifier: Apache-2.0
"""Rows of the journal as Arrow, through ADBC and a scratch file.

ADBC's driver is six times faster than building Arrow from Python rows, but it carries a SQLite of
its own, and two SQLite libraries in one process must never open one file: the kernel's locks
belong to the process, so that one of them closing the file drops the other's. Another process
could then believe itself alone, and delete the write-ahead log under us. So our SQLite copies the
rows into a scratch file that nobody else knows, and ADBC reads that.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from trueup.core.events import Event
from trueup.store import _database, sql

T = TypeVar("T")
SQL = sql.load("trueup.store", "sql/sealing.sql")
_WHOLE = {"seq", "ts", "received", "generation"}
_REAL = {"propensity", "value", "seconds"}
_MEMORY = Path("/dev/shm")  # noqa: S108 (a private folder is made within it)
CHUNK_BYTES = 64 << 20
"""What one copy may weigh, about: the bound on memory of sealing and of catching up."""


def _type(name: str) -> pa.DataType:
    if name == "keep":
        return pa.bool_()
    return pa.int64() if name in _WHOLE else pa.float64() if name in _REAL else pa.string()


SCHEMA = pa.schema([
    pa.field(name, _type(name)) for name in ("seq", *Event._fields)
])  # fmt: skip
"""The columns of every table of events: seq, and the fields of Event."""
EMPTY = SCHEMA.empty_table()


class Source:
    """Reads stretches of the journal; one at a time."""

    def __init__(self, path: Path, *, busy: float) -> None:
        self._path = path
        self._connection = _database.connect(path, busy=busy)

    def close(self) -> None:
        self._connection.close()

    def chunk_rows(self) -> int:
        """How many rows of average size one copy may hold."""
        with _database.errors(self._path):
            weight = self._connection.execute(SQL["mean_bytes"]).fetchone()[0]
        return int(min(200_000, max(1_000, CHUNK_BYTES // max(1, weight))))

    def peek(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """What `look` says, at one moment."""
        with _database.transaction(self._connection, self._path, "BEGIN"):
            return look(self._connection)

    def stretch(self, after: int, upto: int, *, rows: int) -> pa.Table:
        """The first `rows` rows in (after, upto]."""
        return self.read(lambda _: (None, after, upto), rows=rows)[1]

    def read(
        self, look: Callable[[sqlite3.Connection], tuple[T, int, int]], *, rows: int
    ) -> tuple[T, pa.Table]:
        """What `look` says, and the rows in (after, upto] that it asks for, at one moment.

        `look(connection) -> (anything, after, upto)` runs in the read transaction in which the
        first `rows` of these are copied.
        """
        with scratch() as folder:
            file = folder / "rows.sqlite"
            with _database.errors(self._path):
                self._connection.execute("ATTACH ? AS copy", (str(file),))
                try:
                    self._connection.execute("PRAGMA copy.journal_mode=OFF")
                    self._connection.execute("PRAGMA copy.synchronous=OFF")
                    with _database.transaction(self._connection, self._path, "BEGIN"):
                        said, after, upto = look(self._connection)
                        wanted = {"after": after, "upto": upto, "rows": rows}
                        if upto > after:
                            self._connection.execute(SQL["copy_rows"], wanted)
                finally:
                    self._connection.execute("DETACH copy")
            return said, _read(file) if upto > after else EMPTY


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for a moment: in memory where there is room for it."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 8 * CHUNK_BYTES
    with tempfile.TemporaryDirectory(prefix="trueup-", dir=_MEMORY if roomy else None) as folder:
        yield Path(folder)


def _read(file: Path) -> pa.Table:
    import adbc_driver_sqlite.dbapi as adbc

    with adbc.connect(str(file)) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": "16384"})
        cursor.execute(SQL["read_copy"])
        found: pa.Table = cursor.fetch_arrow_table()
    keep = found.schema.get_field_index("keep")
    found = found.set_column(keep, "keep", found.column(keep).cast(pa.bool_()))
    return found.slice(1).cast(SCHEMA)
