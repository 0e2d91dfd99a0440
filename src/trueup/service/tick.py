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
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from trueup.alerts import Alert, tell
from trueup.core.clock import to_us
from trueup.core.secrets import masked
from trueup.core.values import resolve
from trueup.loop import Context
from trueup.service.board import Board, now
from trueup.service.log import Log

EVERY = 60.0  # seconds after which a projection is called although nothing has happened
FIRST, LAST = 5.0, 900.0  # seconds before the first and the last of the growing retries
TOLD = 4      # failures in a row, half a minute in all, after which people are told
DAY_US = 86_400_000_000


_NONE: Mapping[str, str | None] = {}


@dataclass(frozen=True, slots=True)
class Projection:
    """A name for people, `package.module:function`, loaded when it is first called, and the command
    that helps where it fails."""

    name: str
    function: str
    helps: str = "trueup status"

    def __call__(self, context: Context) -> None:
        resolve(self.function)(context)


PROJECTIONS: list[Projection] = [
    Projection("registry", "trueup.loop.publishing:follow", "trueup registry publish"),
    Projection("keep", "trueup.loop.keeping:sweep", "trueup prune --dry"),
    Projection("alerts", "trueup.loop.telling:tell_people", "trueup alerts"),
]
"""All of them, in the order in which `run` calls them."""


def project(context: Context, done: Mapping[str, str | None] = _NONE) -> dict[str, str]:
    """Call every projection once, here and now; the errors of those that failed, by name. Whoever
    calls once a look has no second try to wait for: people are told at once. `done` names those that
    the caller has seen to already, with their errors."""
    failed = {}
    for one in PROJECTIONS:
        words = done.get(one.name)
        if one.name not in done:
            try:
                one(context)
            except Exception as error:  # whatever it is, the loop goes on
                words = _words(error)
        if words is not None:
            failed[one.name] = words
            _tell(one, context, words)
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
            elif tries == TOLD:
                _tell(self._projection, context, _words(error))
        else:
            if self._tries.pop(loop, 0):
                self._again.pop(loop, None)
                self._board.projection(f"{name}/{loop}", None)
                self._log.say(loop, f"{name} is there again")


def _tell(one: Projection, context: Context, words: str) -> None:
    """Raise the alert of a projection that fails: once a day, for as long as it does."""
    with suppress(Exception):  # the ledger itself may be what fails
        at = to_us(context.ledger.clock.now())
        tell(context.ledger, Alert(
            f"projection/{one.name}/{at // DAY_US}", context.loop.name, "projection", "warning",
            f"{one.name} does not follow (no decision waits for it, and it is tried again): {words}", at, one.helps,
        ))


def _words(error: Exception) -> str:
    words = getattr(error, "message", None)
    return masked(words if isinstance(words, str) else f"{type(error).__name__}: {error}")[:500]
