# SPDX-License-Identifier: Apache-2.0
"""Locks say who holds them, and go with their holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trueup.core.errors import Busy
from trueup.store import holder, lock

HOLD = """
import sys, time
from pathlib import Path
from trueup.store import lock
with lock(Path(sys.argv[1]), "run-films"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_busy_says_who_is_at_work_and_death_releases(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(Busy, match=f"process {other.pid} on .* since ") as error, lock(tmp_path, "run-films"):
        pass
    assert error.value.exit_code == 4
    assert (holder(tmp_path, "run-films") or {})["pid"] == other.pid
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdout.close()
    with lock(tmp_path, "run-films", wait=5):
        assert (holder(tmp_path, "run-films") or {})["pid"] == os.getpid()
    assert holder(tmp_path, "run-films") is None


def test_locks_of_other_names_are_free_and_names_stay_in_the_folder(tmp_path: Path) -> None:
    with (
        lock(tmp_path, "a"), lock(tmp_path, "../../b"), lock(tmp_path, "ü"),
        pytest.raises(Busy), lock(tmp_path, "../../b"),
    ):  # fmt: skip
        pass
    assert {path.parent for path in tmp_path.rglob("*.lock")} == {tmp_path / "locks"}


def test_an_error_inside_releases(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), lock(tmp_path, "a"):
        raise RuntimeError
    with lock(tmp_path, "a"):
        pass
