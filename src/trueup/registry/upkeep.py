# SPDX-License-Identifier: Apache-2.0
"""Upkeep of a home: what is wrong with it, and its backups, with what was thrown away on purpose left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.clock import to_us
from trueup.registry.retention import away
from trueup.state import StepRecord, read

if TYPE_CHECKING:
    from trueup.store import Ailment, Backup, Ledger

DAY_US = 86_400_000_000
STALE_DAYS = 30
ROOM = 1 << 30


def backup(
    ledger: Ledger, folder: Path, *, dry: bool = False, progress: Callable[[str, int, int], None] | None = None
) -> Backup:
    """Copy a home to `folder` as it is at one moment (see `trueup.store.backup`)."""
    from trueup.store import backup

    return backup(ledger, folder, away=away(ledger), dry=dry, progress=progress)


def ailments(ledger: Ledger, *, deep: bool = True) -> list[Ailment]:
    """What is wrong with a home, but for what was thrown away on purpose."""
    gone = away(ledger)
    found = [
        one for one in ledger.doctor(deep=deep)
        if one.code != "missing-artifact" or one.message.split(" ", 1)[0] not in gone
    ]
    return [*found, *_disk(ledger), *_work(ledger), *_locks(ledger)]


def _disk(ledger: Ledger) -> Iterator[Ailment]:
    """Room for the next write-ahead log, sealing and training."""
    from trueup.store import Ailment

    journal = ledger.journal_bytes()
    free, need = shutil.disk_usage(ledger.home).free, max(ROOM, 2 * journal)
    if free < need:
        yield Ailment(
            "warning", "little-room",
            f"{free / 1e9:.2f} GB are free in {ledger.home}; sealing and a migration may need {need / 1e9:.2f}",
            "free some space: trueup prune --dry says what could go",
        )


def _work(ledger: Ledger) -> Iterator[Ailment]:
    """Work folders of trainings that ended long ago, or that no training of this ledger made."""
    from trueup.store import Ailment

    line = to_us(ledger.clock.now()) - STALE_DAYS * DAY_US
    known: dict[str, bool] = {}
    busy = False
    for loop in ledger.loops():
        cycle = read(ledger, loop)[1].cycle
        busy |= cycle is not None
        for record in ledger.records(loop, StepRecord):
            if record.step == "train":
                known[record.work] = record.at > line or (cycle is not None and record.run == cycle.id)
    folders = [path for path in (ledger.home / "work").glob("*") if path.is_dir()]
    stale = [path for path in folders if not known.get(path.name, busy)]
    if stale:
        yield Ailment(
            "note", "stale-work", f"{len(stale)} work folders of trainings that ended, such as {min(stale).name}",
            "trueup prune",
        )


def _locks(ledger: Ledger) -> Iterator[Ailment]:
    """Who holds what, for whoever wonders why something is Busy."""
    from trueup.store import Ailment, holder

    for file in sorted((ledger.home / "locks").glob("*.lock")):
        who = holder(ledger.home, file.stem)
        if who is not None:
            yield Ailment(
                "note", "held", f"{file.stem} is held by process {who.get('pid', '?')} on {who.get('host', '?')} "
                f"since {who.get('since', '?')}: {str(who.get('command', '?'))[:120]}",
                "as it should be while it works; the lock goes with its process",
            )
