# SPDX-License-Identifier: Apache-2.0
"""What may be thrown away: models that never served and that nobody holds, what they learned from,
and their work folders (TRN-12)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.core.errors import ArgumentError, NotFound
from trueup.core.references import Ref
from trueup.core.values import value
from trueup.registry.history import served
from trueup.state import (
    Candidate,
    PrunedRecord,
    SnapshotRecord,
    StepRecord,
    aliases,
    candidates,
    read,
)

if TYPE_CHECKING:
    from trueup.store import Ledger

KEEPING = "keep"
"""The lock under which things are copied away or thrown away, one at a time."""
DAY_US = 86_400_000_000


@value("keep.keep")
class Keep:
    """Which models stay beside those that always do: `Keep(weekly=8, monthly=24, last=5)`.

    What ever served, what an alias or a kept candidate's lineage holds, and what waits or is being
    released stays for good. Of the others stay the `last` newest ones, the newest of each ISO week
    of the last `weekly` weeks and of each month of the last `monthly` months (this one counted, in
    UTC), and all that are younger than `days` days.
    """

    last: int = 5
    weekly: int = 8
    monthly: int = 24
    days: float = 30.0

    def __post_init__(self) -> None:
        for name in ("last", "weekly", "monthly", "days"):
            if not getattr(self, name) >= 0:
                raise ArgumentError(f"expected {name} of at least 0, got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was thrown away, or with `dry` what would be: candidates, Snapshots whose rows go, model,
    data and work folders, bytes.

    `kept` maps the other candidates to why they stay, `sizes` every candidate to the bytes of its
    model. What is gone keeps its record, its lineage and its Decisions.
    """

    candidates: tuple[str, ...]
    folders: tuple[str, ...]
    bytes: int
    kept: dict[str, str]
    dry: bool = False
    snapshots: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "dry": self.dry, "candidates": list(self.candidates), "snapshots": list(self.snapshots),
            "folders": list(self.folders), "bytes": self.bytes, "kept": dict(self.kept), "sizes": dict(self.sizes),
        }


def prune(ledger: Ledger, loop: str, keep: Keep | None = None, *, dry: bool = False) -> Pruned:
    """Throw away the models of candidates that never served and that `keep` does not hold.

    The rows of the Snapshots that only they learned from go too, and the work folders of trainings
    that old, except that of an unfinished cycle; facts, Decisions and lineage stay for good. Each
    is recorded as pruned before its files go, so that a run that was killed is finished by the
    next, and a second run does nothing. Raises Busy where the loop is at work, or a backup is made.
    """
    from trueup.store import lock

    with lock(ledger.home, f"run-{loop}"):
        return throw_away(ledger, loop, keep or Keep(), dry=dry)


def throw_away(
    ledger: Ledger, loop: str, keep: Keep, *, dry: bool = False, before: Callable[[Pruned], object] = lambda _: None
) -> Pruned:
    """`prune` for whoever holds the loop already, between two of its cycles. `before` is told what goes,
    before the first file does. Raises Busy where a backup is made.
    """
    from trueup.store import lock

    with lock(ledger.home, KEEPING):
        now = to_us(ledger.clock.now())
        found = _Going(ledger, loop, reasons(ledger, loop, keep, now))
        work = _work(ledger, loop, now - int(keep.days * DAY_US))
        folders = list(dict.fromkeys([*found.folders, *work]))
        names = tuple(folder.relative_to(ledger.home).as_posix() for folder in folders)
        going = Pruned(
            tuple(found.candidates), names, sum(_size(folder) for folder in folders), found.kept, dry,
            tuple(found.snapshots), found.sizes,
        )
        if not dry:
            before(going)
            for ident, body in found.records:
                ledger.add(loop, ident, body)
            for folder in folders:
                _remove(folder)
            for rest in [*ledger.home.glob("artifacts/*/.*.pruned"), *ledger.home.glob("work/.*.pruned")]:
                _discard(rest)
    return going


def reasons(ledger: Ledger, loop: str, keep: Keep, now: int) -> dict[str, str]:
    """Every candidate that stays, with why; `now` in microseconds since 1970."""
    known = {one.id: one for one in candidates(ledger, loop)}
    newest = sorted(known.values(), key=lambda one: one.created, reverse=True)
    kept = _held(ledger, loop)
    for one in newest:
        if one.created > now - int(keep.days * DAY_US):
            kept.setdefault(one.id, "is new")
    for at, one in enumerate(newest[: keep.last]):
        kept.setdefault(one.id, f"is the {_nth(at + 1)} of the last {keep.last}")
    today = from_us(now)
    for name, periods in (("week", _weeks(today, keep.weekly)), ("month", _months(today, keep.monthly))):
        for period, ident in _newest_of(newest, _week_of if name == "week" else _month_of).items():
            if period in periods:
                kept.setdefault(ident, f"is the newest of the {name} {period}")
    for ident in list(kept):
        _parents(ident, known, kept)
    return kept


def _held(ledger: Ledger, loop: str) -> dict[str, str]:
    """What stays whatever is asked for: it served, or has a name."""
    kept = dict.fromkeys(sorted(served(ledger, loop)), "served users")
    for name, ident in aliases(ledger, loop).items():
        kept.setdefault(ident, f"is the {name}")
    return kept


def _parents(ident: str, known: dict[str, Candidate], kept: dict[str, str]) -> None:
    """What a candidate that stays was made from stays as well."""
    one = known.get(ident)
    while one is not None and one.parent is not None and one.parent not in kept:
        kept[one.parent] = f"is the parent of {one.id}"
        one = known.get(one.parent)


def _weeks(today: datetime, count: int) -> set[str]:
    return {_week_of(today - timedelta(weeks=back)) for back in range(count)}


def _months(today: datetime, count: int) -> set[str]:
    last = today.year * 12 + today.month - 1
    return {f"{(last - back) // 12}-{(last - back) % 12 + 1:02}" for back in range(count)}


def _newest_of(newest: list[Candidate], period: Callable[[datetime], str]) -> dict[str, str]:
    """The newest candidate of each period."""
    found: dict[str, str] = {}
    for one in newest:
        found.setdefault(period(from_us(one.created)), one.id)
    return found


def _week_of(day: datetime) -> str:
    return f"{day:%G-W%V}"


def _month_of(day: datetime) -> str:
    return f"{day:%Y-%m}"


def _nth(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


class _Going:
    """What goes: candidates, Snapshots, their records and their folders; and what stays, with why."""

    def __init__(self, ledger: Ledger, loop: str, kept: dict[str, str]) -> None:
        self.kept = kept
        self.candidates: list[str] = []
        self.snapshots: list[str] = []
        self.folders: list[Path] = []
        self.records: list[tuple[str, PrunedRecord]] = []
        self.sizes: dict[str, int] = {}
        known = {record.id for record in ledger.records(loop, PrunedRecord)}
        needed = {ref.uri for ref in _needed(ledger, loop, kept)}
        learned = {one.snapshot for one in candidates(ledger, loop) if one.id in kept}
        bodies = {record.id: record for record in ledger.records(loop, SnapshotRecord)}
        for one in candidates(ledger, loop):
            there = _there(ledger, one.model)
            self.sizes[one.id] = sum(map(_size, there))
            if one.id in kept:
                continue
            found = [] if one.model.uri in needed else there
            if one.id not in known or found:
                self.candidates.append(one.id)
                self.folders += found
                self.records.append((one.id, PrunedRecord(model=one.model)))
            if one.snapshot in bodies and one.snapshot not in learned:
                self._snapshot(ledger, str(one.snapshot), bodies[one.snapshot], needed)

    def _snapshot(self, ledger: Ledger, ident: str, body: SnapshotRecord, needed: set[str]) -> None:
        data = body.data
        found = [] if data.uri in needed else _there(ledger, data)
        if found and ident not in self.snapshots:
            self.snapshots.append(ident)
            self.folders += found
            self.records.append((ident, PrunedRecord(data=data)))


def _needed(ledger: Ledger, loop: str, kept: dict[str, str]) -> Iterator[Ref]:
    """Models and data of all candidates that stay, and data that no candidate learned from, of this
    loop and of every other of the home."""
    for name in ledger.loops():
        pruned = {record.id for record in ledger.records(name, PrunedRecord)}
        held = kept if name == loop else _held(ledger, name)
        learned: set[str | None] = set()
        gone: set[str | None] = set()
        for one in candidates(ledger, name):
            stays = one.id in held or (name != loop and one.id not in pruned)
            (learned if stays else gone).add(one.snapshot)
            if stays:
                yield one.model
                if one.base is not None:
                    yield one.base
        for record in ledger.records(name, SnapshotRecord):
            if record.id in learned or record.id not in gone:
                yield record.data


def _there(ledger: Ledger, model: Ref) -> list[Path]:
    try:
        return [ledger.artifacts.path(model)]
    except NotFound:
        return []


def _work(ledger: Ledger, loop: str, line: int) -> list[Path]:
    """Work folders of this loop's trainings before `line`, but for the unfinished cycle's."""
    cycle = read(ledger, loop)[1].cycle
    folders = []
    for record in ledger.records(loop, StepRecord):
        if record.step == "train" and (cycle is None or record.run != cycle.id) and record.at <= line:
            folder = ledger.home / "work" / record.work
            if folder.is_dir():
                folders.append(folder)
    return folders


def _size(folder: Path) -> int:
    if folder.is_file():
        return folder.stat().st_size
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _remove(folder: Path) -> None:
    """Out of sight at once, then away: a kill in between leaves no half of an artifact."""
    aside = folder.with_name(f".{folder.name}.pruned")
    _discard(aside)
    folder.rename(aside)
    _discard(aside)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def away(ledger: Ledger) -> set[str]:
    """The URIs of all that was thrown away on purpose."""
    return {
        ref.uri for loop in ledger.loops() for record in ledger.records(loop, PrunedRecord) for ref in record.gone
    }
