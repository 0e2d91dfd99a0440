# SPDX-License-Identifier: Apache-2.0
"""The client's ledger: opened when it is first needed, and tried again when that failed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.clock import Clock
from trueup.core.errors import StoreError, TrueupError

if TYPE_CHECKING:
    from trueup.store import Ledger

RETRY = 1.0
"""Seconds between two attempts to open a ledger that would not open."""


class Source:
    """Gives the ledger, or raises StoreError, at once while the last attempt is fresh.

    A home that vanished is noticed: what is written to a deleted file would be acknowledged and
    lost. One that came back is opened again, but a ledger is created only at the very first.
    """

    def __init__(self, home: Path, clock: Clock) -> None:
        self.home = home
        self._clock = clock
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._identity: tuple[int, int] | None = None
        self._failure: StoreError | None = None
        self._retry_at = 0.0
        self._closed = False

    def get(self) -> Ledger:
        """The open ledger."""
        ledger = self._ledger
        return ledger if ledger is not None and self._seen() == self._identity else self._open()

    def close(self) -> None:
        """Close the ledger; `get` raises from now on."""
        with self._lock:
            self._closed = True
            ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()

    def _open(self) -> Ledger:
        with self._lock:
            if self._closed:
                raise StoreError("expected an open client, got a closed one", cure="connect again")
            if self._failure is not None and time.monotonic() < self._retry_at:
                raise self._failure
            try:
                from trueup.store import Ledger

                self._ledger = Ledger.open(
                    self.home, clock=self._clock, create=self._identity is None
                )
                self._identity = self._seen()
            except Exception as error:
                self._failure = as_store_error(error, f"expected a ledger in {self.home}")
                self._retry_at = time.monotonic() + RETRY
                raise self._failure from error
            self._failure = None
            return self._ledger

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
