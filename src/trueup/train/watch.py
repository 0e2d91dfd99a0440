# SPDX-License-Identifier: Apache-2.0
"""Watching a training from outside: its time, its memory, its words, and its end.

Memory is the resident memory of the process and all its descendants, read every 50 ms. RLIMIT_AS
was not chosen: BLAS, Arrow and XGBoost reserve far more addresses than they use (a training process
was seen with 1.7 GB of addresses at 0.28 GB resident), and it counts each process alone, so that
children escape it. The price is that a spike shorter than 50 ms is not seen.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from trueup.core.errors import DataError
from trueup.core.files import write_whole
from trueup.core.json import dumps, loads
from trueup.core.protocols import Budget

Progress = Callable[[int, int, dict[str, float]], None]
Stop = Callable[[], bool]
OUTCOME = "outcome.json"
TICK = 0.05
GRACE = 10.0
"""Seconds that a training has, once it is asked to stop, to write its checkpoint."""
_TAIL = 8_192
_LINE = 65_536


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: of itself (with its exit code), over its time, memory or money, or asked to."""

    why: Literal["exit", "time", "memory", "money", "stop"]
    code: int
    seconds: float
    megabytes: int
    stderr: str


class Meter:
    """The seconds that a job has been paid for, on the disk, so that killed runs count as well; and
    how many its money lasts (without a limit nothing is written)."""

    def __init__(self, path: Path, lasts: float) -> None:
        self.lasts, self._path, self._told = lasts, path, 0.0
        try:
            self.before = float(path.read_text())
        except (OSError, ValueError):
            self.before = 0.0

    def spent(self, seconds: float, *, now: bool = False) -> bool:
        """Whether the money is gone after so many seconds of this attempt; noted once a second."""
        total = self.before + seconds
        if isfinite(self.lasts) and (now or seconds - self._told >= 1.0):
            self._told = seconds
            write_whole(self._path, repr(total))
        return total > self.lasts


def watch(
    order: dict[str, Any], folder: Path, *, threads: int, budget: Budget, progress: Progress,
    stop: Stop = lambda: False, grace: float = GRACE, meter: Meter | None = None,
) -> Ended:
    """Run the worker on an order to its end, and leave no process of it behind.

    Once `stop` says so, or its time or its money is gone, it gets a SIGTERM, and `grace` seconds to put
    by what it has done. One that takes too much memory is killed at once.
    """
    life_read, life_write = os.pipe()
    told_read, told_write = os.pipe()
    process = None
    try:
        order = order | {"lifeline": life_read, "progress": told_write}
        path = folder / "order.json"
        path.write_text(dumps(order), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "trueup.train.worker", str(path)], cwd=folder,
            env=_environment(threads), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, pass_fds=(life_read, told_write), start_new_session=True,
        )
        os.close(told_write)
        told_write = -1
        return _until_end(process, told_read, budget, progress, stop, grace, meter)
    finally:
        if process is not None:
            _kill(process)
            if process.stdout is not None:
                process.stdout.close()
        for pipe in (life_read, life_write, told_read, told_write):
            if pipe >= 0:
                os.close(pipe)


def _until_end(
    process: subprocess.Popen[bytes], told: int, budget: Budget, progress: Progress, stop: Stop,
    grace: float, meter: Meter | None,
) -> Ended:
    started = time.monotonic()
    asked: float | None = None
    why: Literal["exit", "time", "memory", "money", "stop"] = "exit"
    peak, looked = 0, 0.0
    words, tail = _Lines(progress), _Tail()
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        for pipe, take in ((told, words.take), (process.stdout.fileno(), tail.take)):
            os.set_blocking(pipe, False)
            selector.register(pipe, selectors.EVENT_READ, take)
        while True:
            _listen(selector, TICK)
            now = time.monotonic()
            if _exited(process):
                break
            if now - looked >= TICK:
                looked = now
                peak = max(peak, megabytes_of(process.pid))
            if peak > budget.megabytes:
                why = "memory"
                break
            gone = meter is not None and meter.spent(now - started)
            late = now - started > budget.seconds
            if asked is None and (late or gone or stop()):
                asked, why = now, "time" if late else "money" if gone else "stop"
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
            if asked is not None and now - asked > grace:
                break
        seconds = time.monotonic() - started
        if meter is not None:
            meter.spent(seconds, now=True)
        _kill(process)
        _listen(selector, 0.0, drain=True)
    return Ended(why, process.returncode, seconds, peak, tail.text())


def _listen(selector: selectors.BaseSelector, timeout: float, drain: bool = False) -> None:
    """Take what the pipes hold; when draining, all of it, up to a bound."""
    for _ in range(64 if drain else 1):
        if not selector.get_map():
            if not drain:
                time.sleep(timeout / 5)
            return
        ready = selector.select(timeout)
        if not ready:
            return
        for key, _mask in ready:
            try:
                data = os.read(key.fd, _LINE)
            except BlockingIOError:
                continue
            if data:
                key.data(data)
            else:
                selector.unregister(key.fd)


class _Lines:
    """Progress, as JSON lines; what is not a report is left out."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rest = b""

    def take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_LINE:]
        for line in lines:
            try:
                said = loads(line)
                step, total, metrics = said["step"], said["total"], dict(said["metrics"])
            except (DataError, KeyError, TypeError, ValueError):
                continue
            self._progress(step, total, metrics)


class _Tail:
    """The end of what a process wrote."""

    def __init__(self) -> None:
        self._data = b""

    def take(self, data: bytes) -> None:
        self._data = (self._data + data)[-_TAIL:]

    def text(self) -> str:
        return self._data.decode(errors="replace")


def _environment(threads: int) -> dict[str, str]:
    """The same environment, with threads said aloud and this process's module path."""
    found = dict(os.environ)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM"):
        found[f"{name}_NUM_THREADS"] = str(threads)
    found["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    found["PYTHONHASHSEED"] = "0"
    return found


def _exited(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ended; it is not reaped, so that its group's number cannot be taken by another."""
    if process.returncode is not None:
        return True
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process, its group, and descendants that left the group; then reap it."""
    if process.returncode is not None:
        return
    stray = descendants(process.pid)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in stray:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def descendants(pid: int) -> list[int]:
    """The living processes below a process, without itself."""
    return [child for child, _ in _tree(pid)][1:]


def megabytes_of(pid: int) -> int:
    """Resident memory of a process and all below it; shared pages count once a process."""
    return sum(kilobytes for _, kilobytes in _tree(pid)) // 1024


def _tree(pid: int) -> list[tuple[int, int]]:
    if Path("/proc/self/statm").exists():
        return _linux_tree(pid)
    return _posix_tree(pid)


_PAGE = os.sysconf("SC_PAGE_SIZE") // 1024


def _linux_tree(root: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
            for task in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{task}/children").read_bytes()
                waiting.extend(int(child) for child in children.split())
        except (OSError, IndexError):
            pages = 0
        found.append((pid, pages * _PAGE))
    return found


def _posix_tree(root: int) -> list[tuple[int, int]]:
    """The same by `ps`, where there is no /proc."""
    try:
        lines = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=False
        ).stdout.splitlines()
    except OSError:
        return [(root, 0)]
    rows = [tuple(int(part) for part in line.split()) for line in lines if len(line.split()) == 3]
    below: dict[int, list[Sequence[int]]] = {}
    memory = {}
    for row in rows:
        below.setdefault(row[1], []).append(row)
        memory[row[0]] = row[2]
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append((pid, memory.get(pid, 0)))
        waiting.extend(row[0] for row in below.get(pid, []))
    return found
