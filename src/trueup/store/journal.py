# SPDX-License-Identifier: Apache-2.0
"""What a ledger needs of a journal: facts in order, decisions and records, and the catalogue of sealed history.

`trueup.store.sqlite` keeps it in a file, `trueup.store.memory` in this process; one suite of tests
holds both (`tests/store`). `docs/design/journal.md` says what a third one, over Postgres, has to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from trueup.core.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from trueup.core.decisions import Decision

Row: TypeAlias = tuple[Any, ...]
"""The fields of an Event in their order, checked, `received` filled in."""


class Record(NamedTuple):
    """A record as it is kept: `at` in microseconds, `body` canonical JSON."""

    id: str
    at: int
    body: str


class Link(NamedTuple):
    """A decision as it is kept: `digest` is the SHA-256 of `body`, `previous` that of the one before."""

    loop: str
    generation: int
    digest: str
    previous: str | None
    at: int
    kind: str
    verdict: str
    subject: str | None
    body: str


class State(NamedTuple):
    """A loop's state as it is kept: that of the decision with this digest."""

    loop: str
    generation: int
    digest: str
    body: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of sealed history, as the catalogue knows it: `sha256` is the logical digest of its rows,
    `bytes` the file's size; seq, ts and received from least to greatest, times in microseconds."""

    sha256: str
    loop: str
    kind: str
    rows: int
    bytes: int
    seq: tuple[int, int]
    ts: tuple[int, int]
    received: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Glance:
    """What a journal said at one moment: events up to `watermark` are read from segments, those after
    it, up to `last`, from the journal; `segments` were catalogued after the mark that was asked with,
    and `mark` is to be asked with next time."""

    watermark: int
    last: int
    segments: tuple[Segment, ...]
    mark: int


@dataclass(frozen=True, slots=True)
class Ailment:
    """One thing that is wrong (`error`), looks wrong (`warning`), or may be tidied (`note`)."""

    level: Literal["error", "warning", "note"]
    code: str
    message: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """A counter that says one number of events, and the number that there is."""

    loop: str
    kind: str
    counted: int
    stored: int


@dataclass(frozen=True, slots=True)
class SealedIds:
    """How many ids of sealed events are kept, how many rows are sealed, and how many of those still
    stand in the journal; `kept == sealed - left` where all is well."""

    kept: int
    sealed: int
    left: int


class Tail(Protocol):
    """Reads the journal's events as Arrow tables of `trueup.store._arrow.SCHEMA`, in order of seq.

    Not safe for threads: each reader opens its own.
    """

    def glance(self, mark: int) -> Glance:
        """Watermark, last seq and what was catalogued since a mark (0: all), at one moment."""

    def read(self, mark: int, after: int, *, rows: int) -> tuple[Glance, pa.Table]:
        """A glance, and of the same moment the first `rows` events after both `after` and the watermark."""

    def stretch(self, after: int, upto: int, *, rows: int) -> pa.Table:
        """The first `rows` events in (after, upto]."""

    def sealable(self, before_us: int | None) -> tuple[int, int]:
        """From which seq (exclusive) to which (inclusive) may be sealed: up to the first event that was
        received at `before_us` or later, or up to the last one."""

    def chunk_rows(self) -> int:
        """How many rows of average size may be held at once."""

    def close(self) -> None: ...


class Audit(Protocol):
    """All that the doctor looks at, as it is at one moment."""

    def damage(self, *, deep: bool) -> Iterator[Ailment]:
        """What is wrong with the storage itself; with `deep`, all of it is read."""

    def chain(self) -> Iterator[Link]:
        """All decisions, loop by loop, in order."""

    def states(self) -> Iterator[State]:
        """All states."""

    def wrong_counts(self) -> Iterator[Count]:
        """Counters that differ from the rows of journal and catalogue together."""

    def sealed_ids(self) -> SealedIds: ...

    def watermark(self) -> int: ...

    def latest(self) -> int:
        """The latest moment that is known of, in microseconds."""

    def segments(self) -> list[Segment]:
        """The catalogue, in the order of sealing."""

    def mentions(self) -> Iterator[str]:
        """The body of every decision and record in which an artifact may be named."""


class Journal(Protocol):
    """Facts, decisions and records of a home. Safe for threads.

    A call that writes is one transaction: all of it is durable when the call returns, as far as the
    journal is, and none of it is there where it raises. Reads see the last commit of any process.
    A closed journal, and a forked process that tries to write, get a StoreError.
    """

    # facts

    def append(self, rows: Sequence[Row]) -> int:
        """Add those whose (kind, id) is in neither journal nor sealed history, in order, each with the
        next seq, and count them; how many were new. Calls of several threads may share a commit.
        Raises DataError for a row that cannot be kept as it is, without harm to the calls beside."""

    def last_seq(self) -> int:
        """The greatest seq that is committed, 0 before the first event. No event at or below it
        appears later, and no seq is used twice, also after sealing."""

    def count(self, loop: str, kind: str) -> int:
        """How many events a loop has of a kind, sealed ones included, without counting them."""

    def version(self) -> int:
        """A number that changes with every commit of any process; comparable within this object."""

    # decisions

    def decide(self, decision: Decision, expect: int) -> Decision:
        """Append to a loop's chain and move its state, in one transaction (see `store._decisions.link`);
        raises Conflict where the loop's generation is not `expect`."""

    def state(self, loop: str) -> tuple[int, str]:
        """A loop's generation and its state as JSON; (0, "{}") before its first decision."""

    def loops(self) -> list[str]:
        """Every loop that has an event, a state or a record, sorted by code point."""

    def decisions(
        self, loop: str, *, kind: str | None, subject: str | None, limit: int | None, newest: bool, after: int
    ) -> list[Decision]:
        """A loop's decisions after a generation, in order or the newest first."""

    def decisions_between(self, low: str, high: str, loop: str | None) -> list[Decision]:
        """The first five whose digest is at least `low` and below `high`."""

    # records

    def put(self, loop: str, kind: str, record: Record) -> bool:
        """Keep a record; False where one of that id is there already, which stands."""

    def get(self, loop: str, kind: str, ident: str) -> Record | None: ...

    def records(self, loop: str, kind: str, *, limit: int | None, newest: bool) -> list[Record]:
        """Records of a kind in the order in which they came, or the newest first."""

    # sealing: one process at a time, which holds the home's lock "seal"

    def tail(self) -> Tail:
        """A new reader of the events."""

    def enter(self, segments: Sequence[Segment], *, before: int, upto: int, at: int) -> None:
        """Enter files into the catalogue and move the watermark from `before` to `upto`, in one
        transaction; raises StoreError where it stands elsewhere."""

    def leave(self, rows: int) -> int:
        """Remember the ids of up to `rows` sealed events, and delete the events; how many they were."""

    def tidy(self) -> None:
        """Give back to the disk what deleted rows took, where that is possible now."""

    # keeping

    def audit(self) -> AbstractContextManager[Audit]:
        """Look at everything at one moment."""

    def size(self) -> int:
        """Bytes that the journal takes in the home, 0 where it lies elsewhere."""

    def close(self) -> None: ...


def closed() -> StoreError:
    """What a closed ledger raises."""
    return StoreError("expected an open ledger, got a closed one", cure="open it again")


def forked() -> StoreError:
    """What a ledger raises in a fork of the process that opened it."""
    return StoreError(
        "expected the process that opened the ledger, got a fork of it", cure="open the ledger after the fork"
    )
