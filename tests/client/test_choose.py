# SPDX-License-Identifier: Apache-2.0
"""choose: the arm, what is recorded of it, and how soon a new routing is seen."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trueup.client import Choice, Client, connect
from trueup.core import Ids, ManualClock, to_us
from trueup.core.errors import ArgumentError, Refused
from trueup.route import Routing, assign, raise_share
from trueup.store import Ledger

LOOP = "news"
START = datetime(2026, 3, 1, tzinfo=UTC)
UNITS = [f"user-{i}" for i in range(40)]


def test_without_a_routing_the_champion_serves(home: Path, ledger: Ledger) -> None:
    with connect(LOOP, home) as client:
        choice = client.choose("user-1")
    assert choice[1:] == ("champion", None, {}, None, 0, None, "user-1")


def test_outside_an_experiment_nothing_is_written(home: Path, ledger: Ledger, decide: Any, rows: Any) -> None:
    generation = decide(Routing("c-1", parameters={"champion": {"k": 3}}))
    with connect(LOOP, home) as client:
        choice = client.choose("user-1")
    assert choice[1:] == ("champion", "c-1", {"k": 3}, None, generation, None, "user-1")
    assert rows("assignment", "signal") == []


@pytest.mark.parametrize("acknowledge", ["sync", "enqueue"])
def test_an_enrolled_unit_is_recorded_and_then_served(
    home: Path, ledger: Ledger, decide: Any, acknowledge: Any, half: Any, rows: Any
) -> None:
    """FBK-01: arm, candidate, propensity, generation and release stand on every assignment."""
    routing = half
    generation = decide(routing)
    clock = ManualClock(START)
    choices = []
    with connect(LOOP, home, clock=clock, acknowledge=acknowledge) as client:
        for unit in UNITS:
            choices.append(client.choose(unit, {"page": 1}))
            if acknowledge == "sync":
                assert rows("assignment")[-1]["id"] == choices[-1].id
    written = rows("assignment")
    assert [row["id"] for row in written] == [choice.id for choice in choices]
    for unit, choice, row in zip(UNITS, choices, written, strict=True):
        drawn = assign(routing, unit)
        assert choice[1:] == (
            drawn.arm, drawn.candidate, routing.parameters[drawn.arm], 0.5, generation, "r-1", unit)
        assert (row["unit"], row["arm"], row["candidate"], row["propensity"]) == (
            unit, drawn.arm, drawn.candidate, 0.5)
        assert (row["generation"], row["release"], row["ts"]) == (generation, "r-1", to_us(START))
        assert json.loads(row["extra"]) == {"stage": 0, "context": {"page": 1}}
    assert {choice.arm for choice in choices} == {"champion", "challenger"}


def test_only_enrolled_units_are_recorded(home: Path, ledger: Ledger, decide: Any, rows: Any) -> None:
    routing = raise_share(Routing("c-1", "c-2", "r-1", "r-1"), 0.1)
    decide(routing)
    with connect(LOOP, home) as client:
        drawn = {unit: client.choose(unit) for unit in (f"u-{i}" for i in range(100))}
    inside = [unit for unit in drawn if assign(routing, unit).enrolled]
    assert 5 < len(inside) < 40
    assert [row["unit"] for row in rows("assignment")] == inside
    assert all((choice.propensity is None) == (unit not in inside) for unit, choice in drawn.items())


def test_a_unit_keeps_its_arm(home: Path, ledger: Ledger, decide: Any, half: Any) -> None:
    decide(half)
    with connect(LOOP, home) as one, connect(LOOP, home) as two:
        for unit in UNITS[:10]:
            assert {one.choose(unit).arm for _ in range(3)} == {two.choose(unit).arm}


def test_a_new_routing_is_seen_soon(home: Path, ledger: Ledger, decide: Any) -> None:
    decide(Routing("c-1"))
    with connect(LOOP, home) as client:
        assert client.choose("u").candidate == "c-1"
        decide(Routing("c-2"))
        end = time.monotonic() + 30
        while client.choose("u").candidate != "c-2":
            assert time.monotonic() < end


def test_the_counter_is_not_asked_at_every_call(
    home: Path, ledger: Ledger, decide: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change counter is read at most every 10 ms, whatever the clock of the client does."""
    decide(Routing("c-1"))
    asked = 0
    version = Ledger.version

    def counted(self: Ledger) -> int:
        nonlocal asked
        asked += 1
        return version(self)

    monkeypatch.setattr(Ledger, "version", counted)
    with connect(LOOP, home, clock=ManualClock(START)) as client:
        began = time.monotonic()
        for _ in range(5000):
            client.choose("u")
        assert asked <= 2 + (time.monotonic() - began) / 0.01


def test_a_clock_that_stands_still_or_jumps(home: Path, ledger: Ledger, decide: Any) -> None:
    """A simulated day later the routing of that day holds at once, and at a standstill it is seen too."""
    decide(Routing("c-1"))
    clock = ManualClock(START)
    with connect(LOOP, home, clock=clock) as client:
        assert client.choose("u").candidate == "c-1"
        for n in range(2, 20):
            decide(Routing(f"c-{n}"))
            clock.advance(timedelta(days=1))
            assert client.choose("u").candidate == f"c-{n}"
        decide(Routing("c-still"))
        client.refresh()
        assert client.choose("u").candidate == "c-still"
        clock.move_to(START - timedelta(days=9))
        decide(Routing("c-back"))
        end = time.monotonic() + 30
        while client.choose("u").candidate != "c-back":
            assert time.monotonic() < end


def test_another_process_decides(home: Path, ledger: Ledger, decide: Any) -> None:
    decide(Routing("c-1"))
    code = (
        "import sys; from pathlib import Path; from trueup.client import connect\n"
        "c = connect('news', Path(sys.argv[1])); print(c.choose('u').candidate, flush=True)\n"
        "input()\n"
        "import time; end = time.monotonic() + 60\n"
        "while c.choose('u').candidate != 'c-2' and time.monotonic() < end: pass\n"
        "print(c.choose('u').candidate, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "c-1"
        decide(Routing("c-2"))
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline().strip() == "c-2"


def test_ids_come_from_the_given_source(home: Path, ledger: Ledger) -> None:
    def ids() -> list[str]:
        clock = ManualClock(START)
        with connect(LOOP, home, clock=clock, ids=Ids(clock, seed=3)) as client:
            return [client.choose("u").id for _ in range(3)]

    assert ids() == ids()
    assert sorted(ids()) == ids()


@pytest.mark.parametrize("unit", ["", None, 42, b"user", "x" * 2000, "\ud800", ["u"], object()])
def test_what_is_no_unit_gets_the_champion(home: Path, ledger: Ledger, decide: Any, unit: Any, half: Any, rows: Any) -> None:
    decide(half)
    with connect(LOOP, home) as client:
        choice = client.choose(unit)
        client.log(choice, "in", "out")
    assert (choice.arm, choice.candidate, choice.propensity, choice.unit) == ("champion", "c-1", None, None)
    assert rows("assignment") == []
    signal = rows("signal")[0]
    assert signal["name"] == "client_fault"
    assert json.loads(signal["extra"])["fault"] == "unit"


@settings(max_examples=60, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(unit=st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.floats()),
       context=st.one_of(st.none(), st.dictionaries(st.text(), st.floats()), st.integers(), st.binary()))
def test_choose_never_raises(open_client: Client, unit: Any, context: Any) -> None:
    assert isinstance(open_client.choose(unit, context), Choice)


@pytest.fixture
def open_client(home: Path, ledger: Ledger, decide: Any, half: Any) -> Any:
    decide(half)
    with connect(LOOP, home, acknowledge="enqueue") as client:
        yield client


def test_many_threads_share_a_client(home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any) -> None:
    decide(half)
    routing = half
    wrong: list[Any] = []
    with connect(LOOP, home, acknowledge="enqueue") as client:

        def work(k: int) -> None:
            for i in range(200):
                choice = client.choose(f"{k}-{i}")
                client.log(choice, i, i)
                if choice.arm != assign(routing, f"{k}-{i}").arm:
                    wrong.append(choice)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len({row["id"] for row in rows("interaction")}) == 800
    assert len(rows("assignment")) == 800


def test_mistakes_in_connect(home: Path) -> None:
    with pytest.raises(Refused, match=r"does not speak HTTP yet\n  cure: "):
        connect(LOOP, url="http://localhost:1")
    with pytest.raises(ArgumentError, match="acknowledge"):
        connect(LOOP, home, acknowledge="later")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="home"):
        connect(LOOP, 3)  # type: ignore[arg-type]
    for loop in ("", None, 3, "\ud800"):
        with pytest.raises(ArgumentError, match="loop"):
            connect(loop, home)  # type: ignore[arg-type]


def test_the_home_is_found(home: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(home))
    with connect(LOOP) as client:
        assert client.home == home


def test_the_unit_of_a_release_without_slices(home: Path, ledger: Ledger, decide: Any, half: Any) -> None:
    """In shadow the release stands on the choice, and everyone has the champion."""
    decide(replace(half, slices=()))
    with connect(LOOP, home) as client:
        choice = client.choose("u")
    assert (choice.arm, choice.release, choice.propensity) == ("champion", "r-1", None)
