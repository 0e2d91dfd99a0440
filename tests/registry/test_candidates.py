# SPDX-License-Identifier: Apache-2.0
"""Candidates and the names that stand for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import NotFound
from trueup.registry import reigns
from trueup.state import (
    Candidate,
    LoopState,
    Release,
    aliases,
    candidate,
    candidates,
    decide,
    read,
    register,
)
from trueup.store import Ledger

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as opened:
        yield opened


def make(ledger: Ledger, tmp_path: Path, text: str) -> Candidate:
    folder = tmp_path / f"model-{text}"
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(text)
    return register(ledger, "films", ledger.artifacts.put_tree(folder), trainer={"n": text})


def move(ledger: Ledger, state: LoopState) -> None:
    generation, _ = read(ledger, "films")
    decide(ledger, "films", generation, state, kind="x", verdict="NOTE", reason="a test", evidence={})


def test_the_same_work_done_twice_is_one_candidate(ledger: Ledger, tmp_path: Path) -> None:
    """REG-01: its id is made from its lineage, and the first record stands."""
    first, again, other = (make(ledger, tmp_path, text) for text in ("a", "a", "b"))
    assert first == again
    assert [one.id for one in candidates(ledger, "films")] == [first.id, other.id]
    assert candidate(ledger, "films", first.id[:8]).id == first.id
    with pytest.raises(NotFound, match="a candidate of films"):
        candidate(ledger, "films", "c-nobody")


def test_the_aliases_follow_the_state(ledger: Ledger, tmp_path: Path) -> None:
    """REG-02: staging-candidate, production-validated, challenger, champion and anchor, at every moment."""
    old, new, next_ = (make(ledger, tmp_path, text).id for text in "abc")
    assert aliases(ledger, "films") == {}
    state = LoopState().serve(old, 1)
    move(ledger, replace(state, waiting=new))
    assert aliases(ledger, "films") == {"champion": old, "anchor": old, "staging-candidate": new}
    running = Release("r-1", new, 1, 0.01, started=2, stage=0, entered=2, loop="d")
    move(ledger, replace(state, release=running, waiting=next_))
    assert aliases(ledger, "films") == {
        "champion": old, "anchor": old, "challenger": new, "staging-candidate": next_,
    }
    move(ledger, replace(state, release=replace(running, stage=2, validated=True)))
    assert aliases(ledger, "films")["production-validated"] == new
    move(ledger, state.serve(new, 3))
    assert aliases(ledger, "films") == {"champion": new, "anchor": old}


def test_a_champion_that_came_back_reigned_twice(ledger: Ledger, tmp_path: Path) -> None:
    """REG-05: who served when, to the Decision."""
    clock = ledger.clock
    assert isinstance(clock, ManualClock)
    old, new = (make(ledger, tmp_path, text).id for text in "ab")
    state = LoopState()
    for champion in (old, new, old):
        state = state.serve(champion, 0)
        move(ledger, state)
        move(ledger, replace(state, looked=1))
        clock.advance(timedelta(days=1))
    found = reigns(ledger, "films")
    assert [reign.candidate for reign in found] == [old, new, old]
    assert [reign.until for reign in found] == [found[1].since, found[2].since, None]
    assert all(ledger.decision(reign.decision).state["champion"] == reign.candidate for reign in found)
