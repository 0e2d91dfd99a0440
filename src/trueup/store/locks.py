# SPDX-License-Identifier: Apache-2.0
"""Locks between processes: held by the kernel, released by the death of who holds them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from trueup.core.errors import Busy
from trueup.core.json import sha256

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@contextmanager
def lock(home: Path, name: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold `<home>/locks/<name>.lock`; raises Busy, saying who holds it, after `wait` seconds.

    Not reentrant: a second hold from the same process is Busy too. A name that is not a plain
    file name is stored under its digest. The file stays; only the lock goes.
    """
    path = lock_path(home, name)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, name, path, wait)
        with suppress(OSError):  # on a full disk the lock holds as well, and only its words are lost
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_me()).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(home: Path, name: str) -> dict[str, object] | None:
    """Who holds a lock, or None: `{"pid", "host", "command", "since"}` as far as it is known."""
    path = lock_path(home, name)
    if not path.exists():
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(descriptor)
    return None


def lock_path(home: Path, name: str) -> Path:
    """Where a lock lies; its folder is made."""
    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name if _PLAIN.fullmatch(name) else sha256(name)[:32]}.lock"


def _acquire(descriptor: int, name: str, path: Path, wait: float) -> None:
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                who = _read(path)
                raise Busy(
                    f"expected {name!r} to be free, got it held by {_words(who)}",
                    cure="wait until it ends, or stop it; the lock goes with its process",
                ) from None
            time.sleep(0.01)


def _me() -> dict[str, object]:
    command = " ".join(sys.argv)[:300] or sys.executable
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "command": command, "since": since}


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _words(who: dict[str, object]) -> str:
    if not who:
        return "another process"
    return "process {} on {} since {}: {}".format(
        *(str(who.get(key, "?"))[:300] for key in ("pid", "host", "since", "command"))
    )
