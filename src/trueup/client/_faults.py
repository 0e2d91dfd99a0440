# SPDX-License-Identifier: Apache-2.0
"""What went wrong without the application noticing: told once a minute, and to the ledger later."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from typing import Any, NamedTuple

logger = logging.getLogger("trueup.client")
EVERY = 60.0
"""Seconds between two log lines, or two signals, of one kind."""


class Notice(NamedTuple):
    """A signal that waits for the ledger."""

    name: str
    key: str | None
    times: int
    message: str = ""

    def facts(self) -> dict[str, Any]:
        """What the signal says."""
        if self.name == "client_fault":
            return {"fault": self.key, "count": self.times, "message": self.message}
        what = "release" if self.name == "exposures_lost" else "kind"
        return {what: self.key, "count": self.times}


class Faults:
    """Counts faults by kind, and exposures and events that were lost. No method raises."""

    def __init__(self, loop: str) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: Counter[tuple[str, str | None]] = Counter()
        self._messages: dict[str | None, str] = {}
        self._logged: dict[str, float] = {}
        self._signalled: dict[str | None, float] = {}

    def report(self, kind: str, error: BaseException | str) -> None:
        """A fault that the champion covered for."""
        message = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else error
        now = time.monotonic()
        with self._lock:
            self._waiting["client_fault", kind] += 1
            self._messages[kind] = message[:500]
            quiet = now - self._logged.get(kind, -EVERY) < EVERY
            if not quiet:
                self._logged[kind] = now
        if not quiet:
            with contextlib.suppress(Exception):
                logger.warning("loop %s: %s: %s", self._loop, kind, message)

    def lost_exposure(self, release: str | None) -> None:
        """An enrolled unit was served by the champion, because its assignment could not be recorded."""
        with self._lock:
            self._waiting["exposures_lost", release] += 1

    def lost_event(self, kind: str) -> None:
        """An event of this kind will never be in the ledger."""
        with self._lock:
            self._waiting["events_lost", kind] += 1

    def take(self, *, everything: bool = False) -> list[Notice]:
        """What should be told to the ledger now; the caller gives it back if that fails."""
        if not self._waiting:
            return []
        now = time.monotonic()
        with self._lock:
            due = [
                Notice(name, key, count, self._messages.get(key, ""))
                for (name, key), count in self._waiting.items()
                if everything or name != "client_fault" or now - self._signalled.get(key, -EVERY) >= EVERY
            ]
            for notice in due:
                del self._waiting[notice.name, notice.key]
                if notice.name == "client_fault":
                    self._signalled[notice.key] = now
        return due

    def give_back(self, notices: list[Notice]) -> None:
        """The ledger did not hear: these wait for the next write."""
        with self._lock:
            for notice in notices:
                self._waiting[notice.name, notice.key] += notice.times
                self._signalled.pop(notice.key, None)
