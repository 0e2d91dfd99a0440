# SPDX-License-Identifier: Apache-2.0
"""What follows the ledger: projections that the service, and `run`, call after each tick.

A projection is a function `(Context) -> None` that brings something outside (a registry, people's
inboxes) up to what the ledger says of one loop. It is called often, may be killed at any point, and
has to find out by itself what is new. What it raises is recorded and tried again with back-off; it
never holds up a loop, since each has a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trueup.core.values import resolve
from trueup.loop import Context
from trueup.service.board import Board, now
from trueup.service.log import Log

EVERY = 60.0  # seconds after which a projection is called although nothing has happened
FIRST, LAST = 5.0, 900.0  # seconds before the first and the last of the growing retries


@dataclass(frozen=True, slots=True)
class Projection:
    """A name for people, and `package.module:function`, loaded when it is first called."""

    name: str
    function: str

    def __call__(self, context: Context) -> None:
        resolve(self.function)(context)


PROJECTIONS: list[Projection] = [
    Projection("registry", "trueup.loop.publishing:follow"),
    Projection("alerts", "trueup.loop.telling:tell_people"),
]
"""All of them, in the order in which `run` calls them."""


def project(context: Context) -> dict[str, str]:
    """Call every projection once, here and now; the errors of those that failed, by name."""
    failed = {}
    for one in PROJECTIONS:
        try:
            one(context)
        except Exception as error:  # whatever it is, the loop goes on
            failed[one.name] = _words(error)
    return failed


class Projector(threading.Thread):
    """Calls one projection for every loop, whenever it is poked, until it is stopped."""

    def __init__(
        self, projection: Projection, contexts: Callable[[], Iterable[Context]], board: Board, log: Log
    ) -> None:
        super().__init__(name=f"projection-{projection.name}", daemon=True)
        self._projection, self._contexts, self._board, self._log = projection, contexts, board, log
        self._poked = threading.Event()
        self._over = threading.Event()
        self._tries: dict[str, int] = {}
        self._again: dict[str, float] = {}

    def poke(self) -> None:
        self._poked.set()

    def stop(self) -> None:
        self._over.set()
        self._poked.set()

    def run(self) -> None:
        while not self._over.is_set():
            rest = [at - time.monotonic() for at in self._again.values()]
            self._poked.wait(max(0.05, min([EVERY, *rest])))
            self._poked.clear()
            if not self._over.is_set():
                for context in self._contexts():
                    self._one(context)

    def _one(self, context: Context) -> None:
        loop, name = context.loop.name, self._projection.name
        if time.monotonic() < self._again.get(loop, 0.0):
            return
        try:
            self._projection(context)
        except Exception as error:
            tries = self._tries[loop] = self._tries.get(loop, 0) + 1
            wait = min(LAST, FIRST * 2.0 ** (tries - 1))
            self._again[loop] = time.monotonic() + wait
            self._board.projection(f"{name}/{loop}", {
                "error": _words(error), "tries": tries, "at": now(), "wait": wait,
            })
            if tries == 1:
                self._log.say(loop, f"{name} failed, and is tried again: {_words(error)}", "warning")
        else:
            if self._tries.pop(loop, 0):
                self._again.pop(loop, None)
                self._board.projection(f"{name}/{loop}", None)
                self._log.say(loop, f"{name} is there again")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'message', error)}"[:500]
