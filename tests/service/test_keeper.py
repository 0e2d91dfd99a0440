# SPDX-License-Identifier: Apache-2.0
"""What comes while a keeper is at work: nothing that people ask for or take away is missed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trueup.core.errors import Held, StoreFull
from trueup.loop import load_loop
from trueup.loop.run import request
from trueup.release import rollback
from trueup.service import keeper as module
from trueup.service.board import Board
from trueup.service.keeper import Keeper, Pace
from trueup.service.log import Log
from trueup.store import Ledger

Make = Callable[..., Keeper]


@pytest.fixture
def ledger(place: Any) -> Iterator[Ledger]:
    with Ledger.open(place.home) as made:
        yield made


@pytest.fixture
def make(place: Any, ledger: Ledger) -> Iterator[Make]:
    said = Log(place.home)

    def keeper(drive: Callable[..., Any]) -> Keeper:
        made = Keeper(
            load_loop(place.folder / "loop.py"), place.folder, ledger, Board(place.home), said, pace=Pace(), drive=drive,
        )
        made.notice(True)
        return made

    yield keeper
    said.close()


def never(*_: Any) -> Any:
    raise AssertionError("nothing is to be trained")


def test_trg_06_a_request_that_comes_in_the_middle_of_a_tick_is_taken_up_by_the_next(
    place: Any, ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(rows=100_000)
    keeper = make(never)
    real = module.tick

    def slow(*words: Any, **more: Any) -> Any:
        made = real(*words, **more)
        request(ledger, "toys", "ada")
        keeper.notice(True)  # as the service's own thread does meanwhile
        return made

    monkeypatch.setattr(module, "tick", slow)
    keeper.attempt()
    assert place.kinds()[-1] == ("look", "REST")
    monkeypatch.setattr(module, "tick", real)
    monkeypatch.setattr(keeper, "_begin", lambda *_: None)
    keeper.attempt()
    assert place.kinds()[-1] == ("look", "TRAIN")


def test_trn_05_a_rollback_between_the_look_and_the_beginning_of_its_run_holds_that(
    place: Any, ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(rows=100_000)
    idle = make(never)
    idle.attempt()
    place.promote(2)
    request(ledger, "toys", "ada")
    begun, held = threading.Event(), threading.Event()

    def drive(context: Any, *_: Any) -> Any:
        begun.set()
        for _ in range(500):
            if context.stopping():
                held.set()
                break
            time.sleep(0.01)
        raise Held("the test is over")

    keeper = make(drive)
    note = keeper._board.note

    def late(name: str, **facts: Any) -> None:
        note(name, **facts)
        if "next_look" in facts:  # the state is read, and the run not yet begun
            monkeypatch.setattr(keeper._board, "note", note)
            rollback(ledger, "toys", reason="it was the wrong one", who="ada")
            keeper.notice(True)

    monkeypatch.setattr(keeper._board, "note", late)
    keeper.attempt()
    assert begun.wait(60)
    for thread in threading.enumerate():  # it says that it is held before it ends
        if thread.name == "cycle-toys":
            thread.join(60)
    assert held.is_set(), "the run goes on under a champion that was taken away"


def test_trn_14_a_run_that_cannot_go_on_is_tried_less_and_less_whatever_ticks_meanwhile(
    place: Any, ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failure is said once, and nobody says that it works again before it does."""
    tried: list[float] = []
    at = [1000.0]

    def drive(*_: Any) -> Any:
        tried.append(at[0] - 1000.0)
        raise StoreFull("expected room on the disk, got none")

    keeper = make(drive)
    monkeypatch.setattr(module.time, "monotonic", lambda: at[0])

    def tick() -> list[str]:
        keeper.attempt()
        for thread in [one for one in threading.enumerate() if one.name == "cycle-toys"]:
            thread.join()
        lines = [json.loads(line)["text"] for line in (place.home / "logs" / "up.log").read_text().splitlines()]
        return [line for line in lines if "failed" in line or "works again" in line]

    for second in range(0, 100, 1):
        at[0] = 1000.0 + second
        said = tick()
    assert tried == [0, 5, 15, 35, 75]
    assert len(said) == 1
    assert "failed, and is tried again: expected room on the disk, got none" in said[0]
    assert isinstance(keeper.failure, StoreFull)
    assert keeper._board.read()["loops"]["toys"]["error"]["tries"] == 5
