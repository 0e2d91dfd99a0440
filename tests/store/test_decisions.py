# SPDX-License-Identifier: Apache-2.0
"""The one door: decision and state together, in order, or Conflict (ORC-07, TRU-01)."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core import Decision, ManualClock
from trueup.core.errors import ArgumentError, Conflict, DataError, NotFound
from trueup.store import Ledger


def made(state: dict[str, object], at: int = 5, **more: object) -> Decision:
    return Decision("l", at, str(more.pop("kind", "note")), "NOTE", "because", state, **more)  # type: ignore[arg-type]


def test_a_decision_moves_the_state_and_joins_the_chain(ledger: Ledger) -> None:
    assert ledger.state("l") == (0, {})
    first = ledger.decide(made({"champion": "c-1"}), expect=0)
    second = ledger.decide(made({"champion": "c-2"}, kind="promote", subject="c-2"), expect=1)
    assert ledger.state("l") == (2, {"champion": "c-2"})
    assert (first.generation, first.previous) == (1, None)
    assert second.previous == first.digest()
    assert second.id == second.digest()[:16]
    assert ledger.decisions("l") == [first, second]
    assert ledger.decisions("l", newest=True, limit=1) == [second]
    assert ledger.decisions("l", kind="promote") == ledger.decisions("l", subject="c-2") == [second]


def test_who_decides_on_an_old_generation_gets_conflict(ledger: Ledger) -> None:
    ledger.decide(made({"a": 1}), expect=0)
    with pytest.raises(Conflict, match="expected generation 0"):
        ledger.decide(made({"a": 2}), expect=0)
    with pytest.raises(Conflict):
        ledger.decide(made({"a": 2}), expect=2)
    assert ledger.state("l") == (1, {"a": 1})
    assert ledger.doctor() == []


def test_decisions_are_asked_for_after_a_generation_and_limited(ledger: Ledger) -> None:
    decided = [ledger.decide(made({"n": n}, kind="note" if n % 2 else "look"), expect=n) for n in range(6)]
    assert ledger.decisions("l", after=4) == decided[4:]
    assert ledger.decisions("l", after=2, kind="look", limit=1) == [decided[2]]
    assert ledger.decisions("l", kind="look", newest=True, limit=2) == [decided[4], decided[2]]
    assert ledger.decisions("another") == ledger.decisions("l", limit=0) == []


def test_a_clock_that_jumps_back_does_not_turn_history_round(ledger: Ledger) -> None:
    ledger.decide(made({}, at=1000), expect=0)
    assert ledger.decide(made({}, at=10), expect=1).at == 1000


def test_what_json_cannot_hold_is_refused_and_nothing_moves(ledger: Ledger) -> None:
    with pytest.raises(DataError):
        ledger.decide(made({"a": float("nan")}), expect=0)
    assert ledger.state("l") == (0, {})
    assert ledger.decisions("l") == []


def test_what_comes_back_is_what_will_be_read(ledger: Ledger) -> None:
    decided = ledger.decide(made({"slices": ({"pi": 0.5},)}), expect=0)
    assert decided.state == {"slices": [{"pi": 0.5}]}
    assert ledger.decision(decided.id) == decided


def test_decisions_are_found_by_the_beginning_of_their_id(ledger: Ledger) -> None:
    decided = [ledger.decide(made({"n": n}), expect=n) for n in range(40)]
    assert ledger.decision(decided[7].id) == decided[7]
    assert ledger.decision(decided[7].digest()) == decided[7]
    with pytest.raises(NotFound):
        ledger.decision("0" * 16)
    with pytest.raises(NotFound):
        ledger.decision(decided[7].id, loop="another")
    with pytest.raises(ArgumentError, match="hexadecimal"):
        ledger.decision("x' OR 1=1 --")
    twice = next(one.id[0] for one in decided if sum(one.id[0] == other.id[0] for other in decided) > 1)
    with pytest.raises(ArgumentError, match="several"):
        ledger.decision(twice)


@settings(max_examples=15, deadline=None)
@given(plans=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=2, max_size=4))
def test_concurrent_decisions_equal_some_serial_order(new_place: Callable[..., Any], plans: list[list[int]]) -> None:
    """Each thread adds numbers to a sum that it reads first: no addition is lost or doubled."""
    with tempfile.TemporaryDirectory() as folder, new_place(Path(folder)).open() as ledger:

        def add(numbers: list[int]) -> None:
            for number in numbers:
                while True:
                    generation, state = ledger.state("l")
                    total = state.get("sum", 0) + number
                    try:
                        ledger.decide(made({"sum": total}, evidence={"n": number}), expect=generation)
                        break
                    except Conflict:
                        continue

        threads = [threading.Thread(target=add, args=(numbers,)) for numbers in plans]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        total = 0
        for at, one in enumerate(ledger.decisions("l")):
            total += one.evidence["n"]
            assert one.generation == at + 1
            assert one.state == {"sum": total}
        assert total == sum(map(sum, plans))
        assert ledger.state("l") == (sum(map(len, plans)), {"sum": total})
        assert ledger.doctor() == []


def test_a_clock_that_was_wrong_is_a_warning(ledger: Ledger, clock: ManualClock) -> None:
    clock.advance(timedelta(days=800))
    ledger.put("l", "k", "late", {})
    clock.advance(timedelta(days=-400))
    assert [one.code for one in ledger.doctor()] == ["clock"]
