# SPDX-License-Identifier: Apache-2.0
"""Ids, clocks, JSON, outcomes and the weight of an import."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core import errors
from trueup.core.clock import ManualClock, Moments, SystemClock, all_us, from_us, to_us
from trueup.core.errors import ArgumentError, DataError, TrueupError, UnknownName
from trueup.core.events import outcome
from trueup.core.ids import Ids
from trueup.core.json import digest, dumps, loads, loads_all
from trueup.core.task import Outcome, Task

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_moments_are_datetimes_where_one_is_asked_for() -> None:
    us = [0, 1, 1_700_000_000_123_456]
    found = Moments(us)
    assert list(found) == [from_us(one) for one in us]
    assert list(found[1:]) == [from_us(one) for one in us[1:]]
    assert all_us(found) == all_us(list(found)) == us
    assert bisect_right(found, from_us(1)) == 2


def test_many_texts_are_parsed_as_each_alone() -> None:
    texts = ['{"a":[1,2]}', None, '"b,c"', "3", "null"] * 2_000
    assert loads_all(texts) == [None if text is None else loads(text) for text in texts]
    for wrong in ("1,2", "", "NaN", "]"):
        with pytest.raises(DataError, match="expected JSON"):
            loads_all(["1", wrong])
    assert loads_all([]) == []


def test_ids_are_uuid7_sorted_and_never_repeat_even_where_the_clock_jumps_back() -> None:
    clock = ManualClock(START)
    ids = Ids(clock)
    made = [ids.new() for _ in range(5_000)]
    clock.move_to(START - timedelta(days=1))
    made += [ids.new() for _ in range(5_000)]
    assert made == sorted(set(made))
    assert {uuid.UUID(one).version for one in made} == {7}
    assert {uuid.UUID(one).variant for one in made} == {uuid.RFC_4122}


def test_seeded_ids_repeat_and_threads_do_not_collide() -> None:
    assert Ids(ManualClock(START), 7).new() == Ids(ManualClock(START), 7).new()
    ids, made = Ids(), []
    threads = [threading.Thread(target=lambda: made.extend(ids.new() for _ in range(2_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000


def test_the_system_clock_does_not_run_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    first = clock.now()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.now() >= first


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)))
def test_moments_survive_microseconds(moment: datetime) -> None:
    assert from_us(to_us(moment)) == moment.replace(tzinfo=UTC)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()))
def test_equal_json_has_equal_bytes(data: dict[str, object]) -> None:
    shuffled = dict(reversed(list(data.items())))
    assert dumps(data) == dumps(shuffled)
    assert digest(loads(dumps(data))) == digest(data)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_json_cannot_hold_is_refused(bad: object) -> None:
    with pytest.raises(DataError, match="JSON can hold"):
        dumps(bad)


def test_nan_is_not_read_either() -> None:
    with pytest.raises(DataError):
        loads('{"a": NaN}')


def test_the_same_outcome_twice_is_one_and_a_correction_is_another() -> None:
    def make(value: object, key: str | None = None) -> str:
        return outcome("l", "choice", "genre", value, ts=1, key=key).id

    assert make("drama") == make("drama")
    assert make("drama") != make("comedy")
    assert make("drama", "k") == make("comedy", "k")


def test_outcomes_are_scaled_within_their_bounds() -> None:
    stars = Outcome.number("stars", low=1, high=5, better="higher")
    assert (stars.scaled(1), stars.scaled(5), stars.scaled(3)) == (0.0, 1.0, 0.5)
    assert Outcome.number("errors", low=0, high=10, better="lower").scaled(0) == 1.0
    for bad in (0, 6, float("nan"), "3"):
        with pytest.raises(ArgumentError, match="declared bounds"):
            stars.scaled(bad)
    with pytest.raises(ArgumentError):
        Outcome.boolean("x", within=timedelta(0))
    with pytest.raises(ArgumentError):
        Task("a", "b", "c", answers="speech")  # type: ignore[arg-type]


def test_every_error_has_its_own_code_an_exit_code_and_stands_in_the_drawn_tree() -> None:
    classes = [
        cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, TrueupError)
    ]
    assert len({cls.code for cls in classes}) == len(classes)
    for cls in classes:
        assert cls.__name__ in (errors.__doc__ or "")
        assert cls.__doc__
        assert cls.exit_code in (1, 2, 4, 5, 6, 7)
    assert str(UnknownName("trigger", "fals", ["falls", "rows"])).endswith("did you mean 'falls'?")


@pytest.mark.parametrize("module", ["trueup", "trueup.client", "trueup.store", "trueup.route", "trueup.cli"])
def test_the_light_modules_load_nothing_heavy(module: str) -> None:
    heavy = "numpy pyarrow duckdb scipy sklearn torch xgboost pandas adbc_driver_sqlite"
    code = (
        f"import sys, {module}; found = [m for m in {heavy.split()!r} if m in sys.modules];"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path.cwd())
