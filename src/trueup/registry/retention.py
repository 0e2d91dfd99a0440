# SPDX-License-Identifier: Apache-2.0
"""What may be thrown away: models that were refused and never served, and their work folders."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError, NotFound
from trueup.core.json import digest
from trueup.core.references import Ref
from trueup.registry.candidates import aliases, candidates
from trueup.registry.history import served

if TYPE_CHECKING:
    from trueup.store import Ailment, Ledger

KIND = "pruned"
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was thrown away, or with `dry` what would be: candidates, model and work folders, bytes.

    `kept` maps the other candidates to why they stay.
    """

    candidates: tuple[str, ...]
    folders: tuple[str, ...]
    bytes: int
    kept: dict[str, str]
    dry: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "dry": self.dry, "candidates": list(self.candidates), "folders": list(self.folders),
            "bytes": self.bytes, "kept": dict(self.kept),
        }


def prune(ledger: Ledger, loop: str, *, keep_days: float = 30.0, dry: bool = False) -> Pruned:
    """Throw away the models of candidates that were refused, never served, and are `keep_days` old.

    What ever served, waits, is being released or is anybody's model still stays for good; facts,
    Decisions and lineage of a pruned candidate stay as well. Work folders of trainings that old go
    too, except that of an unfinished cycle. Each candidate is recorded as pruned before its files
    go, so that a run that was killed is finished by the next, and a second run does nothing.
    Raises Busy where the loop is at work.
    """
    from trueup.store import lock

    if not keep_days >= 0:
        raise ArgumentError(f"expected keep_days of at least 0, got {keep_days!r}")
    with lock(ledger.home, f"run-{loop}"):
        now = to_us(ledger.clock.now())
        line = now - int(keep_days * DAY_US)
        kept = _kept(ledger, loop, line)
        models = {ref.sha256 for ref in _needed(ledger, loop, kept)}
        gone, folders, size = [], [], 0
        known = {record["id"] for record in ledger.records(loop, KIND)}
        for one in candidates(ledger, loop):
            if one.id in kept:
                continue
            found = [] if one.model.sha256 in models else _there(ledger, one.model)
            if one.id in known and not found:
                continue
            gone.append(one.id)
            folders += found
            if not dry:
                ledger.put(loop, KIND, one.id, {"model": one.model.to_json(), "keep_days": keep_days})
        folders += _work(ledger, loop, line)
        folders = list(dict.fromkeys(folders))
        size = sum(_size(folder) for folder in folders)
        if not dry:
            for folder in folders:
                _remove(folder)
            for rest in [*ledger.home.glob("artifacts/*/.*.pruned"), *ledger.home.glob("work/.*.pruned")]:
                shutil.rmtree(rest)
    names = tuple(folder.relative_to(ledger.home).as_posix() for folder in folders)
    return Pruned(tuple(gone), names, size, kept, dry)


def _kept(ledger: Ledger, loop: str, line: int) -> dict[str, str]:
    """Every candidate that stays, with why."""
    kept = dict.fromkeys(served(ledger, loop), "served users")
    for name, ident in aliases(ledger, loop).items():
        kept.setdefault(ident, f"is the {name}")
    for one in candidates(ledger, loop):
        if one.created > line:
            kept.setdefault(one.id, "is new")
    return kept


def _needed(ledger: Ledger, loop: str, kept: dict[str, str]) -> Iterator[Ref]:
    """The models of all candidates that stay, of this loop and of every other of the home."""
    for name in ledger.loops():
        pruned = {record["id"] for record in ledger.records(name, KIND)}
        for one in candidates(ledger, name):
            if one.id in kept if name == loop else one.id not in pruned:
                yield one.model


def _there(ledger: Ledger, model: Ref) -> list[Path]:
    try:
        return [ledger.artifacts.path(model)]
    except NotFound:
        return []


def _work(ledger: Ledger, loop: str, line: int) -> list[Path]:
    """Work folders of this loop's trainings before `line`, but for the unfinished cycle's."""
    cycle = (ledger.state(loop)[1].get("cycle") or {}).get("id")
    folders = []
    for record in ledger.records(loop, "step"):
        if record["step"] == "train" and record["run"] != cycle and record["at"] <= line:
            folder = ledger.home / "work" / digest(record["input"])[:16]
            if folder.is_dir():
                folders.append(folder)
    return folders


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _remove(folder: Path) -> None:
    """Out of sight at once, then away: a kill in between leaves no half of an artifact."""
    aside = folder.with_name(f".{folder.name}.pruned")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    shutil.rmtree(aside)


def ailments(ledger: Ledger, *, deep: bool = True) -> list[Ailment]:
    """What is wrong with a home, but for the models that were thrown away on purpose."""
    away = {
        record["model"]["uri"] for loop in ledger.loops() for record in ledger.records(loop, KIND)
    }
    return [
        one for one in ledger.doctor(deep=deep)
        if one.code != "missing-artifact" or one.message.split(" ", 1)[0] not in away
    ]
