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
from trueup.core.json import digest
from trueup.registry import Candidate, candidates, register
from trueup.registry.retention import ailments, prune
from trueup.store import Ledger, lock

START = datetime(2026, 1, 1, tzinfo=UTC)
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
        ledger, 2, champion=champion.id, waiting=waiting.id, release={"candidate": running.id}, routing={}
    )
    job = {"job": {"n": 1}}
    ledger.put("films", "step", "y-1/train/x", {"run": "y-1", "step": "train", "input": job, "output": {}})
    work = ledger.home / "work" / digest(job)[:16]
    work.mkdir(parents=True)
    (work / "done.json").write_text("{}")
    clock.advance(31 * DAY)
    new = make(ledger, tmp_path, "g")

    dry = prune(ledger, "films", dry=True)
    assert (dry.candidates, dry.dry) == ((refused.id,), True)
    assert len(dry.folders) == 2
    assert ledger.artifacts.path(refused.model).exists()

    done = prune(ledger, "films")
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

    assert prune(ledger, "films").candidates == ()


def test_a_model_that_somebody_else_has_too_stays(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> None:
    mine, other = make(ledger, tmp_path, "a"), make(ledger, tmp_path, "a", loop="series")
    clock.advance(31 * DAY)
    assert prune(ledger, "films").candidates == (mine.id,)
    ledger.artifacts.verify(other.model)
    assert prune(ledger, "series").candidates == (other.id,)
    assert not list(ledger.artifacts.stored())


def test_a_prune_that_was_killed_is_finished_by_the_next(ledger: Ledger, clock: ManualClock, tmp_path: Path) -> None:
    one = make(ledger, tmp_path, "a")
    clock.advance(31 * DAY)
    ledger.put("films", "pruned", one.id, {"model": one.model.to_json()})  # recorded, and no further
    assert prune(ledger, "films").candidates == (one.id,)
    assert not list(ledger.artifacts.stored())


def test_a_loop_at_work_is_not_pruned(ledger: Ledger) -> None:
    with lock(ledger.home, "run-films"), pytest.raises(Busy):
        prune(ledger, "films")
    with pytest.raises(ArgumentError):
        prune(ledger, "films", keep_days=-1)
