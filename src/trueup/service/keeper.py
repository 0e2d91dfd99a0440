# SPDX-License-Identifier: Apache-2.0
"""The keeper of one loop: it ticks when there is a reason to, and has its cycles run beside it.

Three threads touch a keeper: the service's own, which notices what has changed; one that ticks
(install, move the release on, look); and, while a cycle runs, one that performs it, so that the
guardrails of a release are looked at while the next candidate is trained.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.alerts import Alert, tell
from trueup.core.clock import from_us, to_us
from trueup.core.errors import Busy, Held, Refused, TrueupError
from trueup.core.json import sha256
from trueup.loop import Context, Loop, again, finish, tick
from trueup.loop.facts import LedgerFacts
from trueup.loop.pipeline import Drive, follow
from trueup.service.board import Board, now
from trueup.service.log import Log
from trueup.state import LoopState, read
from trueup.store import lock

if TYPE_CHECKING:
    from trueup.store import Ledger

FIRST, LAST = 5.0, 300.0  # seconds before the first and the last of the growing retries
DAY_US = 86_400_000_000
SHARE = 20.0              # a tick that events alone cause comes after so many times the last one's seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two ticks of a running release: at least, when facts come in; at most, when
    only time passes. `plan` is how old the answer to "what would a look do" may be."""

    events: float = 5.0
    release: float = 60.0
    plan: float = 300.0


class Keeper(threading.Thread):
    """Keeps one loop, until it is stopped."""

    def __init__(
        self, loop: Loop, base: Path, ledger: Ledger, board: Board, log: Log, *, pace: Pace,
        drive: Drive = follow, told: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name=f"loop-{loop.name}", daemon=True)
        self.loop, self._base, self._ledger, self._board, self._log = loop, base, ledger, board, log
        self._pace, self._drive, self._told = pace, drive, told
        self._wake, self._over, self._hold = threading.Event(), threading.Event(), threading.Event()
        self._cycle: _Cycle | None = None
        self._generation, self._signals = -1, -1
        self._asked = True  # a request that came while no service ran
        self._next: datetime | None = None
        self._releasing, self._dirty = False, True
        self._ticked, self._cost, self._planned = 0.0, 0.0, -float("inf")
        self._ticks, self._runs = Backoff(), Backoff()  # a run that fails is tried less and less, whatever ticks meanwhile

    # -- called by the service ---------------------------------------------------------------------

    def adopt(self, loop: Loop) -> None:
        """Go on under this definition: what was begun ends under its own."""
        self.loop = loop
        self._planned = -float("inf")
        if loop.mode == "observe":
            self._hold.set()
        self._wake.set()

    def context(self) -> Context:
        """The loop as it is defined now, for whoever follows the ledger."""
        return Context(self.loop, self._ledger, base=self._base)

    def stop(self) -> None:
        """Ask it to end: a training writes its checkpoint first."""
        self._over.set()
        self._wake.set()

    def notice(self, changed: bool) -> None:
        """See whether there is a reason to tick. Cheap: called several times a second."""
        name, ledger = self.loop.name, self._ledger
        if changed or self._generation < 0:
            generation, state = read(ledger, name)
            if generation != self._generation:
                self._say_decisions(generation)
                self._generation = generation
                self._react(state)
                self._ticks.until = self._runs.until = 0.0
                self._wake.set()
            signals = ledger.count(name, "signal")
            if signals != self._signals:
                self._signals, self._asked = signals, True
                self._wake.set()
            self._dirty = True
        since = time.monotonic() - self._ticked
        if time.monotonic() < self._ticks.until:
            return
        due = self._next is not None and ledger.clock.now() >= self._next
        quick = self._dirty and since >= max(self._pace.events, SHARE * self._cost)
        if due or self._ticks.due or self._runs.due or (self._releasing and (quick or since >= self._pace.release)):
            self._wake.set()

    def _react(self, state: LoopState) -> None:
        """Hold the running cycle where a decision has taken away what it works on."""
        cycle = self._cycle
        if cycle is None:
            return
        gone = state.cycle is None or state.cycle.id != cycle.id
        if gone or state.paused is not None or (state.champion != cycle.champion and self._rolled_back(cycle)):
            self._hold.set()

    def _rolled_back(self, cycle: _Cycle) -> bool:
        found = self._ledger.decisions(self.loop.name, kind="rollback", newest=True, limit=1)
        return bool(found) and found[0].generation > cycle.generation

    def _say_decisions(self, generation: int) -> None:
        if self._generation >= 0:
            for one in self._ledger.decisions(self.loop.name, after=self._generation):
                if one.generation > generation:
                    break
                self._log.say(
                    self.loop.name, f"{one.verdict} {one.kind}: {one.reason}", kind=one.kind, verdict=one.verdict,
                    id=one.id, actor=one.actor, subject=one.subject,
                )

    # -- its own thread ----------------------------------------------------------------------------

    def run(self) -> None:
        while not self._over.is_set():
            try:
                with lock(self._ledger.home, f"run-{self.loop.name}", wait=0.2):
                    self._board.note(self.loop.name, waits=None)
                    self._keep()
            except Busy as busy:
                self._board.note(self.loop.name, waits=busy.message)
                self._over.wait(0.5)

    def _keep(self) -> None:
        """Tick whenever it is woken, until it is stopped."""
        self._wake.set()
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._over.is_set():
                break
            self.attempt()
        if (cycle := self._cycle) is not None:
            cycle.thread.join()

    def once(self) -> None:
        """Tick until nothing is left to do now, cycles included; what fails is left in `failure`."""
        try:
            with lock(self._ledger.home, f"run-{self.loop.name}"):
                while True:
                    self._wake.clear()
                    self.attempt()
                    self.notice(True)
                    if (cycle := self._cycle) is not None:
                        cycle.thread.join()
                    elif not self._wake.is_set() or self.failure is not None or self._over.is_set():
                        return
        except Busy as busy:
            self._ticks.error = busy

    def attempt(self) -> None:
        """One tick; what it raises is said, and it is tried again after a while."""
        began = time.monotonic()
        self._dirty = False
        try:
            self._tick()
        except Held:
            return
        except Exception as error:  # whatever it is, the service lives on
            self._failed(self._ticks, "the tick", error)
        else:
            self._works(self._ticks)
        self._ticked = time.monotonic()
        self._cost = self._ticked - began
        self._told()

    def _tick(self) -> None:
        name, ledger = self.loop.name, self._ledger
        context = Context(
            self.loop, ledger, base=self._base, stop=self._over.is_set, progress=partial(self._progress, cycle=False),
        )
        wanted, self._asked = self._asked, False  # before the signals are read: one that comes later asks again
        try:
            asked = wanted and self._training_asked(context)
            _, state = read(ledger, name)
            done = tick(context, now=asked, drive=None, held=True)
        except BaseException:
            self._asked |= wanted
            raise
        if asked and (state.cycle is not None or state.paused is not None):
            self._asked = True  # when the cycle has ended
        generation, state = read(ledger, name)
        self._releasing = state.release is not None
        begun = state.cycle is not None and self.loop.mode != "observe"  # which leaves it as it stands
        self._next = done.next_look
        self._board.note(
            name, next_look=None if self._next is None else self._next.isoformat(), digest=context.digest[:12],
        )
        if self._cycle is None:
            self._board.doing(name, None)
            if begun and state.paused is None and not self._over.is_set() and time.monotonic() >= self._runs.until:
                self._runs.until = 0.0
                self._begin(generation, state)
        if done.decisions or (self._dirty_plan() and not self._over.is_set()):
            self._plan(context)

    def _training_asked(self, context: Context) -> bool:
        """Whether a person has asked for a training since the last look."""
        _, state = read(self._ledger, self.loop.name)
        since = None if state.looked is None else from_us(state.looked)
        now = to_us(self._ledger.clock.now())
        facts = LedgerFacts(self.loop, self._ledger, state, cut=self._ledger.cut(), now=now)
        return bool(facts.signals("train", since))

    def _progress(self, what: str, done: int, total: int, *, cycle: bool) -> None:
        if cycle or self._cycle is None:
            self._board.doing(self.loop.name, what, done, total)

    # -- cycles ------------------------------------------------------------------------------------

    def _begin(self, generation: int, state: LoopState) -> None:
        """Have the cycle that the state names performed beside the ticks."""
        assert state.cycle is not None
        self._hold = hold = threading.Event()
        here = Context(
            self.loop, self._ledger, base=self._base, progress=partial(self._progress, cycle=True),
            stop=lambda: hold.is_set() or self._over.is_set(),
        )
        thread = threading.Thread(target=self._perform, args=(here,), name=f"cycle-{self.loop.name}", daemon=True)
        self._cycle = _Cycle(state.cycle.id, state.champion, generation, thread)
        self._log.say(self.loop.name, f"run {state.cycle.id} begins, or goes on", run=state.cycle.id)
        thread.start()
        self._react(read(self._ledger, self.loop.name)[1])  # what was noticed before there was a cycle to hold

    def _perform(self, context: Context) -> None:
        cycle = self._cycle
        assert cycle is not None
        try:
            again(partial(finish, drive=self._drive), context)
            self._works(self._runs)
        except Held:
            self._board.doing(self.loop.name, None)
            self._log.say(self.loop.name, f"run {cycle.id} is held, and goes on from where it stopped", run=cycle.id)
        except Exception as error:
            self._failed(self._runs, f"run {cycle.id}", error)
        finally:
            self._cycle = None
            if not self._runs.until:
                self._wake.set()

    @property
    def failure(self) -> Exception | None:
        """What the last tick, or the last run, has raised."""
        return self._ticks.error or self._runs.error

    def _works(self, part: Backoff) -> None:
        """Say that what failed does so no more, once nothing else fails."""
        if part.over() and self.failure is None:
            self._board.note(self.loop.name, error=None)
            self._log.say(self.loop.name, "it works again")

    def _failed(self, part: Backoff, what: str, error: Exception) -> None:
        """Say it, once for each kind of failure, and wait longer each time."""
        words = error.message if isinstance(error, TrueupError) else f"{type(error).__name__}: {error}"
        cure = getattr(error, "cure", "")
        new = part.failed(error, words)
        self._board.note(self.loop.name, error={"what": what, "error": words, "cure": cure, "at": now(), "tries": part.tries})
        if new:
            self._log.say(self.loop.name, f"{what} failed, and is tried again: {words}", "error", cure=cure)
            with suppress(Exception):  # the ledger itself may be what fails
                at = to_us(self._ledger.clock.now())
                key = f"failed/service/{sha256(words)[:16]}/{at // DAY_US}"
                tell(self._ledger, Alert(key, self.loop.name, "failed", "error", f"{what} failed: {words}", at, "trueup status"))

    # -- what a look would do ----------------------------------------------------------------------

    def _dirty_plan(self) -> bool:
        return time.monotonic() - self._planned >= max(self._pace.plan, SHARE * self._cost)

    def _plan(self, context: Context) -> None:
        """Find out what a look would do now; its answer is for people, and as old as it says."""
        try:
            found = context.loop.plan(self._ledger)
        except Exception as error:  # it is said again by the look itself
            self._board.note(self.loop.name, would={"reason": f"cannot be told: {error}", "trains": None, "at": now()})
        else:
            self._board.note(self.loop.name, would={
                "trains": found.trains, "reason": found.look.reason, "at": now(), "new_rows": found.new_rows,
            })
        self._planned = time.monotonic()


@dataclass(frozen=True, slots=True)
class _Cycle:
    """A cycle at work: what it had before it when it began."""

    id: str
    champion: str | None
    generation: int
    thread: threading.Thread


class Backoff:
    """What has failed, and when it is tried again: after 5 s, 10, 20, and five minutes at most."""

    def __init__(self) -> None:
        self.tries, self.until, self._words = 0, 0.0, ""
        self.error: Exception | None = None

    def failed(self, error: Exception, words: str) -> bool:
        """Wait longer than the last time; whether these words are new."""
        self.tries += 1
        seconds = min(LAST, FIRST * 2.0 ** min(self.tries - 1, 10))
        if isinstance(error, Refused):  # no time cures it, a person may
            seconds = LAST
        self.until, self.error = time.monotonic() + seconds, error
        before, self._words = self._words, words
        return before != words

    @property
    def due(self) -> bool:
        """Whether the wait after a failure has passed."""
        return 0.0 < self.until <= time.monotonic()

    def over(self) -> bool:
        """Forget the failures; whether there were any."""
        before = self.tries
        self.tries, self.until, self.error, self._words = 0, 0.0, None, ""
        return before > 0
