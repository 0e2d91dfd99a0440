# SPDX-License-Identifier: Apache-2.0
"""Ledgers that older versions wrote: they open, migrate, and explain the same, bit by bit."""

from __future__ import annotations

import json
import sqlite3
import sys
import tarfile
from contextlib import closing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from trueup.core.errors import NotFound
from trueup.store import Ledger, migrate
from trueup.store.sqlite import _database

FOLDER = Path(__file__).parents[2] / "fixtures" / "ledgers"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def script() -> Any:
    """The script that made the fixtures, as a module."""
    spec = spec_from_file_location("make_ledger", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["make_ledger"] = module
    spec.loader.exec_module(module)
    return module


MAKE = script()


def unpacked(name: str, home: Path) -> dict[str, Any]:
    with tarfile.open(FOLDER / f"{name}.tar.xz") as tar:
        tar.extractall(home, filter="data")
    said: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return said


def schema(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_every_older_schema_has_a_fixture() -> None:
    kept = {json.loads((FOLDER / f"{name}.json").read_text("utf-8"))["schema"] for name in NAMES}
    assert kept >= set(range(1, max(_database.migrations())))


@pytest.mark.parametrize("name", NAMES)
def test_an_older_ledger_opens_and_explains_the_same(name: str, tmp_path: Path) -> None:
    """Events, sealed history, Decisions, and `why` recomputes every one of them as it did then."""
    wanted = unpacked(name, tmp_path)
    assert schema(tmp_path / "journal.sqlite") == wanted["schema"]
    with MAKE.opened(tmp_path) as ledger:
        found = json.loads(json.dumps(MAKE.told(ledger)))
        assert [one for one in ledger.doctor() if one.level != "note"] == []
    assert found == {part: body for part, body in wanted.items() if part not in ("schema", "written_by")}
    assert schema(tmp_path / "journal.sqlite") == max(_database.migrations())
    assert len(list((tmp_path / "backups").glob(f"journal-v{wanted['schema']}-*.sqlite"))) == 1


@pytest.mark.parametrize("name", NAMES)
def test_migrating_says_its_steps_first_and_does_nothing_twice(name: str, tmp_path: Path) -> None:
    wanted = unpacked(name, tmp_path)
    before = (tmp_path / "journal.sqlite").read_bytes()
    dry = migrate(tmp_path, dry=True)
    assert (dry.before, dry.after, dry.backup) == (wanted["schema"], max(_database.migrations()), None)
    assert len(dry.steps) == dry.after - dry.before
    assert (tmp_path / "journal.sqlite").read_bytes() == before
    done = migrate(tmp_path)
    assert done.steps == dry.steps
    assert done.backup is not None
    assert schema(done.backup) == wanted["schema"]
    assert migrate(tmp_path).steps == ()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection:
        assert connection.execute("SELECT max(schema) FROM migration").fetchone() == (done.after,)
    with Ledger.open(tmp_path) as ledger:
        assert ledger.doctor() == []


def test_there_must_be_something_to_migrate(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        migrate(tmp_path)


@pytest.mark.parametrize("after", [-1, 0, 200, 700, 1_200, 1_490, 10_000])
def test_new_rows_are_counted_the_same_from_either_end(after: int, tmp_path: Path) -> None:
    """TRG-04: by all labels that there are, and by those that came since."""
    from trueup.core.clock import to_us
    from trueup.loop.queries import QUERIES

    unpacked("v1", tmp_path)
    with MAKE.opened(tmp_path) as ledger:
        given = {"loop": "toys", "now": to_us(ledger.clock.now()), "target": "kind", "after": after}
        counts = [ledger.query(QUERIES[name], given).to_pylist()[0]["n"] for name in ("fit_rows", "new_rows")]
    assert counts[0] == counts[1]
    assert (counts[0] > 0) == (after < 10_000)
