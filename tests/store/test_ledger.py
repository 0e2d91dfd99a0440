# SPDX-License-Identifier: Apache-2.0
"""Facts and records: durable, idempotent, all of a call or nothing (ING-01, ING-06, FBK-05)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from trueup.core import Event, ManualClock, to_us
from trueup.core.errors import ArgumentError, DataError, StoreError, UserError
from trueup.core.events import outcome
from trueup.store import Ledger


def test_an_event_that_comes_twice_is_one_event(ledger: Ledger, asked: Callable[..., Event]) -> None:
    assert ledger.append([asked("a"), asked("b"), asked("a")]) == 2
    assert ledger.append([asked("b", output='"later"'), asked("c")]) == 1
    assert ledger.count("l", "interaction") == 3
    assert ledger.scan("l", "interaction")["id"].to_pylist() == ["a", "b", "c"]
    assert ledger.scan("l", "interaction")["output"].to_pylist() == ['"out"'] * 3


def test_the_same_id_of_another_kind_is_another_event(ledger: Ledger, asked: Callable[..., Event]) -> None:
    assert ledger.append([asked("a"), asked("a")._replace(kind="exposure")]) == 2


def test_received_is_filled_in_where_it_is_not_given(
    ledger: Ledger, clock: ManualClock, asked: Callable[..., Event]
) -> None:
    ledger.append([asked("a"), asked("b", received=7)])
    assert ledger.scan("l", "interaction")["received"].to_pylist() == [to_us(clock.now()), 7]


def test_every_field_comes_back_as_it_was(ledger: Ledger) -> None:
    event = Event(
        "id", "l", "answer", -5, 9, "u\0u", "ch", "arm", "cand", 0.25, 3, "rel", "ä\n'", -1.5, "k",
        '{"a":1}', "[]", "boom", 1e-9, False, "{}",
    )  # fmt: skip
    bare = Event("x", "l", "answer", 1, 1)
    ledger.append([event, bare])
    rows = ledger.scan("l", "answer").to_pylist()
    assert [Event(**{name: row[name] for name in Event._fields}) for row in rows] == [event, bare]


def test_columns_stay_typed_after_thousands_of_nulls(ledger: Ledger, asked: Callable[..., Event]) -> None:
    ledger.append([asked(str(at), unit=None, seconds=None) for at in range(20_000)])
    ledger.append([asked("last", unit="u", seconds=0.5)])
    last = ledger.query("SELECT unit, seconds FROM event ORDER BY seq DESC LIMIT 1").to_pylist()
    assert last == [{"unit": "u", "seconds": 0.5}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": float("nan")}, "finite value"),
        ({"propensity": float("inf")}, "finite propensity"),
        ({"kind": "thought"}, "expected a kind"),
        ({"id": ""}, "an id and a loop"),
        ({"ts": "yesterday"}, "whole number"),
        ({"ts": 2**63}, "64 bits"),
        ({"input": {"a": 1}}, "canonical text"),
        ({"keep": None}, "True or False"),
        ({"unit": "\ud800"}, "journal can hold"),
    ],
)
def test_what_cannot_be_stored_as_it_is_is_refused_whole(
    ledger: Ledger, asked: Callable[..., Event], change: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        ledger.append([asked("good"), asked("bad")._replace(**change)])
    assert ledger.cut() == 0


def test_one_bad_row_does_not_harm_the_calls_beside_it(ledger: Ledger, asked: Callable[..., Event]) -> None:
    """ING-06 (`sqlite/test_commits.py` has them share one transaction)."""
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            ledger.append([asked(f"id-{number}", unit="\ud800" if number == 3 else "u")])
        except DataError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 1
    assert ledger.count("l", "interaction") == 7


def test_numbers_that_may_be_fractions_come_back_as_floats(ledger: Ledger, asked: Callable[..., Event]) -> None:
    ledger.append([asked("a", value=2**60 + 1, propensity=1, seconds=True)])
    (row,) = ledger.scan("l", "interaction").to_pylist()
    assert (row["value"], row["propensity"], row["seconds"]) == (float(2**60), 1.0, 1.0)


def test_another_ledger_over_the_same_journal_sees_each_commit(
    ledger: Ledger, place: Any, asked: Callable[..., Event]
) -> None:
    with place.open() as other:
        before = other.version()
        assert other.version() == before
        ledger.append([asked("a")])
        after = other.version()
        assert after != before
        assert other.append([asked("a"), asked("b")]) == 1
        assert ledger.cut() == other.cut() == 2
        assert ledger.scan("l", "interaction").equals(other.scan("l", "interaction"))
        ledger.put("l", "k", "i", {"x": 1})
        assert other.version() != after
        assert other.get("l", "k", "i") == ledger.get("l", "k", "i")


def test_threads_that_wait_share_a_commit(ledger: Ledger, asked: Callable[..., Event]) -> None:
    before = ledger.version()
    total = [0]

    def write(number: int) -> None:
        total[0] += ledger.append([asked(f"{number}-{at}") for at in range(5)])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.count("l", "interaction") == 80
    assert ledger.version() > before
    assert sorted(ledger.scan("l", "interaction")["seq"].to_pylist()) == list(range(1, 81))


def test_records_are_kept_as_they_came_first(ledger: Ledger, clock: ManualClock) -> None:
    """REG-01, in the ledger."""
    assert ledger.put("l", "candidate", "c-1", {"x": 1})
    clock.advance(timedelta(seconds=1))
    assert not ledger.put("l", "candidate", "c-1", {"x": 2})
    assert ledger.put("l", "candidate", "c-2", {"x": 3})
    first = ledger.get("l", "candidate", "c-1")
    assert first == {"x": 1, "id": "c-1", "at": to_us(clock.now()) - 1_000_000}
    assert [row["id"] for row in ledger.records("l", "candidate")] == ["c-1", "c-2"]
    assert [row["id"] for row in ledger.records("l", "candidate", newest=True, limit=1)] == ["c-2"]
    assert ledger.get("l", "candidate", "c-9") is None
    with pytest.raises(DataError):
        ledger.put("l", "candidate", "c-3", {"x": float("nan")})


def test_loops_are_all_that_anything_is_known_of(ledger: Ledger, asked: Callable[..., Event]) -> None:
    ledger.append([asked("a"), asked("a")._replace(loop="m", kind="signal")])
    ledger.put("n", "k", "i", {})
    assert ledger.loops() == ["l", "m", "n"]


def test_an_empty_call_writes_nothing(ledger: Ledger) -> None:
    before = ledger.version()
    assert ledger.append([]) == 0
    assert ledger.version() == before


def test_a_closed_ledger_says_so(ledger: Ledger, asked: Callable[..., Event]) -> None:
    ledger.close()
    ledger.close()
    for call in (lambda: ledger.append([asked("a")]), lambda: ledger.state("l"), ledger.cut, ledger.version,
                 lambda: ledger.query("SELECT 1"), lambda: ledger.put("l", "k", "i", {})):  # fmt: skip
        with pytest.raises(StoreError, match="closed"):
            call()


def test_a_fork_is_told_to_open_its_own(ledger: Ledger, asked: Callable[..., Event]) -> None:
    child = os.fork()
    if child == 0:
        try:
            ledger.append([asked("a")])
        except StoreError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert ledger.append([asked("a")]) == 1


def test_an_argument_is_named_in_the_error(ledger: Ledger) -> None:
    with pytest.raises(ArgumentError, match="extra, got dict"):
        ledger.append([outcome("l", "c", "n", 1, ts=1)._replace(extra={"a": 1})])  # type: ignore[arg-type]
