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
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from trueup.store import sql
from trueup.store._arrow import CHUNK_BYTES, EMPTY, SCHEMA
from trueup.store.journal import Glance
from trueup.store.sqlite import _database
from trueup.store.sqlite._audit import segment_of

T = TypeVar("T")
SQL = sql.load("trueup.store.sqlite", "sql/sealing.sql")
JOURNAL = sql.load("trueup.store.sqlite", "sql/journal.sql")
_MEMORY = Path("/dev/shm")  # noqa: S108 (a private folder is made within it)


class SqliteTail:
    """Reads stretches of the journal; one at a time."""

    def __init__(self, path: Path, *, busy: float) -> None:
        self._path = path
        self._connection = _database.connect(path, busy=busy)

    def close(self) -> None:
        self._connection.close()

    def chunk_rows(self) -> int:
        with _database.errors(self._path):
            weight = self._connection.execute(SQL["mean_bytes"]).fetchone()[0]
        return int(min(200_000, max(1_000, CHUNK_BYTES // max(1, weight))))

    def glance(self, mark: int) -> Glance:
        with _database.transaction(self._connection, self._path, "BEGIN"):
            return self._glance(mark)

    def sealable(self, before_us: int | None) -> tuple[int, int]:
        with _database.transaction(self._connection, self._path, "BEGIN"):
            start, target = self._number(SQL["watermark"]), self._number(JOURNAL["last_seq"])
            if before_us is not None:
                later = self._connection.execute(SQL["first_received_from"], (start, before_us)).fetchone()[0]
                target = target if later is None else later - 1
            return start, max(start, target)

    def stretch(self, after: int, upto: int, *, rows: int) -> pa.Table:
        return self._copied(lambda: (None, after, upto), rows)[1]

    def read(self, mark: int, after: int, *, rows: int) -> tuple[Glance, pa.Table]:
        def look() -> tuple[Glance, int, int]:
            glance = self._glance(mark)
            return glance, max(after, glance.watermark), glance.last

        return self._copied(look, rows)

    def _copied(self, look: Callable[[], tuple[T, int, int]], rows: int) -> tuple[T, pa.Table]:
        """What `look` says, and the first `rows` rows in (after, upto] that it asks for, at one moment.

        `look() -> (anything, after, upto)` runs in the read transaction in which they are copied.
        """
        with scratch() as folder:
            file = folder / "rows.sqlite"
            with _database.errors(self._path):
                self._connection.execute("ATTACH ? AS copy", (str(file),))
                try:
                    self._connection.execute("PRAGMA copy.journal_mode=OFF")
                    self._connection.execute("PRAGMA copy.synchronous=OFF")
                    with _database.transaction(self._connection, self._path, "BEGIN"):
                        seen, after, upto = look()
                        wanted = {"after": after, "upto": upto, "rows": rows}
                        if upto > after:
                            self._connection.execute(SQL["copy_rows"], wanted)
                finally:
                    self._connection.execute("DETACH copy")
            return seen, _read(file) if upto > after else EMPTY

    def _glance(self, mark: int) -> Glance:
        """Within the caller's transaction."""
        watermark, last = self._number(SQL["watermark"]), self._number(JOURNAL["last_seq"])
        added = self._connection.execute(SQL["segments_after"], (mark,)).fetchall()
        return Glance(watermark, last, tuple(map(segment_of, added)), added[-1][-1] if added else mark)

    def _number(self, statement: str) -> int:
        return int(self._connection.execute(statement).fetchone()[0])


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
