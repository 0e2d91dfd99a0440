# SPDX-License-Identifier: Apache-2.0
"""Sealing: events move from the journal into immutable Parquet files, and may be killed at any point.

1. A stretch of the journal is read, split by (loop, kind), and written: temporary file, fsync,
   rename, fsync of the folder. A crash leaves files that nobody refers to.
2. One transaction enters the files into the catalogue and moves the watermark: from here on the
   stretch is read from them. The journal's rows are still there, and no reader looks at them.
3. Short transactions remember the rows' ids and delete the rows. A crash leaves rows that the next
   sealing takes away.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trueup.core.clock import Clock, to_us
from trueup.core.errors import StoreError
from trueup.core.files import make_folder, sync_path
from trueup.store import _files
from trueup.store.digest import logical_digest
from trueup.store.journal import Journal, Segment
from trueup.store.locks import lock

AT_ONCE = 1_000
"""Rows that leave the journal in one transaction: writers wait no longer than for this."""
ROW_GROUP = 32_768


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a sealing did: rows and files moved to history, and the seq up to which it now reaches."""

    rows: int
    segments: int
    upto: int


class Sealing:
    """Moves the journal's older rows to history; one process at a time."""

    def __init__(self, home: Path, clock: Clock, journal: Journal) -> None:
        self._home = home
        self._clock = clock
        self._journal = journal
        self._tail = journal.tail()
        self.after_step: Callable[[str], None] = _nothing

    def close(self) -> None:
        self._tail.close()

    def seal(self, before_us: int | None, *, min_rows: int) -> Sealed:
        """Move what was received before a moment, if at least `min_rows` wait (see Ledger.seal)."""
        with lock(self._home, "seal"):
            self._take_away()
            start, target = self._tail.sealable(before_us)
            if target - start < max(1, min_rows):
                return Sealed(0, 0, start)
            rows = files = 0
            at = start
            most = self._tail.chunk_rows()
            while at < target:
                table = self._tail.stretch(at, target, rows=most)
                made = self._write(table)
                self.after_step("written")
                upto = target if table.num_rows < most else table.column("seq")[-1].as_py()
                self._journal.enter(made, before=at, upto=upto, at=to_us(self._clock.now()))
                self.after_step("entered")
                self._take_away()
                rows, files, at = rows + table.num_rows, files + len(made), upto
            with suppress(StoreError):  # the next commit tries again
                self._journal.tidy()
            return Sealed(rows, files, at)

    def _write(self, table: pa.Table) -> list[Segment]:
        """One file a (loop, kind); the catalogue's rows for them."""
        made = []
        pairs = table.group_by(["loop", "kind"], use_threads=False).aggregate([])
        for loop, kind in sorted(zip(pairs["loop"].to_pylist(), pairs["kind"].to_pylist(), strict=True)):
            part = table.filter((pc.field("loop") == loop) & (pc.field("kind") == kind))
            digest, size = write_segment(self._home, part)
            made.append(Segment(
                digest, loop, kind, part.num_rows, size, _edges(part, "seq"), _edges(part, "ts"), _edges(part, "received")
            ))  # fmt: skip
            self.after_step("file")
        return made

    def _take_away(self) -> None:
        """Delete sealed rows from the journal, a few at a time."""
        while self._journal.leave(AT_ONCE) == AT_ONCE:
            self.after_step("left")


def write_segment(home: Path, table: pa.Table) -> tuple[str, int]:
    """Write a table as a segment; its logical digest, and the size of the file in bytes."""
    digest = logical_digest(table)
    final = _files.segment_path(home, digest)
    with _files.told("a segment of history"):
        make_folder(home / "segments")
        made = _files.temporary(home / "segments")
        try:
            pq.write_table(table, made, compression="zstd", row_group_size=ROW_GROUP)
            sync_path(made)
            made.chmod(0o444)
            _files.place(made, final)
        finally:
            _files.discard(made)
    return digest, final.stat().st_size


def _edges(table: pa.Table, name: str) -> tuple[int, int]:
    edges = pc.min_max(table[name])
    return edges["min"].as_py(), edges["max"].as_py()


def _nothing(step: str) -> None:
    """Called after each step of sealing; tests kill the process here."""
