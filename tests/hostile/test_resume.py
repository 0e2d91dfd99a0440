# SPDX-License-Identifier: Apache-2.0
"""A run that is killed anywhere goes on where it was, to the same bits; and so it does on another machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from trueup.core.decisions import Decision
from trueup.loop import load_loop
from trueup.store import Ledger

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import scenario  # noqa: E402

LOOK = "import scenario\nfrom pathlib import Path\nprint(scenario.look(Path('.'), {0}, {1}))"


@dataclass
class Life:
    """A loop from its first model to its second, hour by hour: its homes before each look, the
    Decisions after it, and the commits of the look."""

    desk: Any
    folder: Path
    decisions: list[list[Decision]] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)

    def before(self, hour: int) -> Path:
        return self.folder / f"before-{hour}"


def patient(desk: Any) -> Any:
    """Its loop trains nothing while a release runs."""
    return desk.write(desk.file.read_text(), risk="Risk(per='release'), when_busy='wait'")


def decided(home: Path) -> list[Decision]:
    with Ledger.open(home, create=False, clock=scenario.at(99)) as ledger:
        return ledger.decisions("toys")


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, furnished: Callable[[Path], Any]) -> Life:
    folder = tmp_path_factory.mktemp("life")
    desk = patient(furnished(folder / "desk"))
    made = Life(desk, folder)
    for hour in range(scenario.HOURS):
        scenario.live(desk.home, hour)
        shutil.copytree(desk.home, made.before(hour))
        made.commits.append(int(desk.python(LOOK.format(hour, None)).said(0).out))
        made.decisions.append(decided(desk.home))
    return made


def test_the_life_that_is_lived_again_holds_a_whole_release(life: Life) -> None:
    kinds = [(one.kind, one.verdict) for one in life.decisions[-1]]
    for kind in (("look", "TRAIN"), ("candidate", "PASS"), ("start", "NOTE"), ("stage", "PASS"),
                 ("step", "HOLD"), ("approve", "PASS"), ("promote", "PROMOTE")):
        assert kind in kinds, kinds
    print(life.commits, [len(one) for one in life.decisions], kinds)


def test_a_run_killed_before_any_of_its_commits_goes_on_to_the_same_bits(
    life: Life, tmp_path: Path, furnished: Callable[[Path], Any]
) -> None:
    """ORC-07: every commit of a run is a place to die: before and after the snapshot, the training,
    the gates, the registration, each Decision. The next run finishes the same work, once."""
    plan = [(hour, kill) for hour in range(scenario.HOURS) for kill in range(life.commits[hour])
            if hour == 0 or (kill < 3 and len(life.decisions[hour]) - len(life.decisions[hour - 1]) > 1)]
    free: SimpleQueue[Any] = SimpleQueue()
    for one in range(2):
        free.put(patient(furnished(tmp_path / f"desk-{one}")))

    def die_and_go_on(hour: int, kill: int) -> None:
        desk = free.get()
        shutil.rmtree(desk.home, ignore_errors=True)
        shutil.copytree(life.before(hour), desk.home)
        assert desk.python(LOOK.format(hour, kill)).code == -9
        desk.python(LOOK.format(hour, None)).said(0)
        assert apart(life.decisions[hour], decided(desk.home)) == [], (hour, kill)
        for kind, idents in desk.holds()["loops"]["toys"]["records"].items():
            assert len(set(idents)) == len(idents), (hour, kill, kind)
        free.put(desk)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(die_and_go_on, *place) for place in plan]:
            done.result()
    print(f"{len(plan)} kills")
    assert len(plan) >= 20


WHY = """
import json
from trueup.loop import why
from trueup.store import Ledger
with Ledger.open('.trueup', create=False) as ledger:
    print(json.dumps({one.id: why(ledger, one.id).matches for one in ledger.decisions('toys')}))
"""


def test_another_machine_explains_every_decision_to_the_same_bits(
    life: Life, tmp_path: Path, furnished: Callable[[Path], Any]
) -> None:
    """TRU-01: the home alone is enough, wherever it lies; paths are of no account."""
    desk = patient(furnished(tmp_path / "else" / "where"))
    shutil.copytree(life.desk.home, desk.home)
    matches = desk.python(WHY).said(0).json
    for one in life.decisions[-1]:
        assert matches[one.id] is (True if one.evidence.get("method") or one.kind == "promote" else None), one
    promote = next(one for one in life.decisions[-1] if one.kind == "promote")
    assert desk.trueup("why", promote.id, "--json").said(0).json["matches"] is True
    for base in (desk.folder, Path(os.path.relpath(desk.folder))):
        assert load_loop(desk.file).digest(base) == load_loop(life.desk.file).digest(life.desk.folder)
    desk.python(LOOK.format(scenario.HOURS, None)).said(0)
    life.desk.python(LOOK.format(scenario.HOURS, None)).said(0)
    here, there = decided(life.desk.home), decided(desk.home)
    assert apart(here, there) == [], "the loop goes on there as it would have gone on here"
    assert len(there) > len(life.decisions[-1])


def test_why_knows_the_parts_that_the_loop_file_defines(desk: Any) -> None:
    """A scorer of one's own, and a trigger of one's own, are found in the loop file beside the home."""
    text = desk.file.read_text().replace("    when=[Rows(30)],", "    when=[Often(), Falls(Custom(mine), below=0.5)],")
    text = text.replace("import Cron, Rows", "import Cron, Falls, Rows").replace("Accuracy, AtLeast", "Accuracy, AtLeast, Custom")
    text = text.replace("HOUR = timedelta(hours=1)", OWN)
    desk.file.write_text(text)
    desk.imported()
    made = desk.trueup("run", "--json").said(0).json
    looked = next(one for one in made if one["kind"] == "look")
    assert looked["verdict"] == "TRAIN"
    found = desk.trueup("why", looked["id"], "--json").said(0).json
    assert found["matches"] is True
    away = desk.folder.with_name("away")
    shutil.copytree(desk.home, away / ".trueup")
    lost = desk.trueup("--home", away / ".trueup", "why", looked["id"]).said(0)
    assert "cannot be recomputed: expected a known kind, got 'trigger.often'" in lost.out


OWN = """HOUR = timedelta(hours=1)
from trueup.core.protocols import Finding
from trueup.core.values import value


def mine(given, answer, label):
    return float(answer == label)


@value("trigger.often")
class Often:
    def look(self, facts):
        return Finding(True, "as often as it is asked")
"""


def test_changed_evidence_is_seen_by_why(life: Life, furnished: Callable[[Path], Any], tmp_path: Path) -> None:
    """One label of a shadow that was changed behind the ledger's back: exit 1, and where it differs."""
    import sqlite3
    from contextlib import closing

    desk = furnished(tmp_path / "desk")
    shutil.copytree(life.desk.home, desk.home)
    promote = next(one for one in life.decisions[-1] if one.kind == "promote")
    with closing(sqlite3.connect(desk.home / "journal.sqlite")) as file:
        file.execute("UPDATE event SET output = '\"stone\"' WHERE kind = 'outcome' AND output = '\"plant\"'")
        file.commit()
    ended = desk.trueup("why", promote.id).said(1)
    assert "DIFFERS in" in ended.out


def apart(before: list[Decision], after: list[Decision]) -> list[str]:
    """Where two histories part for the first time, for people."""
    from trueup.loop.why import _differences

    if len(before) != len(after):
        return [f"{len(before)} Decisions, then {len(after)}: {[one.kind for one in before]}, {[one.kind for one in after]}"]
    for one, other in zip(before, after, strict=True):
        if one != other:
            return [f"{one.kind} of generation {one.generation}", *_differences(one.body(), other.body())]
    return []
