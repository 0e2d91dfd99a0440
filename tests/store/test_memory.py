# SPDX-License-Identifier: Apache-2.0
"""A ledger without a journal file: for tests, gone when it is closed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trueup.core import Decision, Event, ManualClock, Ref
from trueup.core.errors import Refused, StoreError
from trueup.store import Ledger, backup, lock


def test_a_ledger_in_memory_leaves_nothing_behind(clock: ManualClock, asked: Callable[..., Event]) -> None:
    with Ledger.memory(clock=clock) as ledger:
        home = ledger.home
        assert ledger.append([asked("a"), asked("b")]) == 2
        assert ledger.seal(min_rows=1).rows == 2
        assert ledger.append([asked("b"), asked("c")]) == 1
        ref: Ref = ledger.artifacts.put_bytes(b"x")
        ledger.put("l", "k", "i", {"ref": ref.to_json()})
        ledger.decide(Decision("l", 1, "note", "NOTE", "x", {"a": 1}), expect=0)
        assert ledger.query("SELECT count(*) AS n FROM event").to_pylist() == [{"n": 3}]
        with lock(home, "run-l"):
            pass
        assert ledger.doctor() == []
        assert ledger.journal_bytes() == 0
        assert not list(home.glob("*.sqlite*"))
        assert list(home.glob("segments/*/*.parquet"))
    assert not home.exists()
    with pytest.raises(StoreError, match="closed"):
        ledger.state("l")


def test_two_ledgers_in_memory_know_nothing_of_each_other(asked: Callable[..., Event]) -> None:
    with Ledger.memory() as one, Ledger.memory() as other:
        one.append([asked("a")])
        assert (one.cut(), other.cut()) == (1, 0)
        assert one.home != other.home


def test_there_is_no_file_to_back_up(tmp_path: Path) -> None:
    for dry in (True, False):
        with Ledger.memory() as ledger, pytest.raises(Refused, match="kept elsewhere"):
            backup(ledger, tmp_path / "kept", dry=dry)


def test_the_light_half_in_memory_needs_no_arrow_and_no_sqlite_file() -> None:
    script = """
import sys
from trueup.core import Decision, Event
from trueup.store import Ledger
with Ledger.memory() as ledger:
    ledger.append([Event("a", "l", "signal", 1)])
    ledger.decide(Decision("l", 1, "note", "NOTE", "x", {"a": 1}), expect=0)
    ledger.put("l", "k", "i", {}); ledger.count("l", "signal"); ledger.version(); ledger.doctor(deep=False)
heavy = {"pyarrow", "duckdb", "adbc_driver_sqlite", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True)
