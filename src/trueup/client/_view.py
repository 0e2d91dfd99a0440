# SPDX-License-Identifier: Apache-2.0
"""The client's view of the routing state: re-read soon after it changed, distrusted when it cannot be."""

from __future__ import annotations

import threading
from time import monotonic

from trueup.client._faults import Faults
from trueup.client._source import Source
from trueup.route import Routing

PERIOD = 0.010
"""Seconds between two looks at the ledger's change counter."""


class View:
    """`routing` is the last good one. While `trusted` is False nobody may be enrolled by it."""

    def __init__(self, loop: str, source: Source, faults: Faults) -> None:
        self.routing = Routing(None)
        self.trusted = False
        self.due = 0.0
        self.due_us = 0
        self._loop = loop
        self._source = source
        self._faults = faults
        self._lock = threading.Lock()
        self._version: tuple[object, int] | None = None

    def refresh(self, us: int, *, force: bool = False) -> None:
        """Look whether the ledger changed, and read the state if it did. Never raises.

        `us` is the client's clock: a clock that jumps ahead makes the next look due as well, so
        that a simulated day never sees yesterday's routing.
        """
        if not self._lock.acquire(blocking=force):
            return
        try:
            began, slow = monotonic(), 1.0
            try:
                self._read(force)
            except Exception as error:
                self.trusted, self._version, slow = False, None, 10.0
                self._faults.report("routing", error)
            now = monotonic()
            self.due = now + max(PERIOD, slow * (now - began))
            self.due_us = us + int(PERIOD * 1e6)
        finally:
            self._lock.release()

    def _read(self, force: bool) -> None:
        with self._source.use() as ledger:
            version = ledger.version()
            if (ledger, version) == self._version and not force:
                return
            generation, state = ledger.state(self._loop)
        none_yet = state.get("routing", {}) == {} and ("routing" not in state or self.routing.champion is None)
        if not none_yet:
            if generation != self.routing.generation or not self.trusted or force:
                self.routing = Routing.from_json(state["routing"], generation)
        else:
            self._faults.report("no_routing", "no champion yet: the state has no routing")
            self.routing = Routing(self.routing.champion, generation=generation)
        self.trusted, self._version = True, (ledger, version)
