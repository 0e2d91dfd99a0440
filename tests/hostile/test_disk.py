# SPDX-License-Identifier: Apache-2.0
"""A full disk, at whatever point it fills: nothing is lost or half-written, and the next run goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trueup.testing import toy_rows

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, resource.RLIM_INFINITY))"


def finished(desk: Any) -> None:
    """With room again, the next run finishes what was begun, and no row was lost."""
    made = desk.trueup("run", "loop.py", "--now", "--json").said(0).json
    kinds = [one["kind"] for one in made]
    assert "candidate" in kinds or desk.holds()["loops"]["toys"]["records"]["candidate"], kinds
    state = desk.holds()["loops"]["toys"]["state"][1]
    assert state["release"] is not None
    assert state["cycle"] is None


@pytest.mark.parametrize("room", [2_000, 30_000, 120_000, 200_000])
def test_a_limit_on_file_size_at_every_point_of_a_run(room: int, desk: Any) -> None:
    desk.imported()
    before = desk.holds()
    ended = desk.trueup("run", "loop.py", before=LIMIT.format(room))
    assert "Traceback" not in ended.err, ended.err
    assert ended.code in (0, 5), ended
    if ended.code == 5:
        assert "T303" in ended.err, ended.err
        assert "cure: free some space" in ended.err
    now = desk.holds()
    assert now["loops"]["toys"]["events"] == before["loops"]["toys"]["events"]
    finished(desk)


@pytest.mark.parametrize("room", [4_000, 20_000])
def test_a_limit_on_file_size_while_importing(room: int, lived: Any) -> None:
    desk = lived
    before = desk.holds()
    path = desk.data(["not json", *toy_rows(8_000, seed=9)], "many.jsonl")
    desk.trueup("import", path, "--yes", before=LIMIT.format(room)).said(5, "T303", "cure: free some space")
    assert desk.holds() == before
    assert not list((desk.home / "quarantine").glob("*"))
    desk.trueup("import", path, "--yes").said(0)


def test_no_room_for_the_rows_that_are_set_aside(desk: Any) -> None:
    before = desk.imported().holds()
    path = desk.data([toy_rows(1, seed=9)[0], *["not json " * 9] * 3_000], "bad.jsonl")
    desk.trueup("import", path, "--yes", before=LIMIT.format(100_000)).said(5, "T303", "cure: free some space")
    assert desk.holds() == before
    assert not list((desk.home / "quarantine").glob("*"))
    assert "3,000 rows set aside" in desk.trueup("import", path, "--yes").said(0).out


@pytest.fixture
def small(desk: Any) -> Iterator[Any]:
    """A desk whose home lies on a disk of eight megabytes."""
    desk.home.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=8m", "trueup-test", str(desk.home)]
    if os.geteuid() or subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    yield desk
    subprocess.run(["umount", str(desk.home)], check=True)


def fill(home: Path, left: int) -> Path:
    """A file that leaves so many bytes free."""
    path = home / "filler"
    free = os.statvfs(home)
    with path.open("wb") as file:
        file.write(b"\0" * max(0, free.f_bavail * free.f_frsize - left))
    return path


def test_a_disk_that_is_full_at_any_point_of_a_run(small: Any) -> None:
    """From nothing free to nearly enough: append, decide, snapshot, training, gates, report."""
    small.imported()
    before = small.holds()
    left, codes = 0, []
    while left <= 1 << 20:
        filler = fill(small.home, left)
        ended = small.trueup("run", "loop.py", "--now")
        assert "Traceback" not in ended.err, (left, ended.err)
        assert ended.code in (0, 5), (left, ended)
        if ended.code == 5:
            assert "T303" in ended.err, (left, ended.err)
        codes.append(ended.code)
        for command in (("pause", "-m", "full"), ("import", small.data(toy_rows(3_000, seed=5), "big.jsonl"), "--yes")):
            if left == 0:
                small.trueup(*command).said(5, "T303", "cure: free some space")
        filler.unlink()
        now = small.holds()
        assert now["loops"]["toys"]["events"] == before["loops"]["toys"]["events"]
        if now["loops"]["toys"]["records"]["candidate"]:
            break
        left = left * 2 or 1 << 13
    assert codes[0] == 5, codes
    finished(small)
