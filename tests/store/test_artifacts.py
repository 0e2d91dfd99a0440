# SPDX-License-Identifier: Apache-2.0
"""Artifacts: named by content, whole or absent, and nothing outside their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trueup.core import Ref
from trueup.core.errors import ArgumentError, DataError, NotFound, StoreError
from trueup.store import Ledger


def tree(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_bytes_and_files_are_named_by_what_is_in_them(ledger: Ledger, tmp_path: Path) -> None:
    store = ledger.artifacts
    ref = store.put_bytes(b"hello", ".txt")
    (tmp_path / "a.txt").write_bytes(b"hello")
    assert store.put_file(tmp_path / "a.txt") == ref == store.put_bytes(b"hello", ".txt")
    assert store.get_bytes(ref) == b"hello"
    assert store.path(ref).read_bytes() == b"hello"
    assert store.verify(ref) == store.path(ref)
    assert [one.uri for one in store.stored()] == [ref.uri]
    assert Ref.from_json(ref.to_json()) == ref


def test_a_tree_is_a_folder_again(ledger: Ledger, tmp_path: Path) -> None:
    store = ledger.artifacts
    one = store.put_tree(tree(tmp_path / "one", **{"model.json": b"{}", "deep__er__x.bin": b"x" * 9}))
    two = store.put_tree(tree(tmp_path / "two", **{"deep__er__x.bin": b"x" * 9, "model.json": b"{}"}))
    assert one == two
    assert (store.path(one) / "deep/er/x.bin").read_bytes() == b"x" * 9
    store.verify(one)
    three = store.put_tree(tree(tmp_path / "one", **{"model.json": b"{ }"}))
    assert three != one
    assert ledger.doctor()
    assert {found.level for found in ledger.doctor()} == {"note"}


def test_damage_is_seen(ledger: Ledger, tmp_path: Path) -> None:
    store = ledger.artifacts
    ref, folder = store.put_bytes(b"hello"), store.put_tree(tree(tmp_path / "t", a=b"1", b=b"2"))
    store.path(ref).chmod(0o644)
    store.path(ref).write_bytes(b"hullo")
    (store.path(folder) / "b").unlink()
    for damaged in (ref, folder):
        with pytest.raises(StoreError, match="what its name says"):
            store.verify(damaged)
    with pytest.raises(StoreError):
        store.get_bytes(ref)
    ledger.put("l", "candidate", "c", {"model": {"uri": "artifacts/00/" + "0" * 64, "sha256": "0" * 64}})
    codes = [found.code for found in ledger.doctor()]
    assert codes.count("damaged-artifact") == 2
    assert codes.count("missing-artifact") == 1


def test_links_and_devices_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    store = ledger.artifacts
    folder = tree(tmp_path / "t", a=b"1")
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="link"):
        store.put_tree(folder)
    with pytest.raises(DataError, match="link"):
        store.put_file(folder / "link")
    (folder / "link").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(DataError, match="device"):
        store.put_tree(folder)
    (tmp_path / "to").symlink_to(folder)
    with pytest.raises(DataError):
        store.put_tree(tmp_path / "to")
    with pytest.raises(NotFound):
        store.put_file(tmp_path / "nothing")
    assert list(store.stored()) == []
    assert not list((ledger.home / "artifacts").glob(".new-*"))


@pytest.mark.parametrize(
    "uri",
    ["/etc/passwd", "artifacts/../journal.sqlite", "artifacts/ab/../../journal.sqlite", "file:///etc/passwd",
     "artifacts/00/" + "0" * 64 + "/../../x", "artifacts/ab/" + "0" * 64, ""],
)  # fmt: skip
def test_references_lead_nowhere_else(ledger: Ledger, uri: str) -> None:
    with pytest.raises(ArgumentError):
        ledger.artifacts.path(Ref(uri, "0" * 64))


def test_a_missing_artifact_and_a_bad_suffix_say_so(ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        ledger.artifacts.path(Ref("artifacts/00/" + "0" * 64, "0" * 64))
    with pytest.raises(ArgumentError):
        ledger.artifacts.put_bytes(b"", "/../x")
