# SPDX-License-Identifier: Apache-2.0
"""Memory of a process that lives for months (ORC-04)."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is freed goes back at once elsewhere")

RESIDENT = """
def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("RssAnon")) / 1e3
"""
THREADS = RESIDENT + """
import sys, threading
from trueup.core.memory import give_back, settle
if sys.argv[1] == "settled":
    settle()
import pyarrow as pa
print(pa.default_memory_pool().backend_name)
together = threading.Barrier(8)
def work():
    together.wait()          # each in an arena of its own
    for _ in range(4):       # the first teaches the allocator to keep the others
        b"x" * 20_000_000
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
before = resident()
[one.start() for one in threads], [one.join() for one in threads]
give_back()
print(resident() - before)
"""
LOOKS = RESIDENT + """
import sys
from pathlib import Path
from trueup.store import Ledger
with Ledger.open(Path(sys.argv[1])) as ledger:
    ledger.query("SELECT 1 FROM event").num_rows
    before = resident()
    ledger.query("SELECT count(DISTINCT md5(range::VARCHAR)) AS n FROM range(1_000_000), (SELECT count(*) FROM event)")
    high = resident()
    ledger.give_back()
    print(high - before, resident() - before)
    assert ledger.query("SELECT count(*) AS n FROM event").column("n")[0].as_py() == 0
"""


def say(code: str, *words: str, **changes: str) -> list[str]:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **changes},
    )
    return done.stdout.split()


def test_a_settled_process_keeps_less_of_what_its_threads_freed() -> None:
    backend, settled = say(THREADS, "settled")
    assert backend == "system"
    _, plain = say(THREADS, "plain")
    assert float(settled) < 10
    assert float(plain) > 30


def test_what_the_environment_says_of_allocators_stands() -> None:
    assert say(THREADS, "settled", ARROW_DEFAULT_MEMORY_POOL="mimalloc")[0] == "mimalloc"


def test_a_look_hands_back_what_its_questions_took(tmp_path: Path) -> None:
    took, left = map(float, say(LOOKS, str(tmp_path / "home")))
    assert took > 30
    assert left < took / 3
