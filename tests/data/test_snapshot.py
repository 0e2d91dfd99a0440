# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from trueup.core.errors import DataError, NotFound
from trueup.core.json import dumps
from trueup.data import Recipe, Snapshot, build, diff, list_snapshots, load, verify
from trueup.store import Ledger

NOW_US = 1_780_272_000_000_000
Log = Callable[..., None]


def snapshot(ledger: Ledger, recipe: Recipe = Recipe(min_rows=1), **more: Any) -> Snapshot:
    given = {"loop": "films", "target": "genre", "cut": ledger.cut(), "now_us": NOW_US, **more}
    built = build(recipe, ledger, **given)
    assert built.snapshot is not None, built.refusal
    return built.snapshot


def test_load_by_id_and_by_its_beginning(ledger: Ledger, log: Log) -> None:
    log(10)
    one, two = snapshot(ledger), snapshot(ledger, seed=1)
    assert load(ledger, one.id, "films") == one
    assert load(ledger, one.id[:9], "films").manifest == one.manifest
    assert load(ledger, one.id[2:9], "films").id == one.id
    assert [found.id for found in list_snapshots(ledger, "films")] == [one.id, two.id]
    with pytest.raises(DataError, match="fits 2"):
        load(ledger, "s-", "films")
    with pytest.raises(NotFound, match="snapshot list"):
        load(ledger, "s-ffffffffffffffffffff", "films")


def test_verify_finds_a_changed_file(ledger: Ledger, log: Log) -> None:
    """VER-01."""
    log(10)
    one = snapshot(ledger)
    assert verify(ledger, one.id, "films") == []
    path = ledger.artifacts.path(one.data)
    sound = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(sound[:-40] + b"x" * 40)
    assert verify(ledger, one.id, "films")
    path.write_bytes(b"PAR1")
    assert len(verify(ledger, one.id, "films")) >= 2
    path.unlink()
    assert verify(ledger, one.id, "films")


def test_diff(ledger: Ledger, log: Log) -> None:
    log(10, days=20)
    before = snapshot(ledger)
    log(5, days=40, known_days=2, prefix="late")
    after = snapshot(ledger, Recipe(min_rows=1, window=timedelta(days=10)), seed=3)
    found = diff(before, after)
    assert (found.added, found.removed, found.kept, found.altered) == (5, 10, 0, 0)
    assert found.cohorts == {"2026-04": (0, 5), "2026-05": (10, 0)}
    assert found.changes["seed"] == (0, 3)
    assert found.changes["recipe.window.microseconds"] == (30 * 86_400_000_000, 10 * 86_400_000_000)
    assert "rows: 0 kept, 5 added, 10 removed, 0 altered" in found.lines()
    assert dumps(found.to_json())
    assert diff(before, before).changes == {}
