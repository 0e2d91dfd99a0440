# SPDX-License-Identifier: Apache-2.0
"""Backups and restores: whole, once each, verified; and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from trueup.core import Event
from trueup.core.decisions import Decision
from trueup.core.errors import Busy, NewerLedger, NotFound, Refused, StoreError
from trueup.registry import backup as with_what_was_pruned
from trueup.store import Ledger, backup, lock, restore


def rows(start: int, n: int) -> list[Event]:
    return [Event(f"id-{at}", "l", "interaction", at + 1, input=f'"{at:060}"') for at in range(start, start + n)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home") as ledger:
        ledger.append(rows(0, 2_000))
        ledger.seal(min_rows=1)
        ledger.append(rows(2_000, 100))
        folder = tmp_path / "model"
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "weights").write_bytes(os.urandom(10_000))
        model = ledger.artifacts.put_tree(folder)
        report = ledger.artifacts.put_bytes(b"a report", ".html")
        ledger.put("l", "candidate", "c-1", {"model": model.to_json(), "report": report.to_json()})
        ledger.decide(Decision("l", 0, "install", "PROMOTE", "first", state={"champion": "c-1"}), expect=0)
        yield ledger


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
        if path.is_file() and "locks" not in path.parts
    }


def test_a_home_comes_back_as_it_was(ledger: Ledger, tmp_path: Path) -> None:
    """Facts, sealed history, artifacts, Decisions and records; the source untouched."""
    said: list[tuple[str, int, int]] = []
    done = backup(ledger, tmp_path / "kept", progress=lambda *one: said.append(one))
    assert (done.files, done.known) == (4, 0)
    assert [what for what, _, _ in said] == ["the journal", "sealed history", "artifacts", "artifacts", "done"]
    ledger.append(rows(9_000, 50))  # after the backup's moment
    made = restore(tmp_path / "kept", tmp_path / "again")
    assert (made.name, made.files, made.aside) == (done.name, 4, None)
    with Ledger.open(tmp_path / "again", create=False) as again:
        assert again.doctor() == []
        assert again.count("l", "interaction") == 2_100
        assert again.query("SELECT count(*) AS n FROM event").to_pylist() == [{"n": 2_100}]
        assert again.decisions("l") == ledger.decisions("l")
        assert again.records("l", "candidate") == ledger.records("l", "candidate")
        assert again.append(rows(0, 2_101)) == 1, "sealed ids came along"
    parts = ("artifacts", "segments")
    for part in parts:
        assert tree(tmp_path / "again" / part) == tree(ledger.home / part)
    assert not list(tmp_path.glob(".again.*"))


def test_a_second_backup_copies_what_is_new(ledger: Ledger, tmp_path: Path) -> None:
    first = backup(ledger, tmp_path / "kept")
    same = backup(ledger, tmp_path / "kept")
    assert (same.files, same.bytes, same.known) == (0, 0, 4)
    ledger.artifacts.put_bytes(b"nobody names me")
    named = ledger.artifacts.put_bytes(b"somebody names me", ".txt")
    ledger.put("l", "note", "n", {"file": named.to_json()})
    dry = backup(ledger, tmp_path / "kept", dry=True)
    assert (dry.files, dry.known) == (2, 3)
    assert len(list((tmp_path / "kept").glob("backup-*.json"))) == 2
    third = backup(ledger, tmp_path / "kept")
    assert (third.files, third.known) == (2, 3), "the journal, and the artifact that is named"
    assert not list((tmp_path / "kept").rglob(".new-*"))
    older = restore(tmp_path / "kept" / first.name, tmp_path / "older")
    assert older.name == first.name
    with Ledger.open(tmp_path / "older") as again:
        assert again.get("l", "note", "n") is None
    with Ledger.open(restore(tmp_path / "kept", tmp_path / "newer").home) as again:
        assert again.get("l", "note", "n") is not None


def test_a_backup_is_whole_while_a_service_writes(ledger: Ledger, tmp_path: Path) -> None:
    """Writers are not held up, and the copy is one moment: what was acknowledged before it is in it."""
    stop, more, acknowledged = threading.Event(), threading.Event(), []

    def write() -> None:
        with Ledger.open(ledger.home) as other:
            at = 10_000
            while not stop.is_set():
                other.append(rows(at, 20))
                ref = other.artifacts.put_bytes(f"artifact {at}".encode(), ".txt")
                other.put("l", "file", f"f-{at}", {"file": ref.to_json()})
                acknowledged.append(at)
                more.set()
                at += 20
                if at % 400 == 0:
                    other.seal(min_rows=100)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            for _ in range(3):
                assert more.wait(120), "it no longer writes"
                more.clear()
            before = len(acknowledged)
            done = backup(ledger, tmp_path / "kept")
            home = restore(tmp_path / "kept" / done.name, tmp_path / f"again-{number}").home
            with Ledger.open(home) as again:
                assert again.doctor() == []
                assert len(again.records("l", "file")) >= before
                counted = again.query("SELECT count(DISTINCT id) AS n FROM event").to_pylist()[0]["n"]
                assert counted == again.count("l", "interaction") >= 2_100 + 20 * before
    finally:
        stop.set()
        writer.join()
    assert len(acknowledged) > 4


def test_a_byte_that_changed_is_found_and_nothing_is_restored(ledger: Ledger, tmp_path: Path) -> None:
    done = backup(ledger, tmp_path / "kept")
    assert restore(tmp_path / "kept", tmp_path / "again", dry=True).dry
    files = [path for path in tree(tmp_path / "kept") if not path.startswith("backup-")]
    assert len(files) == 4
    for name in [*files, done.name]:
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "kept", copy)
        path = copy / name
        path.chmod(0o644)
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 1
        path.write_bytes(whole)
        for dry in (True, False):
            with pytest.raises(StoreError, match="expected"):
                restore(copy, tmp_path / "again", dry=dry)
        path.unlink()
        with pytest.raises((StoreError, NotFound)):
            restore(copy, tmp_path / "again")
        assert not (tmp_path / "again").exists()
        assert not list(tmp_path.glob(".again.*"))
        shutil.rmtree(copy)


def test_a_home_that_is_there_is_refused_or_put_aside(ledger: Ledger, tmp_path: Path) -> None:
    backup(ledger, tmp_path / "kept")
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "kept", tmp_path / "empty")
    with Ledger.open(tmp_path / "empty") as other:
        other.append(rows(50_000, 1))
    with pytest.raises(Refused, match="expected no home"):
        restore(tmp_path / "kept", tmp_path / "empty")
    with lock(tmp_path / "empty", "run-l"), pytest.raises(Busy, match="run-l"):
        restore(tmp_path / "kept", tmp_path / "empty", force=True)
    made = restore(tmp_path / "kept", tmp_path / "empty", force=True)
    assert made.aside is not None
    with Ledger.open(made.aside) as before, Ledger.open(made.home) as now:
        assert (before.count("l", "interaction"), now.count("l", "interaction")) == (2_101, 2_100)


def test_what_is_no_backup_is_said(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(NotFound, match="expected a backup"):
        restore(tmp_path / "nothing", tmp_path / "again")
    uri = ledger.records("l", "candidate")[0]["report"]["uri"]
    path = ledger.home / uri
    kept = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"another report")
    with pytest.raises(StoreError, match="damaged"):
        backup(ledger, tmp_path / "kept")
    path.unlink()
    for dry in (True, False):
        with pytest.raises(StoreError, match="missing"):
            backup(ledger, tmp_path / "kept", dry=dry)
    assert not list((tmp_path / "kept").glob("backup-*.json"))
    ledger.put("l", "pruned", "c-0", {"model": {"uri": uri, "sha256": "x"}})
    done = with_what_was_pruned(ledger, tmp_path / "kept")
    assert done.manifest["absent"] == [uri]
    restore(tmp_path / "kept", tmp_path / "again")
    path.write_bytes(kept)


def test_one_keeper_at_a_time(ledger: Ledger, tmp_path: Path) -> None:
    for folder, name in ((ledger.home, "keep"), (tmp_path / "kept", "backup")):
        with lock(folder, name), pytest.raises(Busy):
            backup(ledger, tmp_path / "kept")


def test_a_backup_of_a_newer_trueup_names_the_version_to_install(ledger: Ledger, tmp_path: Path) -> None:
    from trueup.core.json import dumps, sha256

    done = backup(ledger, tmp_path / "kept")
    body = dumps({**done.manifest, "schema": 99, "trueup": "7.1.0"})
    path = tmp_path / "kept" / f"backup-20990101T000000.000000Z-{sha256(body)[:16]}.json"
    path.write_text(body)
    with pytest.raises(NewerLedger, match="schema 99") as error:
        restore(tmp_path / "kept", tmp_path / "again")
    assert "trueup>=7.1.0" in error.value.cure
    with closing(sqlite3.connect(ledger.home / "journal.sqlite")) as connection:
        connection.execute("INSERT INTO migration VALUES (99, '7.1.0', 1)")
        connection.execute("PRAGMA user_version=99")
        connection.commit()
    with pytest.raises(NewerLedger, match="written by Trueup 7") as error:
        Ledger.open(ledger.home)
    assert "pip install 'trueup>=7.1.0'" in error.value.cure


def test_a_manifest_names_every_file(ledger: Ledger, tmp_path: Path) -> None:
    done = backup(ledger, tmp_path / "kept")
    said = json.loads((tmp_path / "kept" / done.name).read_text())
    assert said == done.manifest
    parts = [said["journal"], *said["segments"], *said["artifacts"]]
    for part in parts:
        path = tmp_path / "kept" / part["path"]
        size = sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) if path.is_dir() else path.stat().st_size
        assert size == part["bytes"]
    assert said["loops"] == {"l": 1}
