# SPDX-License-Identifier: Apache-2.0
"""A home from a backup: built beside its place, verified whole, and put there by a rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.core.errors import Busy, NewerLedger, Refused, StoreError, StoreFull
from trueup.core.files import make_folder, sync_folder
from trueup.store import _files
from trueup.store._backup import Progress, quiet, read_manifest, stamp
from trueup.store.artifacts import Artifacts, digest_of
from trueup.store.ledger import Ledger
from trueup.store.locks import holder
from trueup.store.sqlite import FILE, _database
from trueup.store.sqlite._mounts import refuse_network


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: the home, the backup that it came from, files and bytes, and where the
    home that stood there before was put aside (None: there was none)."""

    home: Path
    name: str
    manifest: dict[str, Any]
    files: int
    bytes: int
    aside: Path | None = None
    dry: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "home": str(self.home), "name": self.name, "dry": self.dry, "files": self.files, "bytes": self.bytes,
            "made": self.manifest["made"], "loops": self.manifest["loops"], "cut": self.manifest["cut"],
            "aside": str(self.aside) if self.aside else None,
        }


def restore(
    source: Path, home: Path, *, force: bool = False, dry: bool = False, progress: Progress | None = None
) -> Restored:
    """Make `home` what a backup holds; `source` is a destination (its newest backup) or a manifest.

    Every file is compared with its digest as it is copied, and the whole is examined as `doctor`
    does, before it takes its place by a rename: killed at any point, `home` is as it was, or whole.
    An existing home is refused without `force`; with it, it is put aside, not thrown away. With
    `dry` the backup is verified where it lies. Raises NotFound, Refused, NewerLedger, Busy,
    StoreFull, and StoreError where a byte differs.
    """
    say = progress or quiet
    home = Path(os.path.realpath(home.expanduser()))
    path, manifest = read_manifest(source)
    newest = max(_database.migrations())
    if manifest["schema"] > newest:
        raise NewerLedger(
            f"expected a backup of schema {newest} or older, got schema {manifest['schema']}",
            cure=f"pip install 'trueup>={manifest['trueup']}'",
        )
    parts = [manifest["journal"], *manifest["segments"], *manifest["artifacts"]]
    size = sum(part["bytes"] for part in parts)
    made = Restored(home, path.name, manifest, len(parts), size, dry=dry)
    if dry:
        _verify(path.parent, manifest, say)
        return made
    refuse_network(home)
    there = _occupied(home, force)
    with _files.told(f"the home {home}"), _stage(home, size) as stage:
        _copy(path.parent, stage, manifest, say)
        say("examining it", 0, 0)
        _examine(stage, set(manifest["absent"]))
        aside = home.with_name(f"{home.name}.before-{stamp()}") if there else None
        if aside is not None:
            os.rename(home, aside)
        os.rename(stage, home)
        sync_folder(home.parent)
    return Restored(home, path.name, manifest, len(parts), size, aside)


def _occupied(home: Path, force: bool) -> bool:
    """Whether something lies where the home is to be; refuses it without `force`, or while in use."""
    if not home.exists() or (home.is_dir() and not any(home.iterdir())):
        return False
    if not force:
        raise Refused(
            f"expected no home in {home} yet, got one",
            cure="restore to another folder with --to, or put this one aside with --force",
        )
    for file in (home / "locks").glob("*.lock"):
        who = holder(home, file.stem)
        if who is not None:
            raise Busy(
                f"expected nobody at work in {home}, got {file.stem!r} held by process {who.get('pid', '?')}",
                cure="stop it first",
            )
    return True


@contextmanager
def _stage(home: Path, size: int) -> Iterator[Path]:
    """A folder beside the home, on the same disk, that goes where it was not put in its place."""
    make_folder(home.parent)
    begin = f".{home.name}.restoring-"
    for left in home.parent.glob(f"{begin}*"):
        if not _alive(left.name.removeprefix(begin)):
            shutil.rmtree(left, ignore_errors=True)
    free = shutil.disk_usage(home.parent).free
    if free < size * 1.02:
        raise StoreFull(f"expected {size / 1e6:,.0f} MB of room in {home.parent}, got {free / 1e6:,.0f} MB")
    stage = home.parent / f"{begin}{os.getpid()}"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:
        return True
    return True


def _copy(source: Path, stage: Path, manifest: dict[str, Any], say: Progress) -> None:
    """Every file of the manifest, synced, and compared with its digest."""
    total = 1 + len(manifest["segments"]) + len(manifest["artifacts"])
    say("the journal", 0, total)
    journal = stage / FILE
    _same(manifest["journal"], _copied(source / manifest["journal"]["path"], journal))
    journal.chmod(0o644)
    for at, part in enumerate(manifest["segments"]):
        say("sealed history", 1 + at, total)
        (stage / part["path"]).parent.mkdir(parents=True, exist_ok=True)
        _same(part, _copied(source / part["path"], stage / part["path"]))
    store = Artifacts(stage)
    for at, part in enumerate(manifest["artifacts"]):
        say("artifacts", 1 + len(manifest["segments"]) + at, total)
        found = source / part["path"]
        if not found.exists():
            raise _differs(part, "nothing")
        _same(part, (store.put_tree if found.is_dir() else store.put_file)(found).sha256)
    for folder, _, _ in os.walk(stage):
        sync_folder(Path(folder))


def _copied(source: Path, target: Path) -> str:
    try:
        return _files.copy_synced(source, target)
    except FileNotFoundError:
        return "nothing"


def _verify(source: Path, manifest: dict[str, Any], say: Progress) -> None:
    """Read every file of a backup where it lies."""
    parts = [manifest["journal"], *manifest["segments"], *manifest["artifacts"]]
    for at, part in enumerate(parts):
        say("verifying", at, len(parts))
        try:
            _same(part, digest_of(source / part["path"]))
        except OSError as error:
            raise _differs(part, error.strerror or "an error") from error


def _same(part: dict[str, Any], got: str) -> None:
    if got != part["sha256"]:
        raise _differs(part, got)


def _differs(part: dict[str, Any], got: str) -> StoreError:
    return StoreError(
        f"expected {part['path']} of the backup to be what its manifest says, got {got}",
        cure="the backup is damaged: take another one of the same destination, or another destination",
    )


def _examine(stage: Path, absent: set[str]) -> None:
    """A home that was restored is whole: all that `doctor` looks at, artifacts that were thrown
    away before the backup left out. It is migrated where it is older."""
    with Ledger.open(stage, create=False) as ledger:
        found = [
            one for one in ledger.doctor()
            if one.level == "error"
            and not (one.code == "missing-artifact" and one.message.split(" ", 1)[0] in absent)
        ]
    if found:
        raise StoreError(
            f"expected a whole home in the backup, got: {found[0].message}", cure="take an older backup"
        )
