# SPDX-License-Identifier: Apache-2.0
"""Commits to a SQLite journal: shared, synced before the answer, seen by other processes (ING-01, ING-06, ORC-07)."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from trueup.core import Decision, Event, ManualClock
from trueup.core.errors import DataError, StoreError
from trueup.store import Ledger, _files


def made(state: dict[str, object]) -> Decision:
    return Decision("l", 5, "note", "NOTE", "because", state)


def test_one_bad_row_does_not_harm_those_who_wait_beside_it(ledger: Ledger, asked: Callable[..., Event]) -> None:
    """ING-06: the writer waits on a lock that we hold, so that all calls share one transaction."""
    failures: list[BaseException] = []

    def write(number: int) -> None:
        unit = "\ud800" if number == 3 else "u"
        try:
            ledger.append([asked(f"id-{number}", unit=unit)])
        except DataError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    with ledger._journal._writer._turn:
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 1
    assert ledger.count("l", "interaction") == 7


def test_no_call_returns_before_the_disk_has_it(
    ledger: Ledger, asked: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync stands between the commit and the answer, also for rows that were there already."""
    synced: list[int] = []

    def sync(descriptor: int) -> None:
        synced.append(ledger.cut())
        os.fdatasync(descriptor)

    monkeypatch.setattr(_files, "sync_data", sync)
    assert ledger.append([asked("a")]) == 1
    assert ledger.append([asked("a")]) == 0
    ledger.put("l", "k", "i", {})
    assert synced == [1, 1, 1]

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk says no")

    monkeypatch.setattr(_files, "sync_data", fail)
    with pytest.raises(StoreError, match="the disk says no"):
        ledger.append([asked("b")])
    monkeypatch.setattr(_files, "sync_data", sync)
    assert ledger.append([asked("b"), asked("c")]) in (1, 2)
    assert ledger.count("l", "interaction") == 3


def test_version_notices_other_processes(ledger: Ledger) -> None:
    before = ledger.version()
    assert ledger.version() == before
    script = f"from trueup.store import Ledger; Ledger.open({str(ledger.home)!r}).put('l', 'k', 'i', {{}})"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert ledger.version() != before
    assert ledger.get("l", "k", "i") is not None


def test_the_light_half_needs_no_arrow(tmp_path: Path) -> None:
    script = f"""
import sys
from trueup.core import Decision, Event
from trueup.store import Ledger, lock
with Ledger.open({str(tmp_path / "home")!r}) as ledger:
    ledger.append([Event("a", "l", "signal", 1)])
    ledger.decide(Decision("l", 1, "note", "NOTE", "x", {{"a": 1}}), expect=0)
    ledger.put("l", "k", "i", {{}}); ledger.count("l", "signal"); ledger.version()
    ledger.artifacts.put_bytes(b"x")
    with lock(ledger.home, "x"): pass
    ledger.doctor(deep=False)
heavy = {{"pyarrow", "duckdb", "adbc_driver_sqlite", "numpy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_two_processes_that_decide_at_once_one_wins(ledger: Ledger) -> None:
    script = """
import sys
from trueup.core import Decision
from trueup.core.errors import Conflict
from trueup.store import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    sys.stdin.readline()
    won = 0
    for n in range(20):
        try:
            ledger.decide(Decision("l", 1, "note", "NOTE", sys.argv[2], {"n": n}), expect=n)
            won += 1
        except Conflict:
            pass
    print(won)
"""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(ledger.home), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    won = [int(one.communicate("go\n")[0]) for one in both]
    generation, _ = ledger.state("l")
    assert sum(won) == generation == len(ledger.decisions("l"))
    assert ledger.doctor() == []


def test_the_doctor_sees_what_was_changed_behind_our_back(ledger: Ledger, clock: ManualClock) -> None:
    for n in range(4):
        ledger.decide(made({"n": n}), expect=n)
    path = ledger.home / "journal.sqlite"

    def after(statement: str) -> set[str]:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(statement)
        found = {one.code for one in ledger.doctor()}
        connection.close()
        return found

    assert after("UPDATE state SET body = '{}'") == {"unexplained-state"}
    assert after("UPDATE decision SET body = replace(body, 'because', 'why not') WHERE generation = 2") == {
        "changed-decision", "unexplained-state",
    }  # fmt: skip
    assert "missing-decision" in after("DELETE FROM decision WHERE generation = 2")
    clock.advance(timedelta(days=-400))
    ledger.put("l", "k", "early", {})
    clock.advance(timedelta(days=800))
    ledger.put("l", "k", "late", {})
    clock.advance(timedelta(days=-400))
    assert "clock" in {one.code for one in ledger.doctor()}
