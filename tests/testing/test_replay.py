# SPDX-License-Identifier: Apache-2.0
"""Replay: each answer is given before its label is learned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup import Loop, Outcome, Task
from trueup.core.clock import ManualClock, to_us
from trueup.core.errors import DataError, Refused
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.models import ConstantModel
from trueup.release import Approval, Full, Shadow
from trueup.store import Ledger
from trueup.testing import simulate, toy_rows
from trueup.testing.replay import Logged, Served, history, replay
from trueup.train import Sklearn
from trueup.triggers import Cron, Rows

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
LABEL = Outcome.of_input("kind", within=DAY)


def make_loop(**changes: Any) -> Loop:
    parts: dict[str, Any] = {
        "name": "toys", "task": Task("sentence", "kind", "user"), "outcomes": [LABEL, Outcome.boolean("thumbs")],
        "look": Cron("0 0 * * *"), "when": [Rows(400)], "recipe": Recipe(window=None, min_rows=100),
        "trainer": Sklearn("logistic"), "champion": ConstantModel("animal"),
        "release": [Shadow(Accuracy(), no_worse_by=0.05, max_time=20 * DAY), Approval(), Full()], **changes,
    }
    return Loop(**parts)


def past(home: Path, *, days: int = 12, a_day: int = 100, delay: timedelta = timedelta(hours=20)) -> Ledger:
    """Imported history: `a_day` labelled sentences a day, each label known `delay` later."""
    ledger = Ledger.open(home, clock=ManualClock(START + 400 * DAY))
    events = []
    for at, (given, kind) in enumerate(toy_rows(days * a_day)):
        ts = to_us(START) + at * 86_400_000_000 // a_day
        known = ts + int(delay.total_seconds() * 1e6)
        events.append(Event(
            f"i{at:05d}", "toys", "interaction", ts, received=ts, unit=f"u{at}", choice=f"i{at:05d}", input=dumps(given)
        ))
        events.append(outcome("toys", f"i{at:05d}", "kind", kind, ts=known, received=known))
        events.append(outcome("toys", f"i{at:05d}", "thumbs", True, ts=ts, received=ts))
    ledger.append(events)
    return ledger


def test_a_past_that_was_imported_is_lived_through_again(tmp_path: Path) -> None:
    """TRU-14: from the first row to a promotion, every answer given before its label is known."""
    loop = make_loop()
    told: list[tuple[int, int]] = []
    with past(tmp_path / "home") as ledger, replay(
        loop, ledger, tmp_path / "again", progress=lambda _, done, total: told.append((done, total))
    ) as made:
        kinds = made.kinds()
        assert kinds[0] == ("install", "PROMOTE")
        assert ("look", "TRAIN") in kinds
        assert ("approve", "PASS") in kinds
        assert ("promote", "PROMOTE") in kinds
        assert told[-1] == (1_200, 1_200)
        rows = made.ledger.interactions("toys", outcomes=["kind"])
        assert rows.num_rows == 1_200
        assert all(known >= ts for ts, known in zip(rows["ts"].to_pylist(), rows["kind_known"].to_pylist(), strict=True))
        trained = next(one for one in made.decisions if one.kind == "look" and one.verdict == "TRAIN")
        promoted = next(one for one in made.decisions if one.kind == "promote")
        answered = {
            (who, ts < promoted.at)
            for who, ts in zip(rows["candidate"].to_pylist(), rows["ts"].to_pylist(), strict=True)
        }
        assert len(answered) == 2, "the champion answers before its promotion's moment, the new one after it"
        assert trained.at < promoted.at
        assert made.ledger.count("toys", "signal") == 0
        assert not made.ledger.query("SELECT 1 FROM event WHERE name = 'thumbs'").num_rows
        assert ledger.count("toys", "interaction") == 1_200, "the past itself is left alone"


def test_the_same_past_gives_the_same_decisions(tmp_path: Path) -> None:
    loop = make_loop()
    with past(tmp_path / "home", days=7) as ledger:
        found = []
        for name in ("a", "b"):
            with replay(loop, ledger, tmp_path / name) as made:
                found.append([decision.digest() for decision in made.decisions if decision.kind != "candidate"][:5])
        assert found[0] == found[1]


def test_what_lies_before_is_there_from_the_beginning(tmp_path: Path) -> None:
    loop = make_loop(champion=None)
    with past(tmp_path / "home", days=8) as ledger:
        since = START + 5 * DAY
        with replay(loop, ledger, tmp_path / "again", since=since, until=START + 7 * DAY) as made:
            assert made.kinds()[:2] == [("look", "TRAIN"), ("install", "PROMOTE")]
            rows = made.ledger.interactions("toys", outcomes=["kind"])
            assert rows.num_rows == 700
            served = [who is not None for who in rows.sort_by("ts")["candidate"].to_pylist()]
            assert served == [False] * 500 + [True] * 200


def test_a_home_of_something_else_is_left_alone(tmp_path: Path) -> None:
    loop = make_loop()
    with past(tmp_path / "home", days=1) as ledger:
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "file").write_text("mine")
        with pytest.raises(Refused):
            replay(loop, ledger, tmp_path / "other")
        for _ in range(2):  # one's own is thrown away
            replay(loop, ledger, tmp_path / "again").ledger.close()
        with pytest.raises(DataError, match="got none"):
            replay(loop, ledger, tmp_path / "again", since=START + 30 * DAY)


def test_an_input_that_no_model_can_answer_is_logged_with_its_error(tmp_path: Path) -> None:
    ids = [Logged(to_us(START) + at * 1_000_000, f"u{at}", given, (("kind", "animal", to_us(START)),))
           for at, given in enumerate(["w0x1 w0x2", {"not": "a text"}, "w0x3"])]  # fmt: skip
    loop = make_loop(champion=None, recipe=Recipe(window=None, min_rows=50), release=[])
    with past(tmp_path / "home", days=2) as ledger:
        later = [Logged(row.ts + 3 * 86_400_000_000, row.unit, row.input, row.labels) for row in ids]
        home = tmp_path / "again"
        rows = [*history(loop, ledger), *later]
        with simulate(loop, Served(rows), start=START, until=START + 5 * DAY, home=home) as made:
            found = made.ledger.interactions("toys", outcomes=["kind"]).sort_by("ts").to_pylist()[-3:]
    assert [row["error"] is None for row in found] == [True, False, True]
    assert [row["output"] is None for row in found] == [False, True, False]
