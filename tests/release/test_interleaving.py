# SPDX-License-Identifier: Apache-2.0
"""Interleaving: two rankers share a list, one score a unit (REL-07)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueup.client import connect
from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError
from trueup.core.events import Event, outcome
from trueup.core.ids import Ids
from trueup.core.json import dumps
from trueup.core.task import Outcome
from trueup.release import AB, Full, Interleave, Risk, recompute
from trueup.testing import check_value

from .test_ab import CLICK, DAY, HOUR, Users, begin, kinds

OPENED = Outcome("opened", "label", within=HOUR)


class Readers(Users):
    """Users who are shown mixed lists, and open what is relevant to them."""

    outcomes = (*Users.outcomes, OPENED)

    def read(self, n: int, *, good: float, seed: int = 1, shown: Any = None) -> None:
        """n readers open items of the challenger's kind ("n0" ...) with probability `good`, of the
        champion's ("o0" ...) with .2."""
        ids = Ids(self.clock, seed=self.units + 1)  # lists are drawn from the choice's id
        client = connect(self.name, self.ledger.home, clock=self.clock, ids=ids, acknowledge="enqueue")
        new, old = [f"n{at}" for at in range(5)], [f"o{at}" for at in range(5)]
        for _ in range(n):
            self.units += 1
            self.clock.advance(timedelta(seconds=60))
            choice = client.choose(f"r{self.units}")
            assert choice.arm == "interleaved"
            mixed = client.interleave(choice, new, old, 4)
            client.log(choice, "home", shown or mixed.output)
            for item in mixed.items:
                if self.rng.random() < (good if item.startswith("n") else 0.2):
                    client.feedback(choice.id, "opened", item, key=item)
        client.flush()
        client.close()


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Readers]:
    made = Readers(tmp_path / "home", [Full()])
    made.rng = np.random.default_rng(2)
    yield made
    made.ledger.close()


STAGE = Interleave("opened", units=400, min_time=HOUR, max_time=7 * DAY)


@pytest.mark.parametrize("method", ["team_draft", "balanced", "probabilistic"])
def test_rel_07_a_preferred_ranker_passes_and_goes_on_to_the_test_that_decides(readers: Readers, method: Any) -> None:
    begin(readers, replace(STAGE, method=method), AB(CLICK, no_worse_by=0.05, units=1_000))
    readers.read(200, good=0.5)
    made = readers.advance(2 * HOUR)
    assert kinds(made) == [("stage", "PASS")]
    assert not readers.state.release.proven, "credit carries no promise"
    assert readers.state.routing["arms" if "arms" in readers.state.routing else "challenger"]
    assert dumps(recompute(readers.ledger, "l", made[0].evidence)) == dumps(made[0].evidence["result"])


def test_equal_rankers_are_not_found_preferred(readers: Readers) -> None:
    """The control; at a level of .05 the seed is one of 19 in 20."""
    begin(readers, STAGE, AB(CLICK, no_worse_by=0.05, units=1_000), risk=Risk(wrong_promotion=0.05, per="release"))
    readers.read(200, good=0.2)
    assert readers.advance(2 * HOUR) == []
    readers.read(220, good=0.2)
    assert kinds(readers.advance(2 * HOUR)) == [("refuse", "REFUSE")]


def test_the_same_choice_gives_the_same_list(readers: Readers) -> None:
    begin(readers, STAGE, AB(CLICK, no_worse_by=0.05, units=1_000))
    with connect("l", readers.ledger.home, clock=readers.clock) as client:
        choice = client.choose("r1")
        assert choice.parameters["challenger"] == readers.challenger
        lists = {tuple(client.interleave(choice, "abcd", "dcba", 3).items) for _ in range(5)}
        assert len(lists) == 1


@pytest.mark.parametrize("fault", ["list", "lost"])
def test_what_voids_an_interleaving(readers: Readers, fault: str) -> None:
    begin(readers, STAGE, AB(CLICK, no_worse_by=0.05, units=1_000))
    readers.read(30, good=0.5, shown={"items": ["a"], "teams": []} if fault == "list" else None)
    if fault == "lost":
        now = to_us(readers.clock.now())
        readers.ledger.append([
            Event("s", "l", "signal", now, now, name="exposures_lost", release=readers.state.routing["release"]),
            outcome("l", "nobody", "opened", "x", ts=now, received=now),
        ])
    assert kinds(readers.advance(2 * HOUR)) == [("invalid", "INVALID")]


def test_stages_say_what_cannot_work(readers: Readers) -> None:
    terms = readers.terms()
    assert STAGE.problems(terms) == []
    assert "not among" in replace(STAGE, outcome="zzz").problems(terms)[0]
    assert "the items that were clicked" in replace(STAGE, outcome="click").problems(terms)[0]
    for wrong in ({"method": "coin"}, {"units": 0}, {"traffic": 0.0}, {"min_time": 40 * DAY}):
        with pytest.raises(ArgumentError):
            Interleave("opened", **wrong)  # type: ignore[arg-type]
    check_value(STAGE)
