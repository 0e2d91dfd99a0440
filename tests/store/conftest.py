# SPDX-License-Identifier: Apache-2.0
"""A ledger over each journal that there is, in a folder of its own, and events to put in it.

What stands in this folder holds of every journal; `sqlite/` holds what is true of its file only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from trueup.core import Clock, Event, ManualClock, SystemClock
from trueup.store import Ledger
from trueup.store.memory import MemoryJournal, Tables


class Place(Protocol):
    """Where a ledger lies: every `open` is a ledger of its own over the same journal and files."""

    def open(self) -> Ledger: ...


class SqlitePlace:
    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self._home, self._clock = home, clock

    def open(self) -> Ledger:
        return Ledger.open(self._home, clock=self._clock)


class MemoryPlace:
    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self._home, self._clock, self._tables = home, clock or SystemClock(), Tables()

    def open(self) -> Ledger:
        return Ledger(self._home, self._clock, MemoryJournal(self._tables))


@pytest.fixture(scope="module", params=[SqlitePlace, MemoryPlace], ids=["sqlite", "memory"])
def new_place(request: pytest.FixtureRequest) -> Callable[..., Place]:
    """Makes a place of a folder and perhaps a clock."""
    found: Callable[..., Place] = request.param
    return found


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def place(new_place: Callable[..., Place], tmp_path: Path, clock: ManualClock) -> Place:
    return new_place(tmp_path / "home", clock)


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    with place.open() as opened:
        yield opened


@pytest.fixture
def asked() -> Callable[..., Event]:
    def make(ident: str, ts: int = 10, **more: Any) -> Event:
        fields = {"unit": "u", "input": '"in"', "output": '"out"', "candidate": "c-1", "arm": "champion"}
        return Event(id=ident, loop="l", kind="interaction", ts=ts, **{**fields, **more})

    return make
