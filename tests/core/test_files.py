# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from trueup.core import files
from trueup.core.files import write_whole


def test_a_file_is_written_as_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    with pytest.raises(FileNotFoundError):
        write_whole(path, "x")
    assert not list(tmp_path.iterdir())
    files.make_folder(path.parent)
    write_whole(path, "ä\r\n")
    assert path.read_bytes() == "ä\r\n".encode()
    write_whole(path, b"second", mode=0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"second", 0o600)
    write_whole(path, b"third", durable=False)
    assert os.listdir(path.parent) == ["file.txt"]


def test_the_content_is_synced_before_the_rename_and_the_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "file", []
    path.write_bytes(b"old")
    file, folder = files.sync_file, files.sync_folder
    monkeypatch.setattr(files, "sync_file", lambda one: (seen.append(("file", path.read_bytes())), file(one)))
    monkeypatch.setattr(files, "sync_folder", lambda one: (seen.append((one, path.read_bytes())), folder(one)))
    write_whole(path, b"new")
    assert seen == [("file", b"old"), (tmp_path, b"new")]


@pytest.mark.parametrize("content", ["\ud800", b"x"])
def test_what_cannot_be_written_leaves_the_old_content_and_nothing_else(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "file"
    if isinstance(content, bytes):
        path.mkdir()  # what a file cannot replace
    else:
        path.write_bytes(b"old")
    with pytest.raises((OSError, UnicodeError)):
        write_whole(path, content)
    assert os.listdir(tmp_path) == ["file"]
    assert path.is_dir() or path.read_bytes() == b"old"


def test_threads_that_write_one_file_leave_one_of_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([one]) * 200_000 for one in b"abcd"]
    threads = [threading.Thread(target=lambda one=one: [write_whole(path, one) for _ in range(5)]) for one in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]
