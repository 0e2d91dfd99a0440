# SPDX-License-Identifier: Apache-2.0
"""Files that are written whole or not at all: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path


def write_whole(path: Path, content: bytes | str, *, mode: int | None = None, durable: bool = True) -> None:
    """Write a file so that whoever reads it, also after a crash, finds the old content or the new one.

    Text is written as UTF-8 without any translation of line ends; the folder must be there. `mode` are
    the permission bits, the usual ones where None. On the disk when this returns; without `durable` a
    crash of the machine may bring the old content back or lose the file. Raises OSError, with the old
    content in place.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.part")
    try:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            draft.chmod(mode)
        replace(draft, path, durable=durable)
    finally:
        draft.unlink(missing_ok=True)


def replace(draft: Path, path: Path, *, durable: bool = True) -> None:
    """Put a written file in the place of another, on the disk when this returns; both in one folder."""
    if durable:
        sync_path(draft)
    os.replace(draft, path)
    if durable:
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, each of them durable."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_file(descriptor: int) -> None:
    """To the disk itself, also where fsync alone stops at the drive's cache."""
    if sys.platform == "darwin":  # pragma: no cover
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_path(path: Path) -> None:
    """Sync a file by its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names within a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
