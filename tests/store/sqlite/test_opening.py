# SPDX-License-Identifier: Apache-2.0
"""Ledgers that are not ours, damaged, newer, older, locked, on the wrong disk, or out of space."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from trueup.core import Event, SystemClock
from trueup.core.errors import (
    Busy,
    DefinitionError,
    ForeignLedger,
    NetworkFileSystem,
    NewerLedger,
    NotFound,
    StoreError,
    StoreFull,
    TrueupError,
)  # fmt: skip
from trueup.store import Ledger, sql
from trueup.store.sqlite import _database
from trueup.store.sqlite._mounts import file_system, refuse_network


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Ledger.open(tmp_path / "home") as ledger:
        ledger.append([Event(f"id-{n}", "l", "interaction", n, input='"' + "x" * 400 + '"') for n in range(2000)])
    return tmp_path / "home"


def test_nothing_is_made_where_nothing_may_be(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="expected a ledger"):
        Ledger.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


def test_a_home_opens_again_with_what_it_had(home: Path) -> None:
    with Ledger.open(home, create=False) as ledger:
        assert ledger.count("l", "interaction") == 2000
        assert isinstance(ledger.clock, SystemClock)
        assert ledger.doctor() == []


@pytest.mark.parametrize("kept", [0, 100, 4096, 10_000, 200_000])
def test_a_truncated_ledger_is_not_taken_for_a_new_one(home: Path, kept: int) -> None:
    with Ledger.open(home) as ledger:
        ledger.artifacts.put_bytes(b"x")
    os.truncate(home / "journal.sqlite", kept)
    with pytest.raises(ForeignLedger, match="journal"):
        Ledger.open(home)


def test_a_ledger_that_is_gone_is_not_made_anew_beside_its_history(home: Path) -> None:
    with Ledger.open(home) as ledger:
        ledger.seal(min_rows=1)
    (home / "journal.sqlite").unlink()
    with pytest.raises(ForeignLedger, match="no file"):
        Ledger.open(home)


def test_garbage_in_the_middle_is_an_error_of_the_store(home: Path) -> None:
    with (home / "journal.sqlite").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 20)

    def use() -> None:
        with Ledger.open(home) as ledger:
            assert any(found.level == "error" for found in ledger.doctor())
            ledger.query("SELECT count(*) FROM event")

    with pytest.raises(ForeignLedger):
        use()


def test_other_peoples_databases_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(ForeignLedger, match="another program"):
        Ledger.open(tmp_path)
    assert path.read_bytes() == before
    path.write_bytes(b"some words, and not a database at all" * 100)
    with pytest.raises(ForeignLedger):
        Ledger.open(tmp_path)


def test_a_newer_ledger_is_refused_with_its_cure(home: Path) -> None:
    with closing(sqlite3.connect(home / "journal.sqlite")) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(NewerLedger, match="schema 99") as error:
        Ledger.open(home)
    assert "pip install" in error.value.cure


def test_a_migration_backs_up_first_and_is_whole_or_not_at_all(home: Path) -> None:
    path = home / "journal.sqlite"
    steps = dict(_database.migrations())
    bad = {**steps, 9: "CREATE TABLE more (x);\nCREATE TABLE event (x);\n"}
    with pytest.raises(StoreError):
        _database.prepare(home, path, busy=1, steps=bad)
    assert len(list((home / "backups").glob("journal-v2-*.sqlite"))) == 1
    with Ledger.open(home) as ledger:
        assert ledger.count("l", "interaction") == 2000
    good = {**steps, 9: "CREATE TABLE more (x);\nINSERT INTO more VALUES (';');\n"}
    _database.prepare(home, path, busy=1, steps=good)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT x FROM more").fetchall() == [(";",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (9,)
    backup = next((home / "backups").glob("journal-v2-*.sqlite"))
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (2000,)
    with pytest.raises(NewerLedger):
        Ledger.open(home)


def test_a_program_that_holds_the_journal_makes_it_busy(home: Path) -> None:
    with Ledger.open(home, busy=0.1) as ledger, closing(sqlite3.connect(home / "journal.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="locked"):
            ledger.append([Event("new", "l", "signal", 1)])
        other.rollback()
        assert ledger.append([Event("new", "l", "signal", 1)]) == 1


MOUNTS = """proc /proc proc rw 0 0
/dev/vda / ext4 rw 0 0
server:/x /mnt/my\\040share nfs4 rw 0 0
//server/y /mnt/win cifs rw 0 0
me@host:/ /home/me/remote fuse.sshfs rw 0 0
drvfs /mnt/c 9p rw 0 0
tmpfs /home/me/remote/fast tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/mnt/my share/home", "nfs4"), ("/mnt/win", "cifs"), ("/home/me/remote/deep/x", "fuse.sshfs"), ("/mnt/c/Users", "9p")],
)
def test_a_network_file_system_is_refused(folder: str, kind: str) -> None:
    with pytest.raises(NetworkFileSystem, match=kind) as error:
        refuse_network(Path(folder), MOUNTS)
    assert "TRUEUP_HOME" in error.value.cure


def test_local_disks_are_not() -> None:
    for folder in ("/home/me", "/home/me/remote/fast/x", "/mnt/windows"):
        refuse_network(Path(folder), MOUNTS)
    refuse_network(Path("/x"), "none / 9p rw 0 0\n")  # a sandbox's root
    refuse_network(Path("/x"), "")
    assert file_system(Path("/mnt/win/x"), MOUNTS) == ("/mnt/win", "cifs")


# -- out of space ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_leaves_nothing_half_written(
    small_disk: Path, asked: Callable[..., Event]
) -> None:
    text = '"' + "x" * 3000 + '"'
    with Ledger.open(small_disk / "home") as ledger:
        kept = 0

        def fill() -> None:
            nonlocal kept
            while True:
                ledger.append([asked(f"{kept}-{n}", input=text) for n in range(3)])
                kept += 1

        with pytest.raises(StoreFull, match="expected room") as error:
            fill()
        assert "free some space" in error.value.cure
        with pytest.raises(StoreFull):
            ledger.artifacts.put_bytes(b"x" * 3_000_000)
        assert not list((small_disk / "home/artifacts").glob("*"))
        with pytest.raises(StoreFull):
            ledger.append([asked(f"more-{n}", input=text) for n in range(1000)])
        assert ledger.count("l", "interaction") == 3 * kept
        assert ledger.query("SELECT count(*) AS n FROM event").to_pylist() == [{"n": 3 * kept}]
    with Ledger.open(small_disk / "home") as ledger:
        assert ledger.count("l", "interaction") == 3 * kept
        assert [found for found in ledger.doctor() if found.level == "error"] == []


def test_a_full_disk_while_sealing_changes_nothing(small_disk: Path, asked: Callable[..., Event]) -> None:
    import random

    rng = random.Random(1)
    with Ledger.open(small_disk / "home") as ledger:
        for number in range(10):
            ledger.append([asked(f"{number}-{n}", input=f'"{rng.randbytes(500).hex()}"') for n in range(60)])
        (small_disk / "ballast").write_bytes(b"x" * 4096)
        size = 1 << 16
        while size > 1024:
            try:
                with (small_disk / "ballast").open("ab") as file:
                    file.write(b"x" * size)
            except OSError:
                size //= 2
        with pytest.raises(StoreFull):
            ledger.seal(min_rows=1)
        assert ledger.query("SELECT count(*) AS n FROM event").to_pylist() == [{"n": 600}]
        (small_disk / "ballast").unlink()
        assert ledger.seal(min_rows=1).rows == 600
        assert ledger.query("SELECT count(*) AS n FROM event").to_pylist() == [{"n": 600}]
        assert [found for found in ledger.doctor() if found.level == "error"] == []


def test_a_limit_on_file_size_is_a_full_store(home: Path) -> None:
    script = """
import resource, sys
from trueup.core import Event
from trueup.core.errors import StoreFull
from trueup.store import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    try:
        for n in range(10_000):
            ledger.append([Event(f"new-{n}-{m}", "l", "signal", 1, extra='"' + "x" * 1000 + '"') for m in range(10)])
    except StoreFull:
        print(10 * n)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
    out = subprocess.run([sys.executable, "-c", script, str(home)], check=True, capture_output=True, text=True).stdout
    with Ledger.open(home) as ledger:
        assert ledger.count("l", "signal") == int(out)
        assert ledger.doctor() == []


# -- SQL by name ----------------------------------------------------------------------------------


def test_sql_stands_under_a_name_and_a_comment() -> None:
    text = "-- name: one\n-- Says one.\nSELECT 1\n;\n\n-- name: two\n-- Says two.\nSELECT\n  2;\n"
    assert sql.parse(text) == {"one": "SELECT 1", "two": "SELECT\n  2"}
    for bad in ("SELECT 1;", "-- name: a\nSELECT 1;", "-- name: a\n-- x\n", text + text):
        with pytest.raises(DefinitionError):
            sql.parse(bad)


def test_every_statement_of_the_store_is_used() -> None:
    folder = Path(sql.__file__).parent
    code = "".join(path.read_text() for path in folder.rglob("*.py"))
    for path in folder.rglob("sql/*.sql"):
        for name in sql.parse(path.read_text()):
            assert f'"{name}"' in code or f"'{name}'" in code, f"{name} of {path.name}"


def test_errors_carry_a_cure() -> None:
    assert all(kind.code for kind in (ForeignLedger, NewerLedger, StoreFull, TrueupError))


def test_many_processes_may_make_one_home_at_once(tmp_path: Path) -> None:
    script = "import sys; from trueup.store import Ledger; Ledger.open(sys.argv[1]).put('l', 'k', sys.argv[2], {})"
    many = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "deep/home"), str(n)]) for n in range(6)]
    assert [one.wait() for one in many] == [0] * 6
    with Ledger.open(tmp_path / "deep/home") as ledger:
        assert len(ledger.records("l", "k")) == 6
        assert ledger.doctor() == []
