# SPDX-License-Identifier: Apache-2.0
"""On what kind of file system a folder lies: SQLite's locks and shared memory need a local one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from trueup.core.errors import NetworkFileSystem

_NETWORK = frozenset({
    "9p", "afs", "afpfs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs",
    "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "smb", "smb2", "smb3", "smbfs",
    "webdav",
    "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys", "fuse.juicefs", "fuse.rclone",
    "fuse.s3fs", "fuse.sshfs",
})  # fmt: skip
_MAC = re.compile(r" on (?P<folder>.+) \((?P<type>[^,)]+)[,)]")


def refuse_network(folder: Path, mounts: str | None = None) -> None:
    """Raise NetworkFileSystem where a folder lies on one; `mounts` is a text like /proc/mounts."""
    found = file_system(folder, mounts)
    if found is None:
        return
    mount, kind = found
    # A sandbox may show its whole root as 9p; one kernel serves all of it, so that locks hold.
    if kind in _NETWORK and not (kind == "9p" and mount == "/"):
        raise NetworkFileSystem(
            f"expected a local disk for {folder}, got {kind} (mounted at {mount}), where "
            "SQLite's locks and shared memory do not hold",
        )


def file_system(folder: Path, mounts: str | None = None) -> tuple[str, str] | None:
    """(mount point, type) of the file system that a folder lies on, or None where nobody says."""
    path = os.path.realpath(folder)
    best: tuple[str, str] | None = None
    for mount, kind in _mounted(mounts):
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and (best is None or len(mount) >= len(best[0])):
            best = (mount, kind)
    return best


def _mounted(mounts: str | None) -> list[tuple[str, str]]:
    if mounts is None and sys.platform == "darwin":  # pragma: no cover
        listed = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
        return [(match["folder"], match["type"]) for match in map(_MAC.search, listed.splitlines()) if match]
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text("utf-8", "surrogateescape")
        except OSError:
            return []
    lines = [line.split(" ") for line in mounts.splitlines()]
    return [(_plain(line[1]), line[2]) for line in lines if len(line) > 2]


def _plain(mount: str) -> str:
    """A mount point as it is: /proc/mounts writes blanks and backslashes in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), mount)
