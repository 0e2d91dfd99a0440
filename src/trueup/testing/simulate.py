# SPDX-License-Identifier: Apache-2.0
"""Loops are tested like code: weeks pass in a test, on a clock that the test moves (TRU-14)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from trueup.client import Client, connect
from trueup.core.clock import ManualClock, from_us, utc
from trueup.core.decisions import Decision
from trueup.core.events import Event
from trueup.core.ids import Ids
from trueup.loop import Loop, run
from trueup.store import Ledger

if TYPE_CHECKING:
    from trueup.loop.context import Progress


@runtime_checkable
class Traffic(Protocol):
    """Whatever sends requests and feedback."""

    def play(self, client: Client, clock: ManualClock, until: datetime) -> None:
        """Use the client as an application would, moving the clock on to `until` at most."""
        ...


@dataclass
class Simulation:
    """What happened: the ledger, and every Decision in order."""

    ledger: Ledger
    home: Path
    decisions: list[Decision] = field(default_factory=list)

    def kinds(self) -> list[tuple[str, str]]:
        """(kind, verdict) of every Decision, for asserting a course of events."""
        return [(decision.kind, decision.verdict) for decision in self.decisions]

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()


def simulate(
    loop: Loop, events: Traffic | Iterable[Event], seed: int = 0, *, start: datetime, until: datetime,
    every: timedelta = timedelta(days=1), home: Path | None = None, base: Path | None = None,
    after: Callable[[Ledger, list[Decision]], Any] | None = None, progress: Progress | None = None,
    remember: bool = True,
) -> Simulation:
    """Run a loop from `start` to `until` on a fake clock, calling `run` once every `every`.

    `events` is an application (a Traffic), or the rows of a ledger to replay in the order in which
    they became known. `after(ledger, decisions)` is called after each run with what it decided:
    the place where a test's people approve. The same arguments give the same Decisions. The ledger
    lies in `home` (a new temporary folder where it is None) and is open on return: close it, or
    use the result in a `with`. Over years, `remember=False` leaves the Decisions to the ledger.
    """
    home = home or Path(tempfile.mkdtemp(prefix="trueup-"))
    clock = ManualClock(start)
    ledger = Ledger.open(home, clock=clock)
    made = Simulation(ledger, home)
    until = utc(until)
    source: Traffic = events if isinstance(events, Traffic) else _Replay(ledger, iter(events))
    client = connect(
        loop.name, home, clock=clock, ids=Ids(clock, seed), acknowledge="enqueue"
    )
    try:
        while True:
            client.flush()
            found = run(loop, ledger, base=base, progress=progress)
            if remember:
                made.decisions.extend(found)
            if after is not None:
                after(ledger, found)
            client.refresh()
            if clock.now() >= until:
                return made
            next_tick = min(clock.now() + every, until)
            source.play(client, clock, next_tick)
            client.flush()
            clock.move_to(next_tick)
    except BaseException:
        ledger.close()
        raise
    finally:
        client.close()


class _Replay:
    """Rows of a ledger, appended as their time comes."""

    def __init__(self, ledger: Ledger, rows: Iterator[Event]) -> None:
        self._ledger, self._rows, self._next = ledger, rows, next(rows, None)

    def play(self, client: Client, clock: ManualClock, until: datetime) -> None:
        batch: list[Event] = []
        while self._next is not None and from_us(self._next.received or self._next.ts) <= until:
            row = self._next
            batch.append(row if row.received else row._replace(received=row.ts))
            self._next = next(self._rows, None)
        for start in range(0, len(batch), 5_000):
            self._ledger.append(batch[start : start + 5_000])
