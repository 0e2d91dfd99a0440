# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import ManualClock
from trueup.core.decisions import Decision
from trueup.core.errors import ArgumentError, Busy
from trueup.core.records import to_plain
from trueup.registry import Keep, ailments, prune
from trueup.state import Candidate, Release, candidates, register
from trueup.store import Ledger, lock

START = datetime(2026, 1, 1, tzinfo=UTC)
OLD = Keep(last=0, weekly=0, monthly=0)
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=clock) as opened:
        yield opened


def make(ledger: Ledger, tmp_path: Path, text: str, loop: str = "films") -> Candidate:
    folder = tmp_path / f"model-{text}"
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(text)
    return register(ledger, loop, ledger.artifacts.put_tree(folder), trainer={"n": text})


def decide(ledger: Ledger, generation: int, **state: Any) -> None:
    ledger.decide(Decision("films", 0, "x", "NOTE", "", state=state), expect=generation)


def test_only_what_was_refused_and_never_served_goes(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> None:
    """REG-05: whoever served, waits or is being released can always be restored."""
    first, champion, sliced, refused, waiting, running = (make(ledger, tmp_path, text) for text in "abcdef")
    decide(ledger, 0, champion=first.id)
    decide(ledger, 1, champion=champion.id, routing={"challenger": sliced.id, "slices": [{"start": 0}]})
    decide(
        ledger, 2, champion=champion.id, waiting=waiting.id, release=to_plain(Release("r-1", running.id, 1, 0.01, 0, 0, 0, "")), routing={}
    )
    job = {"job": {"n": 1}}
    ledger.put("films", "step", "y-1/train/x", {"run": "y-1", "step": "train", "input": job, "output": {"work": "0123456789abcdef"}})
    work = ledger.home / "work" / "0123456789abcdef"
    work.mkdir(parents=True)
    (work / "done.json").write_text("{}")
    clock.advance(31 * DAY)
    new = make(ledger, tmp_path, "g")

    dry = prune(ledger, "films", OLD, dry=True)
    assert (dry.candidates, dry.dry) == ((refused.id,), True)
    assert len(dry.folders) == 2
    assert ledger.artifacts.path(refused.model).exists()

    done = prune(ledger, "films", OLD)
    assert done.candidates == (refused.id,)
    assert set(done.kept) == {one.id for one in (first, champion, sliced, waiting, running, new)}
    assert done.kept[sliced.id] == "served users"
    assert done.bytes == dry.bytes > 0
    assert not work.exists()
    assert refused.model.sha256 not in {ref.sha256 for ref in ledger.artifacts.stored()}
    for one in (first, champion, sliced, waiting, running, new):
        ledger.artifacts.verify(one.model)
    assert len(candidates(ledger, "films")) == 7, "its lineage stays"
    assert ailments(ledger) == []

    assert prune(ledger, "films", OLD).candidates == ()


def test_a_model_that_somebody_else_has_too_stays(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> None:
    mine, other = make(ledger, tmp_path, "a"), make(ledger, tmp_path, "a", loop="series")
    clock.advance(31 * DAY)
    assert prune(ledger, "films", OLD).candidates == (mine.id,)
    ledger.artifacts.verify(other.model)
    assert prune(ledger, "series", OLD).candidates == (other.id,)
    assert not list(ledger.artifacts.stored())


def test_a_prune_that_was_killed_is_finished_by_the_next(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> None:
    one = make(ledger, tmp_path, "a")
    clock.advance(31 * DAY)
    ledger.put("films", "pruned", one.id, {"model": one.model.to_json()})  # recorded, and no further
    assert prune(ledger, "films", OLD).candidates == (one.id,)
    assert not list(ledger.artifacts.stored())


def test_a_loop_at_work_is_not_pruned(ledger: Ledger) -> None:
    for name in ("run-films", "keep"):
        with lock(ledger.home, name), pytest.raises(Busy):
            prune(ledger, "films", OLD)
    with pytest.raises(ArgumentError):
        Keep(days=-1)


def daily(ledger: Ledger, clock: ManualClock, tmp_path: Path, days: int) -> list[Candidate]:
    """A candidate a day, each of them the parent of none, with a Snapshot of its own."""
    made = []
    for day in range(days):
        data = ledger.artifacts.put_bytes(f"rows {day}".encode(), ".parquet")
        ledger.put("films", "snapshot", f"s-{day}", {"manifest": {}, "data": data.to_json()})
        folder = tmp_path / f"model-{day}"
        folder.mkdir()
        (folder / "model.json").write_text(f"{day}" * 50)
        made.append(register(ledger, "films", ledger.artifacts.put_tree(folder), snapshot=f"s-{day}"))
        clock.advance(DAY)
    return made


def test_a_year_of_daily_models_is_thinned_to_weeks_and_months(
    ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    """TRN-12, DRL-04: what stays can be counted beforehand, and says why."""
    made = daily(ledger, clock, tmp_path, 365)
    champion, first = made[100], made[3]
    decide(ledger, 0, champion=first.id)
    decide(ledger, 1, champion=champion.id)
    keep = Keep(last=5, weekly=8, monthly=24, days=0)
    dry = prune(ledger, "films", keep, dry=True)
    assert len(list(ledger.artifacts.stored())) == 730
    done = prune(ledger, "films", keep)
    assert (dry.candidates, dry.snapshots, dry.bytes) == (done.candidates, done.snapshots, done.bytes)

    weeks = {f"{START + day * DAY:%G-W%V}": made[day].id for day in range(365)}
    months = {f"{START + day * DAY:%Y-%m}": made[day].id for day in range(365)}
    last = [f"{clock.now() - back * timedelta(weeks=1):%G-W%V}" for back in range(8)]
    wanted = {champion.id, first.id, *(one.id for one in made[-5:])}
    wanted |= {weeks[week] for week in last if week in weeks} | set(months.values())
    assert set(done.kept) == wanted
    assert len(done.candidates) == 365 - len(wanted) > 330
    assert len(done.snapshots) == len(done.candidates)
    assert done.kept[first.id] == "served users"
    assert done.kept[made[-1].id] == "is the 1st of the last 5"
    assert done.kept[months["2026-02"]] == "is the newest of the month 2026-02"
    assert len(list(ledger.artifacts.stored())) == 2 * len(wanted)
    for one in made:
        if one.id in wanted:
            ledger.artifacts.verify(one.model)
    assert [one for one in ailments(ledger) if one.level == "error"] == []
    assert len(candidates(ledger, "films")) == 365
    again = prune(ledger, "films", keep)
    assert (again.candidates, again.snapshots, again.folders) == ((), (), ())


def test_what_a_kept_model_was_made_from_stays(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> None:
    """TRN-12: lineage pins, also over several generations."""
    known: list[Candidate] = []
    for text in "abc":
        folder = tmp_path / text
        folder.mkdir()
        (folder / "model.json").write_text(text)
        parent = known[-1].id if known else None
        known.append(register(ledger, "films", ledger.artifacts.put_tree(folder), parent=parent))
        clock.advance(40 * DAY)
    other = make(ledger, tmp_path, "d")
    clock.advance(40 * DAY)
    decide(ledger, 0, champion=known[-1].id)
    done = prune(ledger, "films", OLD)
    assert done.candidates == (other.id,)
    assert done.kept[known[0].id] == f"is the parent of {known[1].id}"
