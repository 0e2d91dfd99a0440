# SPDX-License-Identifier: Apache-2.0
"""The journal in the memory of one process: what `Ledger.memory()` keeps its facts in. Nothing survives the process."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from trueup.core.decisions import Decision
from trueup.core.errors import DataError, StoreError
from trueup.core.events import Event
from trueup.store._decisions import decision_of, link
from trueup.store._ids import pack
from trueup.store.journal import (
    Ailment,
    Audit,
    Count,
    Glance,
    Link,
    Record,
    Row,
    SealedIds,
    Segment,
    State,
    closed,
    forked,
)

if TYPE_CHECKING:
    import pyarrow as pa

_RECEIVED = Event._fields.index("received")
_REAL = tuple(Event._fields.index(name) for name in ("propensity", "value", "seconds"))
CHUNK_ROWS = 100_000


class Tables:
    """All that is known, under one lock; several journals of a process may share it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.commits = 0
        self.last = 0
        self.rows: list[Row] = []
        """The events that are not sealed away: their seqs end with `last`, without a gap."""
        self.ids: set[tuple[str, str]] = set()
        self.sealed: set[bytes] = set()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.chains: dict[str, list[Link]] = {}
        self.links: list[Link] = []
        self.states: dict[str, State] = {}
        self.records: dict[tuple[str, str], dict[str, Record]] = {}
        self.segments: list[Segment] = []
        self.watermark = 0

    @property
    def before(self) -> int:
        """The seq before the first event that still stands here."""
        return self.last - len(self.rows)

    def stretch(self, after: int, upto: int, rows: int) -> tuple[int, list[Row]]:
        """The first `rows` events in (after, upto], and the seq of the first of them."""
        start = max(after, self.before)
        return start + 1, self.rows[start - self.before : max(start, min(upto, start + rows)) - self.before]


class MemoryJournal:
    """The journal over tables of this process, new ones where none are given."""

    def __init__(self, tables: Tables | None = None) -> None:
        self._tables = tables or Tables()
        self._pid = os.getpid()
        self._closed = False

    def close(self) -> None:
        self._closed = True

    # -- facts ------------------------------------------------------------------------------------

    def append(self, rows: Sequence[Row]) -> int:
        kept = [_kept(row) for row in rows]
        with self._writing() as tables:
            new = []
            for row in kept:
                ident, kind = row[0], row[2]
                if (ident, kind) not in tables.ids and (not tables.sealed or pack(kind, ident) not in tables.sealed):
                    tables.ids.add((ident, kind))
                    new.append(row)
            tables.rows += new
            tables.last += len(new)
            tables.counts.update((row[1], row[2]) for row in new)
        return len(new)

    def last_seq(self) -> int:
        with self._reading() as tables:
            return tables.last

    def count(self, loop: str, kind: str) -> int:
        with self._reading() as tables:
            return tables.counts[loop, kind]

    def version(self) -> int:
        with self._reading() as tables:
            return tables.commits

    # -- decisions --------------------------------------------------------------------------------

    def decide(self, decision: Decision, expect: int) -> Decision:
        with self._writing() as tables:
            chain = tables.chains.get(decision.loop, [])
            last = (chain[-1].digest, chain[-1].generation, chain[-1].at) if chain else None
            made, state = link(decision, last, expect)
            tables.chains.setdefault(made.loop, []).append(made)
            tables.links.append(made)
            tables.states[made.loop] = state
        return decision_of(made.digest, made.body)

    def state(self, loop: str) -> tuple[int, str]:
        with self._reading() as tables:
            found = tables.states.get(loop)
            return (found.generation, found.body) if found else (0, "{}")

    def loops(self) -> list[str]:
        with self._reading() as tables:
            events = {loop for loop, _ in tables.counts}
            return sorted({*events, *tables.states, *(loop for loop, _ in tables.records)})

    def decisions(
        self, loop: str, *, kind: str | None, subject: str | None, limit: int | None, newest: bool, after: int
    ) -> list[Decision]:
        with self._reading() as tables:
            chain = tables.chains.get(loop, [])[max(0, after):]
        wanted = (
            one for one in (reversed(chain) if newest else chain)
            if (kind is None or one.kind == kind) and (subject is None or one.subject == subject)
        )
        return [decision_of(one.digest, one.body) for one in islice(wanted, limit)]

    def decisions_between(self, low: str, high: str, loop: str | None) -> list[Decision]:
        with self._reading() as tables:
            links = list(tables.links)
        wanted = (one for one in links if low <= one.digest < high and loop in (None, one.loop))
        return [decision_of(one.digest, one.body) for one in islice(wanted, 5)]

    # -- records ----------------------------------------------------------------------------------

    def put(self, loop: str, kind: str, record: Record) -> bool:
        with self._writing() as tables:
            kept = tables.records.setdefault((loop, kind), {})
            return kept.setdefault(record.id, record) is record

    def get(self, loop: str, kind: str, ident: str) -> Record | None:
        with self._reading() as tables:
            return tables.records.get((loop, kind), {}).get(ident)

    def records(self, loop: str, kind: str, *, limit: int | None, newest: bool) -> list[Record]:
        with self._reading() as tables:
            kept = list(tables.records.get((loop, kind), {}).values())
        return (kept[::-1] if newest else kept)[:limit]

    # -- sealing ----------------------------------------------------------------------------------

    def tail(self) -> MemoryTail:
        return MemoryTail(self._tables)

    def enter(self, segments: Sequence[Segment], *, before: int, upto: int, at: int) -> None:
        with self._writing() as tables:
            if tables.watermark != before:
                raise StoreError("expected to be alone in sealing, got a watermark that moved meanwhile")
            tables.segments += segments
            tables.watermark = upto

    def leave(self, rows: int) -> int:
        with self._writing() as tables:
            _, leaving = tables.stretch(0, tables.watermark, rows)
            tables.sealed.update(pack(row[2], row[0]) for row in leaving)
            tables.ids.difference_update((row[0], row[2]) for row in leaving)
            del tables.rows[: len(leaving)]
            return len(leaving)

    def tidy(self) -> None:
        """Nothing lies on a disk."""

    # -- keeping ----------------------------------------------------------------------------------

    def audit(self) -> AbstractContextManager[Audit]:
        return self._audit()

    def size(self) -> int:
        return 0

    # -- within -----------------------------------------------------------------------------------

    @contextmanager
    def _audit(self) -> Iterator[MemoryAudit]:
        with self._reading() as tables:
            yield MemoryAudit(tables)

    @contextmanager
    def _reading(self) -> Iterator[Tables]:
        with self._tables.lock:
            if self._closed:
                raise closed()
            yield self._tables

    @contextmanager
    def _writing(self) -> Iterator[Tables]:
        if self._pid != os.getpid():
            raise forked()
        with self._reading() as tables:
            yield tables
            tables.commits += 1


class MemoryTail:
    """Reads stretches of the tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def close(self) -> None:
        """Nothing is held."""

    def chunk_rows(self) -> int:
        return CHUNK_ROWS

    def glance(self, mark: int) -> Glance:
        with self._tables.lock:
            added = tuple(self._tables.segments[mark:])
            return Glance(self._tables.watermark, self._tables.last, added, mark + len(added))

    def sealable(self, before_us: int | None) -> tuple[int, int]:
        with self._tables.lock:
            start, target = self._tables.watermark, self._tables.last
            if before_us is not None:
                first, rows = self._tables.stretch(start, target, target)
                later = (at for at, row in enumerate(rows, first) if row[_RECEIVED] >= before_us)
                target = next(later, target + 1) - 1
            return start, target

    def stretch(self, after: int, upto: int, *, rows: int) -> pa.Table:
        with self._tables.lock:
            first, stretch = self._tables.stretch(after, upto, rows)
        return _table(first, stretch)

    def read(self, mark: int, after: int, *, rows: int) -> tuple[Glance, pa.Table]:
        with self._tables.lock:
            glance = self.glance(mark)
            first, stretch = self._tables.stretch(max(after, glance.watermark), glance.last, rows)
        return glance, _table(first, stretch)


class MemoryAudit:
    """The tables, while nobody changes them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def damage(self, *, deep: bool) -> Iterator[Ailment]:
        return iter(())

    def chain(self) -> Iterator[Link]:
        return (one for loop in sorted(self._tables.chains) for one in self._tables.chains[loop])

    def states(self) -> Iterator[State]:
        return (self._tables.states[loop] for loop in sorted(self._tables.states))

    def wrong_counts(self) -> Iterator[Count]:
        tables = self._tables
        _, standing = tables.stretch(tables.watermark, tables.last, tables.last)
        stored = Counter((row[1], row[2]) for row in standing)
        for one in tables.segments:
            stored[one.loop, one.kind] += one.rows
        for loop, kind in sorted({*stored, *tables.counts}):
            if stored[loop, kind] != tables.counts[loop, kind]:
                yield Count(loop, kind, tables.counts[loop, kind], stored[loop, kind])

    def sealed_ids(self) -> SealedIds:
        tables = self._tables
        _, left = tables.stretch(0, tables.watermark, tables.last)
        return SealedIds(len(tables.sealed), sum(one.rows for one in tables.segments), len(left))

    def watermark(self) -> int:
        return self._tables.watermark

    def latest(self) -> int:
        tables = self._tables
        moments = [chain[-1].at for chain in tables.chains.values()]
        moments += [one.at for kept in tables.records.values() for one in kept.values()]
        moments += [int(row[_RECEIVED]) for row in tables.rows[-1:]]
        moments += [one.received[1] for one in tables.segments]
        return max(moments, default=0)

    def segments(self) -> list[Segment]:
        return list(self._tables.segments)

    def mentions(self) -> Iterator[str]:
        yield from (one.body for kept in self._tables.records.values() for one in kept.values())
        yield from (one.body for one in self._tables.links)


def _kept(row: Row) -> Row:
    """A row as any reader will read it, numbers that may be fractions as floats; raises DataError for
    text that is not Unicode."""
    try:
        for cell in row:
            if isinstance(cell, str):
                cell.encode()
    except UnicodeError as error:
        raise DataError(f"expected rows that the journal can hold, got: {error}") from error
    if all(row[at] is None or type(row[at]) is float for at in _REAL):
        return row
    cells = list(row)
    for at in _REAL:
        cells[at] = None if cells[at] is None else float(cells[at])
    return tuple(cells)


def _table(first: int, rows: list[Row]) -> pa.Table:
    import pyarrow as pa

    from trueup.store._arrow import EMPTY, SCHEMA

    if not rows:
        return EMPTY
    columns = [range(first, first + len(rows)), *zip(*rows, strict=True)]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )
