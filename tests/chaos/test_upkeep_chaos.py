# SPDX-License-Identifier: Apache-2.0
"""Backup, restore, migrate and prune are killed at random points: whole, or not there."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from trueup.core import Event
from trueup.registry import Keep, ailments, prune
from trueup.state import register
from trueup.store import Ledger, backup, migrate, restore

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
FIXTURE = Path(__file__).parents[1] / "fixtures" / "ledgers" / "v1.tar.xz"
KILLS = 12
HEAD = "import sys; from pathlib import Path; from trueup.store import *; print('go', flush=True)\n"


def digests(folder: Path) -> dict[str, bytes]:
    """All that lies in a folder, but for locks and SQLite's log."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
        if path.is_file() and "locks" not in path.parts and not path.name.endswith(("-wal", "-shm"))
    }


def killed(code: str, after: float) -> bool:
    """Run code in a process of its own, and kill it so many seconds after it began; whether it had ended."""
    with subprocess.Popen(
        [sys.executable, "-c", HEAD + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        _, error = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), error.decode()
        return process.returncode == 0


def timed(code: str) -> float:
    """The seconds that code takes, without those of Python's start."""
    with subprocess.Popen(
        [sys.executable, "-c", HEAD + code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        began = time.monotonic()
        assert process.wait() == 0
        return time.monotonic() - began


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose copy takes long enough to be killed in the middle of it."""
    home = tmp_path_factory.mktemp("source") / "home"
    rng = random.Random(0)
    with Ledger.open(home) as ledger:
        for part in range(3):
            ledger.append([
                Event(f"{part}-{n}", "l", "interaction", n + 1, input=f'"{rng.randbytes(100).hex()}"')
                for n in range(3_000)
            ])
            ledger.seal(min_rows=1)
        for number in range(150):
            ref = ledger.artifacts.put_bytes(rng.randbytes(60_000), ".bin")
            ledger.put("l", "file", f"f-{number}", {"file": ref.to_json()})
    return home


def test_a_killed_backup_leaves_the_source_as_it_was_and_no_manifest(source: Path, tmp_path: Path) -> None:
    before = digests(source)
    code = "with Ledger.open({!r}) as ledger: backup(ledger, Path({!r}))"
    whole = timed(code.format(str(source), str(tmp_path / "first")))
    rng, kept = random.Random(1), tmp_path / "kept"
    ended = 0
    for _ in range(KILLS):
        ended += killed(code.format(str(source), str(kept)), rng.uniform(0, whole))
        for name in kept.glob("backup-*.json"):
            restore(name, tmp_path / "never", dry=True)
        assert digests(source) == before
        if rng.random() < 0.3:
            shutil.rmtree(kept, ignore_errors=True)
    assert ended < KILLS
    with Ledger.open(source) as ledger:
        backup(ledger, kept)
    assert not list(kept.rglob(".new-*"))
    restore(kept, tmp_path / "again")
    assert {name: body for name, body in digests(tmp_path / "again").items() if "journal" not in name} == {
        name: body for name, body in before.items() if "journal" not in name
    }


def test_a_killed_restore_leaves_no_home_or_a_whole_one(source: Path, tmp_path: Path) -> None:
    with Ledger.open(source) as ledger:
        backup(ledger, tmp_path / "kept")
    before = digests(tmp_path / "kept")
    code = "restore(Path({!r}), Path({!r}), force=True)"
    home = tmp_path / "again"
    whole = timed(code.format(str(tmp_path / "kept"), str(home)))
    shutil.rmtree(home)
    rng, there = random.Random(2), 0
    for _ in range(KILLS):
        killed(code.format(str(tmp_path / "kept"), str(home)), rng.uniform(0, whole * 1.1))
        homes = [home, *tmp_path.glob("again.before-*")]
        for one in homes:
            if one.exists():
                there += 1
                with Ledger.open(one, create=False) as ledger:
                    assert ledger.doctor() == []
                    assert ledger.count("l", "interaction") == 9_000
                shutil.rmtree(one)
        assert digests(tmp_path / "kept") == before
    assert there < KILLS
    restore(tmp_path / "kept", home)
    assert not list(tmp_path.glob(".again.*")), "what the killed ones left is swept"


def test_a_killed_migration_is_before_or_after_and_goes_on(tmp_path: Path) -> None:
    code = "migrate(Path({!r}))"
    rng = random.Random(3)
    seen = set()
    whole = 0.0
    for number in range(KILLS + 1):
        home = tmp_path / f"home-{number}"
        with tarfile.open(FIXTURE) as tar:
            tar.extractall(home, filter="data")
        if not number:
            whole = timed(code.format(str(home)))
            continue
        killed(code.format(str(home)), rng.uniform(0, whole))
        with closing(sqlite3.connect(home / "journal.sqlite")) as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert ("migration" in tables) == (version >= 2)
        seen.add(version)
        for kept in (home / "backups").glob("journal-v1-*.sqlite"):
            with closing(sqlite3.connect(kept)) as connection:
                assert connection.execute("SELECT count(*) FROM decision").fetchone() == (24,)
        migrate(home)
        with Ledger.open(home) as ledger:
            assert ledger.doctor() == []
            assert len(ledger.decisions("toys")) == 24
    assert 1 in seen


def test_a_killed_prune_is_finished_by_the_next(tmp_path: Path) -> None:
    """TRN-12: nothing that stays is touched, nothing half goes unseen."""
    code = (
        "from trueup.registry import Keep, prune\n"
        "with Ledger.open({!r}) as ledger: prune(ledger, 'l', Keep(last=3, weekly=0, monthly=0, days=0))"
    )
    made = tmp_path / "made"
    with Ledger.open(made) as ledger:
        for number in range(60):
            folder = tmp_path / "model"
            folder.mkdir(exist_ok=True)
            (folder / "model.json").write_text(str(number))
            register(ledger, "l", ledger.artifacts.put_tree(folder))
    shutil.copytree(made, tmp_path / "first")
    whole = timed(code.format(str(tmp_path / "first")))
    rng = random.Random(4)
    for number in range(6):
        home = tmp_path / f"home-{number}"
        shutil.copytree(made, home)
        killed(code.format(str(home)), rng.uniform(0, whole))
        with Ledger.open(home) as ledger:
            assert [one for one in ailments(ledger) if one.level == "error"] == []
            prune(ledger, "l", Keep(last=3, weekly=0, monthly=0, days=0))
            assert len(list(ledger.artifacts.stored())) == 3
            assert not list((home / "artifacts").rglob(".*.pruned"))
