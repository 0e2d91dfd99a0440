# SPDX-License-Identifier: Apache-2.0
"""Snapshots: immutable datasets, each with the manifest of how it came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from trueup.core.errors import DataError, NotFound, StoreError
from trueup.core.json import digest, dumps
from trueup.core.references import Ref
from trueup.curate import ROWS
from trueup.curate.rows import stored, whole
from trueup.data.funnel import Funnel
from trueup.state import SnapshotRecord
from trueup.store.digest import logical_digest

if TYPE_CHECKING:
    from trueup.store import Ledger


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A dataset: its id is made from its manifest, which holds the logical digest of its rows."""

    id: str
    manifest: Mapping[str, Any]
    data: Ref
    ledger: Ledger

    @property
    def loop(self) -> str:
        return str(self.manifest["loop"])

    @property
    def funnel(self) -> Funnel:
        return Funnel.from_json(self.manifest["funnel"])

    def rows(self) -> pa.Table:
        """The training rows, by (ts, row id), with the columns of `trueup.curate.ROWS`."""
        try:
            return whole(pq.read_table(self.ledger.artifacts.path(self.data))).select(ROWS.names).cast(ROWS)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                f"expected the rows of the snapshot {self.id} at {self.data.uri}: {error}",
                cure="trueup restore brings back a backup; the snapshot can be built again at its cut",
            ) from None


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one Snapshot to another: rows by id, cohorts, and parts of the manifest.

    `altered` counts rows that are in both with another input, target or weight. `cohorts` maps a
    cohort to its rows in either; `changes` a path in the recipe, code or golden sets to both values.
    """

    before: str
    after: str
    added: int
    removed: int
    altered: int
    kept: int
    cohorts: Mapping[str, tuple[int, int]]
    changes: Mapping[str, tuple[Any, Any]]

    def to_json(self) -> dict[str, Any]:
        return {
            "before": self.before, "after": self.after, "added": self.added, "removed": self.removed,
            "altered": self.altered, "kept": self.kept,
            "cohorts": {name: list(pair) for name, pair in self.cohorts.items()},
            "changes": {name: list(pair) for name, pair in self.changes.items()},
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The difference for people."""
        lines = [f"rows: {self.kept:,} kept, {self.added:,} added, {self.removed:,} removed, {self.altered:,} altered"]
        lines += [f"cohort {name}: {a:,} -> {b:,}" for name, (a, b) in self.cohorts.items() if a != b]
        lines += [f"{name}: {dumps(a)} -> {dumps(b)}" for name, (a, b) in self.changes.items()]
        return lines


def snapshot_id(manifest: Mapping[str, Any]) -> str:
    """The id of a manifest."""
    return "s-" + digest(manifest)[:16]


def load(ledger: Ledger, ident: str, loop: str | None = None) -> Snapshot:
    """The Snapshot of an id, or of the beginning of one; raises NotFound, or DataError for many."""
    loops = [loop] if loop is not None else ledger.loops()
    for name in loops:
        known = ledger.get(name, SnapshotRecord, ident)
        if known is not None:
            return _of(ledger, known)
    prefix = ident if ident.startswith("s-") else f"s-{ident}"
    found = [
        known
        for name in loops
        for known in ledger.records(name, SnapshotRecord)
        if known.id.startswith(prefix)
    ]
    if len(found) == 1:
        return _of(ledger, found[0])
    if found:
        raise DataError(
            f"expected the beginning of one snapshot's id, got {ident!r}, which fits {len(found)}",
            cure="give more characters: " + ", ".join(sorted(one.id for one in found)[:5]),
        )
    raise NotFound(f"expected the id of a snapshot, got {ident!r}", cure="trueup snapshot list")


def list_snapshots(ledger: Ledger, loop: str) -> list[Snapshot]:
    """All Snapshots of a loop, the oldest first."""
    return [_of(ledger, known) for known in ledger.records(loop, SnapshotRecord)]


def verify(ledger: Ledger, ident: str, loop: str | None = None) -> list[str]:
    """Everything about a Snapshot that does not match its manifest; nothing, where all is well."""
    snapshot = load(ledger, ident, loop)
    manifest = snapshot.manifest
    faults = []
    if snapshot_id(manifest) != snapshot.id:
        faults.append(f"the manifest gives {snapshot_id(manifest)}, the record is {snapshot.id}")
    try:
        ledger.artifacts.verify(snapshot.data)
    except (StoreError, NotFound) as error:
        faults.append(error.message)
    try:
        rows = snapshot.rows()
    except (StoreError, NotFound) as error:
        return [*faults, *([] if error.message in faults else [error.message])]
    if rows.num_rows != manifest["rows"]["total"]:
        faults.append(f"the file has {rows.num_rows:,} rows, the manifest {manifest['rows']['total']:,}")
    found = logical_digest(stored(rows))
    if found != manifest["logical_digest"]:
        faults.append(f"the rows' digest is {found[:16]}, the manifest's {manifest['logical_digest'][:16]}")
    return faults


def diff(before: Snapshot, after: Snapshot) -> Difference:
    """What changed from one Snapshot to another."""
    rows_before, rows_after = before.rows(), after.rows()
    a, b = _by_id(rows_before), _by_id(rows_after)
    both = a.keys() & b.keys()
    cohorts_a, cohorts_b = before.manifest["rows"]["cohorts"], after.manifest["rows"]["cohorts"]
    flat_a, flat_b = _flat(_told(before.manifest)), _flat(_told(after.manifest))
    return Difference(
        before.id,
        after.id,
        added=len(b.keys() - both),
        removed=len(a.keys() - both),
        altered=sum(a[ident] != b[ident] for ident in both),
        kept=len(both),
        cohorts={
            name: (cohorts_a.get(name, 0), cohorts_b.get(name, 0))
            for name in sorted(cohorts_a.keys() | cohorts_b.keys())
        },
        changes={
            name: (flat_a.get(name), flat_b.get(name))
            for name in sorted(flat_a.keys() | flat_b.keys())
            if flat_a.get(name) != flat_b.get(name)
        },
    )


def _of(ledger: Ledger, known: SnapshotRecord) -> Snapshot:
    return Snapshot(known.id, known.manifest, known.data, ledger)


def _by_id(rows: pa.Table) -> dict[str, tuple[int, ...]]:
    """A hash of what trains of each row; rows under one id (from a step that adds) together."""
    found: dict[str, tuple[int, ...]] = {}
    names = ("input", "target", "weight")
    columns = [rows[name].to_pylist() for name in names]
    for ident, *parts in zip(rows["row_id"].to_pylist(), *columns, strict=True):
        found[ident] = (*found.get(ident, ()), hash(tuple(parts)))
    return found


def _told(manifest: Mapping[str, Any]) -> dict[str, Any]:
    golden = {item["name"]: item["digest"] for item in manifest["golden"]}
    names = ("recipe", "code", "seed", "target", "window", "parents", "sources")
    return {**{name: manifest[name] for name in names}, "golden": golden}


def _flat(data: Any, path: str = "") -> dict[str, Any]:
    if isinstance(data, Mapping) and data:
        return {
            key: item
            for name in data
            for key, item in _flat(data[name], f"{path}.{name}" if path else name).items()
        }
    return {path: data}
