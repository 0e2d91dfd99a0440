# SPDX-License-Identifier: Apache-2.0
"""Migrating a home by hand: what an opening does by itself, said before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.core.errors import NotFound
from trueup.store.ledger import BUSY_SECONDS
from trueup.store.locks import lock
from trueup.store.sqlite import FILE, _database
from trueup.store.sqlite._mounts import refuse_network


@dataclass(frozen=True, slots=True)
class Migration:
    """From which schema a home was brought to which (with `dry`: would be), by which steps, and
    where its journal was copied before (None: nothing to do, or nothing was done)."""

    home: Path
    before: int
    after: int
    steps: tuple[str, ...]
    backup: Path | None = None
    dry: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "home": str(self.home), "before": self.before, "after": self.after, "steps": list(self.steps),
            "backup": str(self.backup) if self.backup else None, "dry": self.dry,
        }


def migrate(home: Path, *, dry: bool = False) -> Migration:
    """Bring a home to this version's schema; its journal is copied to `backups/` first.

    Each step is one transaction: killed at any point, the ledger has the schema of the step before
    or of the step after, and opens. Segments and artifacts are never changed by a migration.
    Raises NotFound, NewerLedger (naming the version to install), ForeignLedger, Busy, StoreFull.
    """
    home = home.expanduser().absolute()
    path = home / FILE
    refuse_network(home)
    if not path.exists():
        raise NotFound(f"expected a ledger in {home}, got none", cure="name the home with --home")
    known = _database.migrations()
    before = _database.schema_of(path, busy=BUSY_SECONDS)
    todo = [number for number in sorted(known) if number > before]
    steps = tuple(f"{number:04}: {_purpose(known[number])}" for number in todo)
    if dry or not todo:
        return Migration(home, before, max(known), steps, dry=dry)
    with lock(home, "migrate", wait=BUSY_SECONDS):
        kept = _database.prepare(home, path, busy=BUSY_SECONDS)
    return Migration(home, before, max(known), steps, kept)


def _purpose(script: str) -> str:
    """What a step is for: the comment at its top."""
    lines = [line.removeprefix("--").strip() for line in script.splitlines()[1:] if line.startswith("--")]
    return lines[0] if lines else ""
