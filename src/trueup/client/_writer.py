# SPDX-License-Identifier: Apache-2.0
"""How the client writes: durable before it goes on, or through a bounded queue and one thread.

Both writers have the same four methods. `offer` takes an assignment and says whether it is
recorded (or queued); `write` takes any other event; `flush` and `close` settle what is open.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol

from trueup.client._faults import Faults, Notice, logger
from trueup.client._source import Source, as_store_error
from trueup.core.errors import Busy, StoreError, UserError
from trueup.core.events import Event

Signals = Callable[[list[Notice]], list[Event]]
RETRYABLE = (StoreError, Busy, OSError)
WHAT = "expected to write to the ledger"


class Writer(Protocol):
    """Takes events to the ledger."""

    def offer(self, event: Event) -> bool:
        """Record an assignment; False where that failed or failed lately. Never raises."""
        ...

    def write(self, event: Event) -> None: ...

    def flush(self, timeout: float) -> None: ...

    def close(self, timeout: float) -> None: ...


class _Base:
    """One append, with the notices that wait for it."""

    def __init__(self, source: Source, faults: Faults, signals: Signals) -> None:
        self._source = source
        self._faults = faults
        self._signals = signals
        self._failing = False

    def _append(self, events: Sequence[Event], *, everything: bool = False) -> None:
        notices = self._faults.take(everything=everything)
        try:
            batch = [*events, *self._signals(notices)] if notices else events
            if batch:
                with self._source.use() as ledger:
                    ledger.append(batch)
                self._failing = False
        except BaseException:
            self._faults.give_back(notices)
            raise

    def _last_words(self) -> None:
        try:
            self._append((), everything=True)
        except Exception as error:
            logger.error("what the client had to say could not be written: %s", error)


class SyncWriter(_Base):
    """Every call returns when its event is durable, or raises StoreError.

    After a failure assignments are offered to the ledger at most once a second, and less often
    where a failure takes long, so that a broken disk does not slow every request.
    """

    def __init__(self, source: Source, faults: Faults, signals: Signals) -> None:
        super().__init__(source, faults, signals)
        self._retry_at = 0.0

    def offer(self, event: Event) -> bool:
        if self._failing and monotonic() < self._retry_at:
            return False
        try:
            self.write(event)
        except (StoreError, UserError):
            return False
        return True

    def write(self, event: Event) -> None:
        began = monotonic()
        try:
            self._append((event,))
        except UserError:
            raise
        except Exception as error:
            now = monotonic()
            self._failing, self._retry_at = True, now + max(1.0, 10.0 * (now - began))
            self._faults.report("write", error)
            raise as_store_error(error, WHAT) from error

    def flush(self, timeout: float) -> None:
        """Nothing is queued."""

    def close(self, timeout: float) -> None:
        self._last_words()


class QueueWriter(_Base):
    """A bounded queue, drained by one daemon thread in batches.

    A batch that the ledger refuses is kept and tried again until it is written or the client is
    closed. `bound` is in events, `patience` how long a call waits for room in seconds (`offer`
    not at all while the ledger fails), `linger` how long a small batch waits for more.
    """

    def __init__(
        self, source: Source, faults: Faults, signals: Signals, *, bound: int = 10_000,
        patience: float = 1.0, batch: int = 1_000, linger: float = 0.005,
    ) -> None:
        super().__init__(source, faults, signals)
        self._bound, self._patience, self._batch, self._linger = bound, patience, batch, linger
        self._queue: deque[Event] = deque()
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._idle = self._closing = False
        self._put = self._done = self._failures = self._waiting = 0
        self._give_up_at = float("inf")
        self._failure: StoreError | None = None

    # -- the application's side -------------------------------------------------------------------

    def offer(self, event: Event) -> bool:
        with self._lock:
            if self._failing or self._closing:
                return False
            if not self._room():
                self._failing = True
                return False
            self._enqueue(event)
        return True

    def write(self, event: Event) -> None:
        """Queue an event; one for which no room comes is counted as lost, never raised."""
        with self._lock:
            room = not self._closing and self._room()
            if room:
                self._enqueue(event)
            else:
                self._failing = True
        if not room:
            self._lose([event], "the client is closed" if self._closing else "the queue stayed full")

    def flush(self, timeout: float) -> None:
        """Wait until everything queued so far is durable.

        Raises StoreError as soon as an attempt to write fails, and when the time is over; what is
        queued stays queued.
        """
        with self._lock:
            target, failures = self._put, self._failures
            self._hurry.set()
            self._settled.wait_for(
                lambda: self._done >= target or self._failures > failures, timeout=timeout
            )
            left, failure = target - self._done, self._failure
        if left > 0:
            why = failure.message if failure else f"no room was made in {timeout:g} s"
            raise StoreError(
                f"expected to write {left} queued events: {why}",
                cure=failure.cure if failure else "flush again",
            ) from failure

    def close(self, timeout: float) -> None:
        """Write what is queued for at most `timeout` seconds; the rest is lost, and said so."""
        thread = self._thread
        if thread is threading.current_thread():
            self._closing = True
            return
        with self._lock:
            self._closing, self._give_up_at = True, monotonic() + timeout
            self._hurry.set()
            self._work.notify_all()
        if thread is not None:
            thread.join(timeout + 5.0)
        self._last_words()

    def _room(self) -> bool:
        if self._thread is None and not self._started():
            return False
        if len(self._queue) < self._bound:
            return True
        self._waiting += 1
        try:
            return self._settled.wait_for(lambda: len(self._queue) < self._bound, self._patience)
        finally:
            self._waiting -= 1

    def _enqueue(self, event: Event) -> None:
        self._queue.append(event)
        self._put += 1
        if self._idle:
            self._idle = False
            self._work.notify()

    def _started(self) -> bool:
        thread = threading.Thread(target=self._run, name="trueup-client", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is on its way out
            self._faults.report("thread", error)
            return False
        self._thread = thread
        return True

    # -- the thread's side ------------------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._next():
            delay = 0.02
            while not self._settle(batch):
                self._hurry.wait(delay)
                self._hurry.clear()
                delay = min(1.0, 2.0 * delay)

    def _next(self) -> list[Event]:
        """The next batch; empty when the client is closed and all is settled."""
        if not self._queue:
            self._speak()
        with self._lock:
            while not self._queue:
                self._hurry.clear()
                if self._closing:
                    return []
                self._idle = True
                self._work.wait()
            few = len(self._queue) < self._batch
        if few:
            self._hurry.wait(self._linger)
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
            if self._waiting:
                self._settled.notify_all()
        return batch

    def _settle(self, batch: list[Event]) -> bool:
        """Write a batch; True once each of its events is durable or lost."""
        try:
            self._append(batch)
        except RETRYABLE as error:
            self._failed(error)
            if monotonic() < self._give_up_at:
                return False
            self._lose(batch, f"the client was closed: {error}")
        except Exception as error:
            if len(batch) > 1:
                return self._one_by_one(batch)
            self._lose(batch, f"{type(error).__name__}: {error}")
        with self._lock:
            self._done += len(batch)
            self._settled.notify_all()
        return True

    def _one_by_one(self, batch: list[Event]) -> bool:
        """Find the event that the ledger cannot take; the others are written without it."""
        while batch and self._settle(batch[:1]):
            del batch[0]
        return not batch

    def _failed(self, error: Exception) -> None:
        self._faults.report("write", error)
        with self._lock:
            self._failing = True
            self._failures += 1
            self._failure = as_store_error(error, WHAT)
            self._settled.notify_all()

    def _speak(self) -> None:
        with contextlib.suppress(Exception):
            self._append(())

    def _lose(self, events: Sequence[Event], why: str) -> None:
        for event in events:
            self._faults.lost_event(event.kind)
            if event.kind == "assignment" or (event.kind == "exposure" and event.propensity is not None):
                self._faults.lost_exposure(event.release)
        self._faults.report("lost", f"{len(events)} events will not be in the ledger: {why}")
