# SPDX-License-Identifier: Apache-2.0
"""`up`: one process that keeps the loops of a home for months (ORC-04)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from trueup.core.errors import ArgumentError, Busy
from trueup.core.memory import settle
from trueup.loop.pipeline import Drive, follow
from trueup.service.board import LOCK, Board
from trueup.service.durable import driver
from trueup.service.keeper import Keeper, Pace
from trueup.service.log import Line, Log
from trueup.service.sources import Source, sources
from trueup.service.tick import PROJECTIONS, Projector, project
from trueup.store import Ledger, lock

if TYPE_CHECKING:
    from trueup.core.clock import Clock

POLL = 0.2    # seconds between two looks at the ledger's version and at the clock
FILES = 1.0   # seconds between two looks at the loop files
PATIENCE = 30.0  # seconds that a stop takes at most, checkpoints included


class Service:
    """The loops of some files, kept over one home. `stop` may be called from any thread, and from a
    signal handler; `board` says what is going on."""

    def __init__(
        self, files: Sequence[Path | str], home: Path, *, clock: Clock | None = None, pace: Pace = Pace(),
        durable: str | None = None, tell: Callable[[Line], None] = lambda _: None,
    ) -> None:
        if not files:
            raise ArgumentError("expected a loop file, got none", cure="trueup up loop.py")
        self.home, self._clock, self._pace, self._durable = Path(home), clock, pace, durable
        self._files = [Path(file) for file in files]
        self._tell = tell
        self._over = threading.Event()
        self._keepers: dict[str, Keeper] = {}
        self._projectors: list[Projector] = []
        self.board = Board(self.home)
        self.stuck = False
        """Once it has ended: whether threads of the engine still wait for a server that is away, and would
        hold up the end of the process."""

    def stop(self) -> None:
        """End it: trainings write their checkpoints, and go on at the next start."""
        self._over.set()

    def serve(self, *, once: bool = False, lasting: timedelta | None = None) -> None:
        """Keep the loops until `stop`, for some time, or (`once`) until nothing is due.

        Raises Busy, naming the process, where another service holds the home; with `once`, what a
        loop's work raised.
        """
        settle()
        with self._holding(), Ledger.open(self.home, clock=self._clock) as ledger:
            self._log = Log(self.home, self._tell, before=self.board.catch_up)
            self._engine = durable = driver(self.home, self._durable, self._log.say)
            self._drive: Drive = durable or follow
            try:
                self._sources = sources(self._files)
                for source in self._sources:
                    self._adopt(source, ledger)
                self._log.say("", f"up: {', '.join(self._keepers)} in {self.home}", pid=os.getpid())
                self._serve(ledger, once, lasting)
            finally:
                if durable is not None:
                    durable.close()
                    self.stuck = durable.stuck
                self._log.say("", "down", pid=os.getpid())
                self._log.close()

    @contextmanager
    def _holding(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            with lock(self.home, LOCK):
                yield
        except Busy as busy:
            if repr(LOCK) not in busy.message:
                raise
            raise Busy(
                busy.message.replace(repr(LOCK), f"the home {self.home}"),
                cure="one service keeps a home: name all loop files there, or stop it; trueup status says what it does",
            ) from None

    def _serve(self, ledger: Ledger, once: bool, lasting: timedelta | None) -> None:
        end = float("inf") if lasting is None else time.monotonic() + lasting.total_seconds()
        if once:
            self._once(ledger)
            return
        self._projectors = [
            Projector(one, lambda: [keeper.context() for keeper in list(self._keepers.values())], self.board, self._log)
            for one in PROJECTIONS
        ]
        for keeper in self._keepers.values():
            keeper.notice(True)  # before its first tick, so that what that one decides is said
        for thread in (*self._keepers.values(), *self._projectors):
            thread.start()
        try:
            self._watch(ledger, end)
        finally:
            self._end()

    def _watch(self, ledger: Ledger, end: float) -> None:
        """Notice what changes: the ledger's version, the clock, the loop files."""
        version, files = -1, time.monotonic()
        while not self._over.is_set() and time.monotonic() < end:
            seen = ledger.version()
            for keeper in self._keepers.values():
                keeper.notice(seen != version)
            version = seen
            if time.monotonic() - files >= FILES:
                files = time.monotonic()
                self._reread(ledger)
                if self._engine is not None:
                    self._engine.rest()
            self.board.write()
            self._over.wait(min(POLL, max(0.0, end - time.monotonic())))

    def _end(self) -> None:
        threads: list[Keeper | Projector] = [*self._keepers.values(), *self._projectors]
        for thread in threads:
            thread.stop()
        until = time.monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _once(self, ledger: Ledger) -> None:
        stopper = threading.Thread(target=self._stop_all, daemon=True)
        stopper.start()
        try:
            for keeper in self._keepers.values():
                keeper.once()
                for name, words in project(keeper.context()).items():
                    self._log.say(keeper.loop.name, f"{name} failed: {words}", "warning")
        finally:
            self._over.set()
            stopper.join()
        failed = [keeper.failure for keeper in self._keepers.values() if keeper.failure is not None]
        self.board.write(force=True)
        if failed:
            raise failed[0]

    def _stop_all(self) -> None:
        self._over.wait()
        for keeper in self._keepers.values():
            keeper.stop()

    # -- loop files --------------------------------------------------------------------------------

    def _adopt(self, source: Source, ledger: Ledger, *, start: bool = False) -> None:
        for name, loop in source.loops.items():
            keeper = self._keepers.get(name)
            if keeper is not None and keeper.loop == loop:
                continue
            if keeper is not None:
                keeper.adopt(loop)
                self._log.say(name, f"{source.path.name} has changed: the next cycle follows it")
                continue
            keeper = self._keepers[name] = Keeper(
                loop, source.base, ledger, self.board, self._log, pace=self._pace, drive=self._drive, told=self._told,
            )
            self.board.note(name, file=str(source.path), broken=None)
            if start:
                self._log.say(name, f"{source.path.name} brings a new loop")
                keeper.notice(True)
                keeper.start()

    def _reread(self, ledger: Ledger) -> None:
        for source in self._sources:
            if not source.changed():
                continue
            before = source.broken
            names = set(source.loops)
            source.read()
            for name in names:
                self.board.note(name, broken=source.broken)
            if source.broken is not None and source.broken != before:
                self._log.say("", f"{source.path.name} cannot be used, the last good one goes on: {source.broken}", "error")
            if source.broken is None:
                self._adopt(source, ledger, start=True)
                for name in names - set(source.loops):
                    self._keepers.pop(name).stop()
                    self.board.forget(name)
                    self._log.say(name, f"is no longer in {source.path.name}: it is left as it stands", "warning")

    def _told(self) -> None:
        """A loop has ticked: whoever follows the ledger may look."""
        for projector in self._projectors:
            projector.poke()


def up(
    files: Sequence[Path | str] = ("loop.py",), home: Path | None = None, *, once: bool = False,
    lasting: timedelta | None = None, durable: str | None = None, clock: Clock | None = None, pace: Pace = Pace(),
    tell: Callable[[Line], None] = lambda _: None, watch: Callable[[Service], None] | None = None,
) -> None:
    """Keep the loops of these files until a signal comes: look, train, release, tell.

    SIGTERM and SIGINT end it cleanly (a training writes its checkpoint, and goes on at the next
    start); a second one ends it at once, as safely as a kill does. `lasting` ends it after some
    time, and with `once` it does what is due, cycles included, and returns. `tell` gets every line
    of the log; `watch` is called with the service before it begins.

    Runs are durable on DBOS where it is installed (`trueup[durable]`): in SQLite in the home, or on
    the Postgres server that `durable`, or TRUEUP_DURABLE_URL, names (`postgresql://...`); "off"
    performs them in process. The ledger is the record either way.

    Raises Busy, naming the process, where another service holds the home.
    """
    from trueup.client import find_home

    first = Path(files[0]) if files else Path()
    service = Service(
        files, home or find_home((first if first.is_dir() else first.parent).resolve()), clock=clock,
        pace=pace, durable=durable, tell=tell,
    )
    if watch is not None:
        watch(service)
    with _signals(service):
        service.serve(once=once, lasting=lasting)


@contextmanager
def _signals(service: Service) -> Iterator[None]:
    """Stop cleanly at the first SIGTERM or SIGINT, and at once at the second."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal told
        if told:
            os._exit(128 + number)
        told = True
        service.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
