# SPDX-License-Identifier: Apache-2.0
"""The client's ledger: opened when it is first needed, and tried again when that failed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.clock import Clock
from trueup.core.errors import StoreError, TrueupError

if TYPE_CHECKING:
    from trueup.store import Ledger

RETRY = 1.0
"""Seconds between two attempts to open a ledger that would not open."""

PAUSE = 5.0
"""Seconds that a fork waits for writes that are under way."""


class Source:
    """Lends the ledger, or raises StoreError, at once while the last attempt is fresh.

    A home that vanished is noticed: what is written to a deleted file would be acknowledged and
    lost. One that came back is opened again, but a ledger is created only at the very first.

    SQLite does not survive a fork: a child that inherits an open transaction finds the ledger
    locked for ever. So the ledger is closed around a fork (`pause`, `resume`), once nobody uses it.
    """

    def __init__(self, home: Path, clock: Clock) -> None:
        self.home = home
        self._clock = clock
        self._gate = threading.Condition()
        self._users = 0
        self._paused = False
        self._closed = False
        self._ledger: Ledger | None = None
        self._identity: tuple[int, int] | None = None
        self._failure: StoreError | None = None
        self._retry_at = 0.0

    @contextmanager
    def use(self) -> Iterator[Ledger]:
        """The open ledger, which stays open for the time of the block."""
        with self._gate:
            while self._paused:
                self._gate.wait()
            ledger = self._ledger
            if ledger is None or self._seen() != self._identity:
                ledger = self._open()
            self._users += 1
        try:
            yield ledger
        finally:
            with self._gate:
                self._users -= 1
                self._gate.notify_all()

    def close(self) -> None:
        """Close the ledger; `use` raises from now on."""
        with self._gate:
            self._closed = True
            self._let_go()

    def pause(self) -> None:
        """Before a fork: close the ledger when nobody uses it; who comes now waits."""
        with self._gate:
            self._paused = True
            if self._gate.wait_for(lambda: self._users == 0, timeout=PAUSE):
                self._let_go()

    def resume(self) -> None:
        """After a fork, in the parent: the ledger is opened again when it is needed."""
        with self._gate:
            self._paused = False
            self._gate.notify_all()

    def _let_go(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()

    def _open(self) -> Ledger:
        if self._closed:
            raise StoreError("expected an open client, got a closed one", cure="connect again")
        if self._failure is not None and time.monotonic() < self._retry_at:
            raise self._failure
        try:
            from trueup.store import Ledger

            opened = Ledger.open(self.home, clock=self._clock, create=self._identity is None)
        except Exception as error:
            self._failure = as_store_error(error, f"expected a ledger in {self.home}")
            self._retry_at = time.monotonic() + RETRY
            raise self._failure from error
        self._ledger, self._identity, self._failure = opened, self._seen(), None
        return opened

    def _seen(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.home)
        except OSError:
            return None
        return found.st_dev, found.st_ino


def as_store_error(error: Exception, what: str) -> StoreError:
    """Any failure below, as the error of the store that an application can catch."""
    if isinstance(error, StoreError):
        return error
    cure = error.cure if isinstance(error, TrueupError) else None
    text = error.message if isinstance(error, TrueupError) else f"{type(error).__name__}: {error}"
    return StoreError(f"{what}: {text}", cure=cure)
