# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or absent, and never replaced: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trueup.core.errors import StoreError, StoreFull, TrueupError
from trueup.core.files import make_folder, sync_file, sync_folder

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
TEMPORARY = ".new-"
CHUNK = 1 << 20


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn an OSError into a StoreError that says what was being done."""
    try:
        yield
    except TrueupError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(f"expected room for {what}, got: {error.strerror}") from error
        raise StoreError(
            f"expected to write {what}, got: {error}", cure="check the folder's owner and its disk"
        ) from error


def temporary(folder: Path) -> Path:
    """A new name within a folder, for what will be renamed when it is whole."""
    return folder / f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex[:12]}"


def place(made: Path, final: Path) -> None:
    """Move a whole, synced file or folder to its name, durably; one that is there already stands."""
    make_folder(final.parent)
    if final.exists():
        discard(made)
    else:
        try:
            os.rename(made, final)
        except OSError as error:
            # Somebody placed the same content in the meantime (a folder cannot replace a folder).
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or not final.exists():
                raise
            discard(made)
    # Also when it stood already: who placed it may not have come to this point yet.
    sync_folder(final.parent)


def sync_data(descriptor: int) -> None:
    """The contents and the length of a file to the disk; its times may come later."""
    if sys.platform == "darwin":  # pragma: no cover
        sync_file(descriptor)
    else:
        os.fdatasync(descriptor)


def discard(path: Path) -> None:
    """Remove a file or a folder that nobody refers to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a regular file's bytes; raises OSError for a link or anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_synced(source: Path, target: Path) -> str:
    """Copy a regular file, synced and read-only, and give the SHA-256 of the copied bytes."""
    whole = hashlib.sha256()
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file, target.open("xb") as copy:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(source))
        while chunk := file.read(CHUNK):
            whole.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fchmod(copy.fileno(), 0o444)
        sync_file(copy.fileno())
    return whole.hexdigest()


def segment_path(home: Path, digest: str) -> Path:
    """Where a segment lies."""
    return home / "segments" / digest[:2] / f"{digest}.parquet"
