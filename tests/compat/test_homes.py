# SPDX-License-Identifier: Apache-2.0
"""Homes that 918322a left in the middle of their work: they open, explain the same, and go on to the same Decisions."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from trueup import state
from trueup.core.clock import ManualClock
from trueup.core.json import dumps
from trueup.core.records import kind_of_record, stored
from trueup.loop import verify_receipt, why
from trueup.store import Ledger
from trueup.testing import simulate

FOLDER = Path(__file__).parents[1] / "fixtures" / "homes"
ADDED = {"silence", "ratio"}
"""What an A/B's parameters have had since: one that an old home enters now is tested by the new checks of its rows."""
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def script() -> Any:
    """The script that made the homes, as a module."""
    spec = spec_from_file_location("make_homes", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["make_homes"] = module
    spec.loader.exec_module(module)
    return module


MAKE = script()


def test_every_scenario_has_a_home() -> None:
    assert set(MAKE.SCENARIOS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_has_the_digest_that_it_had(name: str) -> None:
    said = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    assert MAKE.SCENARIOS[name].loop.digest() == said["loop"]


RECORDS = [one for one in (getattr(state, name) for name in state.__all__) if "__record__" in getattr(one, "__dict__", {})]


@pytest.mark.parametrize("name", NAMES)
def test_a_record_is_read_as_its_type_and_would_be_written_as_it_was(name: str, tmp_path: Path) -> None:
    """Keys that were absent stay absent, and whole numbers whole: digests are made of the same bytes."""
    MAKE.unpacked(name, tmp_path)
    with Ledger.open(tmp_path) as ledger:
        for kind in RECORDS:
            for typed, plain in zip(
                ledger.records("toys", kind), ledger.records("toys", kind_of_record(kind)), strict=True
            ):
                again = stored(typed)
                assert dumps(again) == dumps({key: plain[key] for key in again})
                assert set(plain) - set(again) <= {"id", "at", "loop"}


@pytest.mark.parametrize("name", NAMES)
def test_tru_01_a_home_opens_and_every_decision_recomputes_as_it_did(name: str, tmp_path: Path) -> None:
    said = MAKE.unpacked(name, tmp_path)
    with Ledger.open(tmp_path, clock=ManualClock(datetime.fromisoformat(said["left"]))) as ledger:
        found = [[one.id, one.kind, one.verdict, why(ledger, one.id).matches] for one in ledger.decisions("toys")]
        assert all(one.digest()[:16] == one.id for one in ledger.decisions("toys"))
        assert [one for one in ledger.doctor() if one.level != "note"] == []
        assert found == said["decisions"]
        receipts = sorted((tmp_path / "receipts").rglob("*.json"))
        assert all(verify_receipt(path).holds for path in receipts)
        assert bool(receipts) == any(one[1] == "promote" for one in found)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_begun_goes_on_to_the_same_decisions(name: str, tmp_path: Path) -> None:
    """A release, an approval, a cycle that an older version began is not voided, and ends as it would have ended."""
    said = MAKE.unpacked(name, tmp_path)
    scenario, left, until = MAKE.SCENARIOS[name], *(datetime.fromisoformat(said[at]) for at in ("left", "until"))
    with simulate(
        scenario.loop, MAKE.events(tmp_path), 2, start=left, until=until, home=tmp_path, after=scenario.after
    ) as made:
        after = made.ledger.decisions("toys")[len(said["decisions"]) :]
        found = [MAKE.followed_by(replace(one, evidence=without(one.evidence, ADDED))) for one in after]
    wanted = said["followed"]
    # A dataset and a model name the code that made them, so a model that is trained now has another id than it had then, and
    # the recorded events of its release are not its own.
    new = next((at for at, one in enumerate(wanted) if one[0] == "candidate"), len(wanted))
    assert found[:new] == wanted[:new]
    assert [spoken(one) for one in found[: new + 2]] == [spoken(one) for one in wanted[: new + 2]]


def without(part: Any, names: set[str]) -> Any:
    """The same JSON without these keys, wherever they stand."""
    if isinstance(part, dict):
        return {key: without(item, names) for key, item in part.items() if key not in names}
    return [without(item, names) for item in part] if isinstance(part, list) else part


def spoken(one: list[Any]) -> list[Any]:
    """(kind, verdict, actor, level) of a Decision: what does not name the candidate."""
    kind, verdict, _, actor, level, _ = one
    return [kind, verdict, actor, level]
