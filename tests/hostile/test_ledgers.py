# SPDX-License-Identifier: Apache-2.0
"""Ledgers that are damaged, foreign, newer, locked, read-only, or on the wrong disk, by the command line."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

COMMANDS = (("status",), ("run", "loop.py"), ("import", "rows.jsonl", "--yes"), ("pause", "-m", "x"), ("doctor",))
ENDLESS = "import signal; signal.pause()"


def cut_to(kept: int) -> Any:
    def spoil(path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(kept)

    return spoil


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database, whatever it is called\n" * 300)


def damaged_page(path: Path) -> None:
    with path.open("r+b") as file:
        for at in range(4096, path.stat().st_size, 4096):
            file.seek(at)
            file.write(b"\xff" * 512)


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
        other.commit()


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
        file.commit()


@pytest.mark.parametrize(("spoil", "code", "words"), [
    (cut_to(0), "T301", ("an empty file beside a filled artifacts/", "cure: ")),
    (cut_to(1000), "T301", ("expected a whole ledger", "restore it from a backup")),
    (cut_to(3 * 4096 + 7), "T301", ("expected a whole ledger", "restore it from a backup")),
    (garbage, "T301", ("expected a whole ledger", "restore it from a backup")),
    (damaged_page, "T301", ("expected a whole ledger", "restore it from a backup")),
    (foreign, "T301", ("another program", "choose another TRUEUP_HOME")),
    (newer, "T302", ("schema 99", "pip install 'trueup>=")),
], ids=["emptied", "a stump", "truncated", "garbage", "damaged", "foreign", "newer"])  # fmt: skip
def test_a_ledger_that_is_not_ours_or_not_whole_is_left_alone(
    spoil: Any, code: str, words: tuple[str, ...], lived: Any
) -> None:
    desk = lived
    path = desk.home / "journal.sqlite"
    with closing(sqlite3.connect(path)) as file:  # all of it in one file
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for rest in desk.home.glob("journal.sqlite-*"):
        rest.unlink()
    spoil(path)
    before = path.read_bytes()
    for command in COMMANDS:
        ended = desk.trueup(*command)
        assert "Traceback" not in ended.err, (command, ended.err)
        assert ended.code == 5, (command, ended)
        said = ended.err + ended.out
        assert code in said or command == ("doctor",), (command, said)
        for word in words:
            assert word in said, (command, said)
    assert path.read_bytes() == before


def test_a_network_file_system_is_refused(desk: Any) -> None:
    before = (
        "import trueup.store.sqlite.journal as journal\nfrom trueup.store.sqlite import _mounts\n"
        "journal.refuse_network = lambda folder: _mounts.refuse_network(folder, 'box:/vol / nfs4 rw 0 0')"
    )
    for command in (("run", "loop.py"), ("plan",), ("import", desk.data([("w0x1", "stone")]), "--yes")):
        desk.trueup(*command, before=before).said(5, "T304", "got nfs4", "put TRUEUP_HOME on a local disk")
    assert not desk.home.exists()


def test_another_program_in_a_transaction_makes_it_busy(lived: Any) -> None:
    desk = lived
    before = desk.holds()
    impatient = "from trueup.store import Ledger\nLedger.open.__func__.__kwdefaults__['busy'] = 0.2"
    holder = desk.shell.start(None, desk.folder, before=(
        "import sqlite3, sys\nfile = sqlite3.connect('.trueup/journal.sqlite', isolation_level=None)\n"
        "file.execute('BEGIN IMMEDIATE')\nprint('locked', flush=True)\n" + ENDLESS
    ))  # fmt: skip
    holder.until("locked")
    try:
        for command in (("run", "loop.py", "--now"), ("pause", "-m", "x"), ("import", desk.data([("w0x1", "stone")]), "--yes")):
            desk.trueup(*command, before=impatient).said(4, "T200", "held it locked for too long", "close the program")
        desk.trueup("status", before=impatient).said(0)  # to read is always possible
    finally:
        holder.kill()
    assert desk.holds() == before
    desk.trueup("pause", "-m", "x").said(0)


def test_the_second_of_two_runs_says_who_is_at_work(desk: Any) -> None:
    script = desk.folder / "train.sh"
    script.write_text(f"touch {desk.folder}/began; while [ ! -e {desk.folder}/go ]; do sleep 0.02; done\n" + script.read_text())
    desk.imported()
    first = desk.start("run", "loop.py")
    while not (desk.folder / "began").exists():
        os.sched_yield()
    ended = desk.trueup("run", "loop.py").said(4, "T200", "'run-toys'", f"process {first.pid} on", "trueup run loop.py", "cure: wait")
    assert not ended.out
    desk.trueup("prune").said(4, "T200", f"process {first.pid} on")
    desk.trueup("status").said(0)
    (desk.folder / "go").touch()
    first.wait().said(0)
    assert desk.holds() is not None
    desk.trueup("run", "loop.py").said(0)


READ_ONLY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
home = os.path.abspath('.trueup').encode()
if os.geteuid() != 0:
    for folder, _, files in os.walk(home):
        for name in [folder, *(os.path.join(folder, file) for file in files)]:
            os.chmod(name, 0o555)
elif (libc.unshare(0x20000) or libc.mount(b'none', b'/', None, 0x44000, None)
        or libc.mount(home, home, None, 4096, None) or libc.mount(None, home, None, 4096 | 32 | 1, None)):
    sys.exit(77)
"""


def test_a_home_that_is_read_only_is_told_and_left_alone(lived: Any) -> None:
    before = lived.holds()
    for command in (
        ("run", "loop.py", "--now"), ("import", "rows.jsonl", "--yes"), ("pause", "-m", "x"), ("golden", "freeze"), ("prune",),
    ):  # fmt: skip
        ended = lived.trueup(*command, before=READ_ONLY)
        if ended.code == 77:
            pytest.skip("this machine lets nobody mount")
        ended.said(5, "T300", "cure: ")
    for path in [lived.home, *lived.home.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    assert lived.holds() == before


def test_a_home_named_by_a_relative_path_trains(desk: Any) -> None:
    rows = desk.data([(f"w0x{n}", "plant" if n % 3 else "stone") for n in range(60)])
    desk.trueup("--home", "here/home", "import", rows, "--yes").said(0)
    made = desk.trueup("--home", "here/home", "run", "--json").said(0).json
    assert ("candidate", "PASS") in [(one["kind"], one["verdict"]) for one in made], made
    assert not desk.home.exists()
