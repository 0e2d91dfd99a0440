# SPDX-License-Identifier: Apache-2.0
"""The manifest of a Snapshot: what it was made from, how, by which code, and what came out."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trueup.core.json import digest, loads
from trueup.core.references import Ref
from trueup.core.values import to_json
from trueup.curate import ROWS, GoldenIndex, version_of
from trueup.curate.rows import module_digest, stored
from trueup.curate.steps import step_name
from trueup.data.funnel import Funnel
from trueup.data.recipe import Recipe
from trueup.data.snapshot import Snapshot, snapshot_id
from trueup.state import SnapshotRecord
from trueup.store.digest import logical_digest

if TYPE_CHECKING:
    from trueup.store import Ledger

FORMAT = 1
_MICROSECOND = timedelta(microseconds=1)
_CODE = tuple(f"trueup.data.{name}" for name in ("build", "draw", "labelled", "manifest", "taught"))


def manifest_of(
    recipe: Recipe, ledger: Ledger, rows: pa.Table, funnel: Funnel,
    *, loop: str, target: str, cut: int, now_us: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """The manifest without golden sets and parents."""
    return {
        "format": FORMAT,
        "loop": loop,
        "target": target,
        "cut": cut,
        "created": now_us,
        "window": {"since": window_start(recipe, now_us), "until": now_us},
        "recipe": to_json(recipe),
        "recipe_digest": digest(to_json(recipe)),
        "code": code_of(recipe),
        "seed": seed,
        "rows": counts_of(rows),
        "schema": [[field.name, str(field.type)] for field in ROWS if field.name in stored(rows).column_names],
        "logical_digest": logical_digest(stored(rows)),
        "funnel": funnel.to_json(),
        "sources": _sources(ledger, loop, cut),
    }


def window_start(recipe: Recipe, now_us: int) -> int | None:
    """After which moment labels belong to the window; None for all history."""
    return None if recipe.window is None else now_us - recipe.window // _MICROSECOND


def code_of(recipe: Recipe) -> dict[str, str]:
    """The digests of the code that a build by this recipe runs."""
    steps = {f"{n} {step_name(step)}": version_of(step) for n, step in enumerate(recipe.curate, 1)}
    return {"build": module_digest(*_CODE), "golden": GoldenIndex.version(), **steps}


def counts_of(rows: pa.Table) -> dict[str, Any]:
    """Rows in all, by part, cohort and arm; `arms` counts rows that no experiment drew as none."""
    return {
        "total": rows.num_rows,
        "parts": _count(rows["part"]),
        "cohorts": _count(rows["cohort"]),
        "arms": _count(rows["arm"]),
        "classes": _classes(rows["target"]),
    }


def _count(column: pa.ChunkedArray) -> dict[str, int]:
    pairs = pc.value_counts(column).to_pylist()
    return dict(sorted((str(pair["values"] or "none"), int(pair["counts"])) for pair in pairs))


def _classes(targets: pa.ChunkedArray) -> dict[str, int] | None:
    """Rows by target, where there are few different ones."""
    counts = _count(targets)
    return counts if len(counts) <= 100 else None


def _sources(ledger: Ledger, loop: str, cut: int) -> list[dict[str, Any]]:
    """The files that were imported into this loop up to the cut."""
    signals = ledger.scan(loop, "signal", cut=cut, columns=["name", "extra"])
    found = [
        loads(extra)
        for name, extra in zip(signals["name"].to_pylist(), signals["extra"].to_pylist(), strict=True)
        if name == "import" and extra
    ]
    return [{key: told.get(key) for key in ("file", "digest", "rows")} for told in found]


def write(ledger: Ledger, manifest: dict[str, Any], rows: pa.Table) -> Snapshot:
    """Put the rows among the artifacts and the manifest into the ledger; once, for one id."""
    loop = str(manifest["loop"])
    ident = snapshot_id(manifest)
    known = ledger.get(loop, SnapshotRecord, ident)
    if known is None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{ident}.parquet"
            pq.write_table(stored(rows), path, compression="zstd", row_group_size=100_000)
            kept = ledger.artifacts.put_file(path)
            data = Ref(kept.uri, kept.sha256, rows.num_rows)
        ledger.add(loop, ident, SnapshotRecord(manifest, data))
        known = ledger.get(loop, SnapshotRecord, ident)
        assert known is not None
    return Snapshot(ident, known.manifest, known.data, ledger)
