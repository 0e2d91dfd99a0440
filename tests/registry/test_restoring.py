# SPDX-License-Identifier: Apache-2.0
"""Whatever served can serve again, byte by byte; and nothing else comes back that way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trueup.core.clock import ManualClock, to_us
from trueup.core.errors import NotFound, Refused, StoreError
from trueup.registry import Keep, prune
from trueup.release import rollback
from trueup.state import Candidate, decide, read, register
from trueup.store import Ledger

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as opened:
        yield opened


def made(ledger: Ledger, tmp_path: Path, text: str) -> Candidate:
    folder = tmp_path / text
    folder.mkdir()
    (folder / "model.json").write_text(text)
    return register(ledger, "films", ledger.artifacts.put_tree(folder), trainer={"n": text})


def promoted(ledger: Ledger, candidate: Candidate) -> None:
    generation, state = read(ledger, "films")
    after = state.serve(candidate.id, to_us(ledger.clock.now()))
    decide(ledger, "films", generation, after, kind="promote", verdict="PROMOTE", reason="", subject=candidate.id)


def serving(ledger: Ledger) -> str | None:
    return read(ledger, "films")[1].champion


def test_one_that_served_long_ago_serves_again_byte_by_byte(ledger: Ledger, tmp_path: Path) -> None:
    """REG-05, DRL-04: after years, and after a prune."""
    first, second, third, fourth = (made(ledger, tmp_path, text) for text in "abcd")
    never = made(ledger, tmp_path, "e")
    for one in (first, second, third, fourth):
        promoted(ledger, one)
    clock = ledger.clock
    assert isinstance(clock, ManualClock)
    clock.advance(timedelta(days=800))
    assert prune(ledger, "films", Keep(last=0, weekly=0, monthly=0)).candidates == (never.id,)
    decision = rollback(ledger, "films", reason="the second was best", to=second.id)
    assert (decision.verdict, decision.subject, decision.evidence["to"]) == ("ROLLBACK", fourth.id, second.id)
    assert serving(ledger) == second.id
    assert (ledger.artifacts.verify(second.model) / "model.json").read_text() == "b"
    rollback(ledger, "films", reason="one further back")
    assert serving(ledger) == first.id, "never forth again to what was rolled back"
    with pytest.raises(Refused):
        rollback(ledger, "films", reason="there is none before it")
    rollback(ledger, "films", reason="forth, by name", to=third.id[:10])
    assert serving(ledger) == third.id


def test_nothing_else_comes_back_that_way(ledger: Ledger, tmp_path: Path) -> None:
    """REG-05."""
    first, second, never = (made(ledger, tmp_path, text) for text in "abc")
    for one in (first, second):
        promoted(ledger, one)
    for to, error in ((never.id, Refused), (second.id, Refused), ("c-nothing", NotFound)):
        with pytest.raises(error):
            rollback(ledger, "films", reason="", to=to)
    path = ledger.artifacts.path(first.model) / "model.json"
    path.chmod(0o644)
    path.write_text("another")
    with pytest.raises(StoreError, match="to hold what its name says"):
        rollback(ledger, "films", reason="", to=first.id)
    assert serving(ledger) == second.id
