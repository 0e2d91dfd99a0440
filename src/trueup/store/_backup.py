# SPDX-License-Identifier: Apache-2.0
"""Backups of a home: whole at one moment while others write, and each file once in a destination.

A destination holds `segments/` and `artifacts/` as a home does, named by their digests and copied
once; `journals/<sha256>.sqlite`, one a backup; and for each backup a manifest
`backup-<moment>-<digest>.json` that names all of its files with their SHA-256. The manifest comes
last: a backup that was killed leaves files that the next one takes up, and no manifest.

The journal is copied first. Whatever its rows name was on the disk before them, segments and
artifacts never change, and `prune` waits while a backup is made.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.errors import NotFound, Refused, StoreError
from trueup.core.files import make_folder, sync_file, sync_path
from trueup.core.json import dumps, loads, sha256
from trueup.core.version import __version__
from trueup.store import _files
from trueup.store.artifacts import Artifacts
from trueup.store.locks import lock
from trueup.store.sqlite import FILE, _database
from trueup.store.sqlite._audit import Contents, contents

if TYPE_CHECKING:
    from trueup.store.ledger import Ledger

FORMAT = 1
KEEPING = "keep"
"""The lock of a home under which things are copied away or thrown away, one at a time."""
NAME = re.compile(r"backup-(\d{8}T\d{6}\.\d{6}Z)-([0-9a-f]{16})\.json")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup: its destination, the name of its manifest, and what was new in it.

    `files` and `bytes` are what was copied this time (with `dry`: would be), `known` what lay there
    already. `manifest` names every file.
    """

    folder: Path
    name: str
    manifest: dict[str, Any]
    files: int
    bytes: int
    known: int
    dry: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder), "name": self.name, "dry": self.dry, "files": self.files,
            "bytes": self.bytes, "known": self.known, "schema": self.manifest["schema"],
            "cut": self.manifest["cut"], "loops": self.manifest["loops"],
            "segments": len(self.manifest["segments"]), "artifacts": len(self.manifest["artifacts"]),
            "absent": list(self.manifest["absent"]),
        }


def backup(
    ledger: Ledger, folder: Path, *, away: Set[str] = frozenset(), dry: bool = False,
    progress: Progress | None = None,
) -> Backup:
    """Copy a home to `folder`, as it is at one moment, while others go on writing.

    Into a folder that holds backups already only what is new is copied, and the journal. `away`
    names the artifacts that were thrown away on purpose. Raises StoreError where something else
    that the ledger names is missing or damaged, since that would be no backup; Busy where another
    backup, a restore or a prune is at work; StoreFull.
    """
    say = progress or quiet
    if not (ledger.home / FILE).exists():
        raise Refused(f"expected a ledger in {ledger.home / FILE}, got one that is kept elsewhere", cure="back up a home")
    if dry:
        return _would(ledger, folder, away)
    with _files.told(f"a backup in {folder}"):
        make_folder(folder.absolute())
        with lock(ledger.home, KEEPING), lock(folder, "backup"):
            _sweep(folder)
            return _Copying(ledger.home, folder, say).run(away)


def backups(folder: Path) -> list[Path]:
    """The manifests of the backups that are in a folder, oldest first."""
    return sorted(path for path in folder.glob("backup-*.json") if NAME.fullmatch(path.name))


def read_manifest(source: Path) -> tuple[Path, dict[str, Any]]:
    """The manifest that is named, or the newest one in a folder, and what it says; its own digest
    is verified. Raises NotFound, StoreError."""
    if source.is_file() and NAME.fullmatch(source.name):
        path = source
    else:
        found = backups(source)
        if not found:
            raise NotFound(
                f"expected a backup in {source}, got {'a folder without one' if source.is_dir() else 'no such folder'}",
                cure="name the folder that `trueup backup` wrote to, or one of its backup-*.json",
            )
        path = found[-1]
    body = path.read_bytes()
    match = NAME.fullmatch(path.name)
    assert match is not None
    if not sha256(body).startswith(match[2]):
        raise StoreError(f"expected {path} to hold what its name says, got something else", cure="take an older backup")
    manifest: dict[str, Any] = loads(body)
    if manifest["format"] > FORMAT:
        raise StoreError(
            f"expected a backup of format {FORMAT}, got {manifest['format']}",
            cure=f"pip install 'trueup>={manifest['trueup']}'",
        )
    return path, manifest


class _Copying:
    """One backup at work."""

    def __init__(self, home: Path, folder: Path, say: Progress) -> None:
        self._home, self._folder, self._say = home, folder, say
        self._files = self._bytes = self._known = 0

    def run(self, away: Set[str]) -> Backup:
        self._say("the journal", 0, 0)
        journal = self._journal()
        facts = contents(self._folder / journal["path"])
        total = len(facts.segments) + len(facts.artifacts)
        known = self._hashes()
        segments, artifacts, absent = [], [], []
        for at, (path, size) in enumerate(_files_of(facts)):
            self._say("sealed history", at, total)
            segments.append(self._segment(path, size, known))
        for at, uri in enumerate(facts.artifacts):
            self._say("artifacts", len(segments) + at, total)
            if uri in away and not (self._home / uri).exists():
                absent.append(uri)
            else:
                artifacts.append(self._artifact(uri))
        manifest = {
            "format": FORMAT, "trueup": __version__, "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "home": str(self._home), "schema": facts.schema, "cut": facts.cut, "loops": facts.loops,
            "journal": journal, "segments": segments, "artifacts": artifacts, "absent": absent,
        }
        name = self._enter(manifest)
        self._say("done", total, total)
        return Backup(self._folder, name, manifest, self._files, self._bytes, self._known)

    def _journal(self) -> dict[str, Any]:
        folder = self._folder / "journals"
        make_folder(folder)
        made = _files.temporary(folder)
        try:
            _database.copy(self._home / FILE, made, busy=10.0)
            made.chmod(0o444)
            sync_path(made)
            digest, size = _files.file_digest(made), made.stat().st_size
            path = f"journals/{digest}.sqlite"
            self._count(self._folder / path, size)
            _files.place(made, self._folder / path)
        finally:
            _files.discard(made)
        return {"path": path, "sha256": digest, "bytes": size}

    def _segment(self, path: str, size: int, known: dict[str, str]) -> dict[str, Any]:
        source, final = self._home / path, self._folder / path
        if not source.exists() or source.stat().st_size != size:
            raise _not_whole(path, "missing or cut" if source.exists() else "missing")
        self._count(final, size)
        if not final.exists():
            make_folder(final.parent)
            made = _files.temporary(self._folder / "segments")
            try:
                known[path] = _files.copy_synced(source, made)
                _files.place(made, final)
            finally:
                _files.discard(made)
        digest = known.get(path) or _files.file_digest(final)
        return {"path": path, "sha256": digest, "bytes": size}

    def _artifact(self, uri: str) -> dict[str, Any]:
        source, final = self._home / uri, self._folder / uri
        if not source.exists():
            raise _not_whole(uri, "missing")
        size = weight(source)
        self._count(final, size)
        want = Path(uri).name.partition(".")[0]
        if not final.exists():
            store = Artifacts(self._folder)
            got = (store.put_tree if source.is_dir() else store.put_file)(source)
            if got.sha256 != want:
                _files.discard(self._folder / got.uri)
                raise _not_whole(uri, "damaged")
        return {"path": uri, "sha256": want, "bytes": size}

    def _count(self, final: Path, size: int) -> None:
        if final.exists():
            self._known += 1
        else:
            self._files, self._bytes = self._files + 1, self._bytes + size

    def _hashes(self) -> dict[str, str]:
        """SHA-256 of the segments that earlier backups here have read."""
        found: dict[str, str] = {}
        for path in backups(self._folder)[-1:]:
            found |= {one["path"]: one["sha256"] for one in loads(path.read_bytes())["segments"]}
        return found

    def _enter(self, manifest: dict[str, Any]) -> str:
        body = dumps(manifest).encode()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = f"backup-{stamp}-{sha256(body)[:16]}.json"
        made = _files.temporary(self._folder)
        try:
            with made.open("xb") as file:
                file.write(body)
                file.flush()
                sync_file(file.fileno())
            _files.place(made, self._folder / name)
        finally:
            _files.discard(made)
        return name


def _files_of(facts: Contents) -> list[tuple[str, int]]:
    """Path within the home, and bytes, of every segment."""
    return [(_files.segment_path(Path(), one.sha256).as_posix(), one.bytes) for one in facts.segments]


def _would(ledger: Ledger, folder: Path, away: Set[str]) -> Backup:
    """What a backup now would copy."""
    journal = ledger.home / FILE
    facts = contents(journal, live=True)
    segments = _files_of(facts)
    files, size, known = 1, journal.stat().st_size, 0
    absent = [uri for uri in facts.artifacts if uri in away and not (ledger.home / uri).exists()]
    for path in (*(path for path, _ in segments), *(set(facts.artifacts) - set(absent))):
        if (folder / path).exists():
            known += 1
        elif not (ledger.home / path).exists():
            raise _not_whole(path, "missing")
        else:
            files, size = files + 1, size + weight(ledger.home / path)
    manifest = {
        "schema": facts.schema, "cut": facts.cut, "loops": facts.loops, "segments": segments,
        "artifacts": facts.artifacts, "absent": absent,
    }
    return Backup(folder, "", manifest, files, size, known, dry=True)


def weight(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def leftovers(folder: Path) -> Iterator[Path]:
    """What killed work left in a destination or a home: never referred to by anything."""
    for place in (folder, *(folder / name for name in ("journals", "segments", "artifacts", "backups"))):
        yield from place.glob(f"{_files.TEMPORARY}*")


def _sweep(folder: Path) -> None:
    for left in leftovers(folder):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _not_whole(path: str, how: str) -> StoreError:
    return StoreError(
        f"expected every file that the ledger names, to copy it; got {path} {how}",
        cure="trueup doctor says what is wrong; restore the file from an older backup",
    )


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def stamp() -> str:
    """A moment for a name."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
