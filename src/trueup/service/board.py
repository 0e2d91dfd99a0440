# SPDX-License-Identifier: Apache-2.0
"""What the service is doing, for whoever looks: a small file of the home, rewritten as it changes.

The file is words for people. Who holds the home is what its lock says, and what was decided is what
the ledger says; a board that is old, torn or gone misleads nobody about either.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trueup.core.files import write_whole
from trueup.store.locks import holder

FILE, LOCK = "service.json", "up"
EVERY = 0.5  # seconds between two writes at least


class Board:
    """The state of the service, written by its main thread, filled by all."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._data: dict[str, Any] = {"pid": os.getpid(), "since": now(), "loops": {}, "projections": {}}
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # the loops' threads write too, and all by one temporary file
        self._dirty, self._written = True, 0.0

    def note(self, loop: str, **facts: Any) -> None:
        """Set some facts of a loop."""
        with self._lock:
            self._data["loops"].setdefault(loop, {}).update(facts)
            self._dirty = True

    def doing(self, loop: str, what: str | None, done: int = 0, total: int = 0) -> None:
        """Say what a loop's work is at; its beginning is kept while the first word stays."""
        with self._lock:
            before = self._data["loops"].setdefault(loop, {}).get("doing")
            since = before["since"] if before and what and _word(before["what"]) == _word(what) else now()
            found = {"what": what, "since": since, "done": done, "total": total} if what else None
            self._data["loops"][loop]["doing"] = found
            self._dirty = True

    def projection(self, name: str, facts: dict[str, Any] | None) -> None:
        """Say how a projection fails, or that it does no more."""
        with self._lock:
            if facts is None:
                self._data["projections"].pop(name, None)
            else:
                self._data["projections"][name] = facts
            self._dirty = True

    def forget(self, loop: str) -> None:
        with self._lock:
            self._data["loops"].pop(loop, None)
            self._dirty = True

    def read(self) -> dict[str, Any]:
        """A copy of all of it."""
        with self._lock:
            found: dict[str, Any] = json.loads(json.dumps(self._data, default=str))
            return found

    def catch_up(self) -> None:
        """Have everything noted so far in the file: whoever reads a line of the log finds the same in `status`."""
        with self._writing:
            if self._dirty:
                self._put()

    def write(self, *, force: bool = False) -> None:
        """Write the file where something has changed, twice a second at most."""
        if force or (self._dirty and time.monotonic() - self._written >= EVERY):
            with self._writing:
                self._put()

    def _put(self) -> None:
        with self._lock:
            text, self._dirty = json.dumps(self._data, default=str), False
        self._written = time.monotonic()
        with suppress(OSError):  # on a full disk the work goes on, and only this is old
            write_whole(self._path, text, durable=False)  # after a crash of the machine nobody serves here


def service(home: Path) -> dict[str, Any] | None:
    """Who holds a home, with what it is doing, or None where no service runs there: `{"pid", "host",
    "command", "since", "loops": {name: {...}}, "projections": {...}}`. Light: reads two small files."""
    if not (home / "locks" / f"{LOCK}.lock").exists():
        return None
    who = holder(home, LOCK)
    if who is None:
        return None
    board: Any = {}
    with suppress(OSError, ValueError):
        board = json.loads((home / FILE).read_text("utf-8"))
    if not isinstance(board, dict) or board.get("pid") != who.get("pid", board.get("pid")):
        board = {}  # that of a service before this one
    return {"loops": {}, "projections": {}, **board, **who}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _word(what: str) -> str:
    return what.partition(":")[0]
