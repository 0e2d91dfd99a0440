# SPDX-License-Identifier: Apache-2.0
"""What the doctor looks at in a SQLite journal, in one read transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.store import sql
from trueup.store.artifacts import mentioned
from trueup.store.journal import Ailment, Count, Link, SealedIds, Segment, State
from trueup.store.sqlite import _database

SQL = sql.load("trueup.store.sqlite", "sql/doctor.sql")
SEALING = sql.load("trueup.store.sqlite", "sql/sealing.sql")
OPENING = sql.load("trueup.store.sqlite", "sql/opening.sql")
JOURNAL = sql.load("trueup.store.sqlite", "sql/journal.sql")
LARGE_LOG = 256 << 20


@contextmanager
def audit(path: Path, *, busy: float) -> Iterator[SqliteAudit]:
    """All that a journal holds at one moment, through a connection of its own."""
    with (
        closing(_database.connect(path, busy=busy)) as connection,
        _database.transaction(connection, path, "BEGIN"),
    ):
        yield SqliteAudit(connection, path)


class SqliteAudit:
    """The journal within the transaction of a connection."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    def damage(self, *, deep: bool) -> Iterator[Ailment]:
        for (line,) in self._connection.execute(SQL["integrity" if deep else "quick"]):
            if line != "ok":
                yield Ailment(
                    "error", "damaged", f"the journal is damaged: {line}", "restore it from a backup of this home"
                )
        log = self._path.with_name(self._path.name + "-wal")
        if log.exists() and log.stat().st_size > LARGE_LOG:
            yield Ailment(
                "warning", "large-log", f"the write-ahead log holds {log.stat().st_size >> 20} MB",
                "some process keeps a read open; close it, then seal",
            )

    def chain(self) -> Iterator[Link]:
        return (Link(*row) for row in self._connection.execute(SQL["chain"]))

    def states(self) -> Iterator[State]:
        return (State(*row) for row in self._connection.execute(SQL["states"]))

    def wrong_counts(self) -> Iterator[Count]:
        return (Count(*row) for row in self._connection.execute(SQL["wrong_counters"]))

    def sealed_ids(self) -> SealedIds:
        return SealedIds(*self._connection.execute(SQL["sealed_ids"]).fetchone())

    def watermark(self) -> int:
        return int(self._connection.execute(SEALING["watermark"]).fetchone()[0])

    def latest(self) -> int:
        return int(self._connection.execute(SQL["latest"]).fetchone()[0])

    def segments(self) -> list[Segment]:
        return [segment_of(row) for row in self._connection.execute(SEALING["segments_after"], (0,))]

    def mentions(self) -> Iterator[str]:
        return (str(body) for (body,) in self._connection.execute(SQL["mentions"]))


@dataclass(frozen=True, slots=True)
class Contents:
    """What a journal file names: its schema and last seq, the generation of each loop, the catalogue,
    and the URIs of artifacts."""

    schema: int
    cut: int
    loops: dict[str, int]
    segments: list[Segment]
    artifacts: list[str]


def contents(path: Path, *, live: bool = False) -> Contents:
    """What a file names. A copy is read as it lies, without a file beside it; with `live` it is a home's own."""
    uri = f"{path.absolute().as_uri()}?mode={'rw' if live else 'ro&immutable=1'}"
    with _database.errors(path), closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        audit = SqliteAudit(connection, path)
        return Contents(
            schema=int(connection.execute("PRAGMA user_version").fetchone()[0]),
            cut=connection.execute(JOURNAL["last_seq"]).fetchone()[0],
            loops=dict(connection.execute(OPENING["generations"]).fetchall()),
            segments=audit.segments(),
            artifacts=sorted(mentioned(audit.mentions())),
        )


def segment_of(row: tuple[Any, ...]) -> Segment:
    """A row of the catalogue."""
    sha256, loop, kind, rows, size, *edges = row
    return Segment(sha256, loop, kind, rows, size, (edges[0], edges[1]), (edges[2], edges[3]), (edges[4], edges[5]))
