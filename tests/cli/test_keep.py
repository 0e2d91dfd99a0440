# SPDX-License-Identifier: Apache-2.0
"""prune, backup, restore, migrate and doctor on the command line."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from trueup.cli._main import trueup
from trueup.core.errors import Refused
from trueup.store import Ledger

FIXTURE = Path(__file__).parents[1] / "fixtures" / "ledgers" / "v1.tar.xz"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with tarfile.open(FIXTURE) as tar:
        tar.extractall(tmp_path / "home", filter="data")
    return tmp_path / "home"


def typed(home: Path, *words: object) -> str:
    done = CliRunner().invoke(trueup, ["--home", str(home), *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_migrate_backup_restore_and_doctor_as_they_are_typed(home: Path, tmp_path: Path) -> None:
    assert "would do: 0002" in typed(home, "migrate", "--dry")
    assert "the journal as it was" in typed(home, "migrate")
    assert "nothing to do" in typed(home, "migrate")
    assert "would be copied" in typed(home, "backup", "--dry")
    assert not (tmp_path / "home-backup").exists()
    said = json.loads(typed(home, "backup", "--json"))
    assert (said["files"], said["known"], said["loops"]) == (7, 0, {"toys": 24})
    assert "7 lay there already" in typed(home, "backup")
    assert "verified" in typed(home, "restore", tmp_path / "home-backup", "--dry")
    made = json.loads(typed(home, "restore", tmp_path / "home-backup", "--to", tmp_path / "again", "--json"))
    assert made["home"] == str(tmp_path / "again")
    with pytest.raises(Refused):
        typed(home, "restore", tmp_path / "home-backup", "--to", tmp_path / "again")
    assert "put aside" not in typed(home, "restore", tmp_path / "home-backup", "--to", tmp_path / "again", "--force")
    assert json.loads(typed(tmp_path / "again", "doctor", "--json")) == []


def test_prune_says_why_each_stays_and_what_it_weighs(home: Path) -> None:
    """TRN-12, REG-05."""
    said = typed(home, "prune", "--dry")
    assert "stays: served users" in said
    assert "kB" in said
    facts = json.loads(typed(home, "prune", "--dry", "--last", "0", "--weekly", "0", "--monthly", "0", "--json"))
    assert set(facts["kept"].values()) == {"served users"}
    assert all(size > 0 for size in facts["sizes"].values())


def test_doctor_says_who_holds_what_and_which_work_is_left(home: Path) -> None:
    from trueup.store import lock

    (home / "work" / "0123456789abcdef").mkdir(parents=True)
    with Ledger.open(home), lock(home, "run-toys"):
        found = {one["code"]: one["message"] for one in json.loads(typed(home, "doctor", "--json"))}
    assert "run-toys is held by process" in found["held"]
    assert "0123456789abcdef" in found["stale-work"]
