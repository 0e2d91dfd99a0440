# SPDX-License-Identifier: Apache-2.0
"""Artifacts: files and folders that are named by what is in them, and never change."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from trueup.core.errors import ArgumentError, DataError, NotFound, StoreError
from trueup.core.files import make_folder, sync_file, sync_folder
from trueup.core.json import sha256
from trueup.core.references import Ref
from trueup.store import _files

_URI = re.compile(r"artifacts/([0-9a-f]{2})/([0-9a-f]{64})(?:\.[A-Za-z0-9]{1,16})?")
_MENTION = re.compile(r"artifacts/[0-9a-f]{2}/[0-9a-f]{64}(?:\.[A-Za-z0-9]{1,16})?")
_SUFFIX = re.compile(r"(?:\.[A-Za-z0-9]{1,16})?")


class Artifacts:
    """The artifacts of a home, under `<home>/artifacts/ab/<sha256><suffix>`.

    A reference's URI is relative to the home, so that a home may be moved. A folder's digest is
    the SHA-256 of its lines `<sha256>  <relative path>\\n`, sorted by path. Putting the same
    content twice is putting it once. What is put is on the disk when the call returns. Raises
    StoreFull where there is no room, with nothing half-written.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / "artifacts"

    def put_bytes(self, data: bytes, suffix: str = "") -> Ref:
        """Store bytes; the suffix (such as `.json`) becomes a part of the name."""
        ref = _ref(sha256(data), suffix)
        final = self._home / ref.uri
        with _files.told("an artifact"):
            if final.exists():
                sync_folder(final.parent)  # who placed it may not have come to this yet
            else:
                made = self._temporary()
                try:
                    with made.open("xb") as file:
                        file.write(data)
                        file.flush()
                        os.fchmod(file.fileno(), 0o444)
                        sync_file(file.fileno())
                    _files.place(made, final)
                finally:
                    _files.discard(made)
        return ref

    def put_file(self, path: Path) -> Ref:
        """Store a copy of a file; its own suffix is kept where it is a plain one."""
        _must_be(path, path.is_file() and not path.is_symlink(), "a regular file")
        with _files.told("an artifact"):
            made = self._temporary()
            try:
                suffix = path.suffix if _SUFFIX.fullmatch(path.suffix) else ""
                ref = _ref(_files.copy_synced(path, made), suffix)
                _files.place(made, self._home / ref.uri)
            finally:
                _files.discard(made)
        return ref

    def put_tree(self, folder: Path) -> Ref:
        """Store a copy of a folder's files; empty folders are left out, links are refused."""
        _must_be(folder, folder.is_dir() and not folder.is_symlink(), "a folder")
        names = sorted(_walk(folder), key=lambda name: name.encode())
        with _files.told("an artifact"):
            made = self._temporary()
            try:
                made.mkdir()
                lines = [(_copy_into(folder, made, name), name) for name in names]
                for inner, _, _ in os.walk(made):
                    sync_folder(Path(inner))
                ref = _ref(tree_digest(lines), "")
                _files.place(made, self._home / ref.uri)
            finally:
                _files.discard(made)
        return ref

    def path(self, ref: Ref) -> Path:
        """Where an artifact lies; raises NotFound, and ArgumentError for what is not one."""
        match = _URI.fullmatch(ref.uri)
        if match is None or match[2] != ref.sha256 or match[1] != ref.sha256[:2]:
            raise ArgumentError(
                f"expected a reference to an artifact (artifacts/ab/<sha256>), got {ref!r:.200}"
            )
        found = self._home / ref.uri
        if not found.exists():
            raise NotFound(
                f"expected the artifact {ref.uri} in {self._home}, got none",
                cure="restore it from a backup of this home, or make it again",
            )
        return found

    def get_bytes(self, ref: Ref) -> bytes:
        """The bytes of a stored file, verified."""
        found = self.path(ref)
        if found.is_dir():
            raise ArgumentError(f"expected a file, got a folder: {ref.uri}", cure="use path(ref)")
        data = found.read_bytes()
        if sha256(data) != ref.sha256:
            raise _damaged(ref, sha256(data))
        return data

    def verify(self, ref: Ref) -> Path:
        """`path(ref)`, after reading all of it; raises StoreError where a byte has changed."""
        found = self.path(ref)
        try:
            got = digest_of(found)
        except (OSError, DataError) as error:
            raise _damaged(ref, str(error)) from error
        if got != ref.sha256:
            raise _damaged(ref, got)
        return found

    def stored(self) -> Iterator[Ref]:
        """Every artifact that lies here, unverified."""
        for inner in sorted(self._folder.glob("[0-9a-f][0-9a-f]")):
            for found in sorted(inner.iterdir()):
                match = _URI.fullmatch(f"artifacts/{inner.name}/{found.name}")
                if match:
                    yield Ref(match[0], match[2])

    def _temporary(self) -> Path:
        make_folder(self._folder)
        return _files.temporary(self._folder)


def mentioned(bodies: Iterable[str]) -> set[str]:
    """The URIs of the artifacts that texts name."""
    return {uri for body in bodies for uri in _MENTION.findall(body)}


def digest_of(path: Path) -> str:
    """The digest by which a file or a folder would be stored."""
    if path.is_symlink():
        raise DataError(f"expected a file or a folder, got a link: {path}")
    if not path.is_dir():
        return _files.file_digest(path)
    names = sorted(_walk(path), key=lambda name: name.encode())
    return tree_digest([(_files.file_digest(path / name), name) for name in names])


def tree_digest(lines: list[tuple[str, str]]) -> str:
    """The digest of a folder from its (SHA-256, relative path) pairs, sorted by path."""
    return sha256("".join(f"{digest}  {name}\n" for digest, name in lines))


def _walk(folder: Path, within: str = "") -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = within + entry.name
            if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
                raise DataError(
                    f"expected files and folders only, got a link or a device: {folder / entry.name}",
                    cure="put a copy of what it points to in its place",
                )
            if "\n" in entry.name or not _is_text(entry.name):
                raise DataError(f"expected file names in UTF-8 without line breaks, got {name!r}")
            if entry.is_dir():
                yield from _walk(folder / entry.name, name + "/")
            else:
                yield name


def _copy_into(folder: Path, made: Path, name: str) -> str:
    target = made / name
    target.parent.mkdir(parents=True, exist_ok=True)
    return _files.copy_synced(folder / name, target)


def _ref(digest: str, suffix: str) -> Ref:
    if not _SUFFIX.fullmatch(suffix):
        raise ArgumentError(f"expected a suffix such as '.json', got {suffix!r}")
    return Ref(f"artifacts/{digest[:2]}/{digest}{suffix}", digest)


def _must_be(path: Path, holds: bool, what: str) -> None:
    if holds:
        return
    if not os.path.lexists(path):
        raise NotFound(f"expected {what}, got nothing at {path}")
    raise DataError(f"expected {what}, got something else (a link?): {path}")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _damaged(ref: Ref, got: str) -> StoreError:
    return StoreError(
        f"expected {ref.uri} to hold what its name says, got {got}",
        cure="the file is damaged: restore it from a backup of this home",
    )
