# SPDX-License-Identifier: Apache-2.0
"""The drift trigger in a loop that runs: it fires before a label has come, and not without a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from trueup.core.task import Outcome, Task
from trueup.core.values import from_json, to_json
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.loop import Loop, why
from trueup.models import ConstantModel, HashingEmbedder
from trueup.monitor import Answers, Batches, ScoreDrift
from trueup.release import Full, Shadow
from trueup.store import Ledger
from trueup.testing import ToyTraffic, check_trigger, simulate, toy_history, toy_rows
from trueup.train import Sklearn
from trueup.triggers import Cron, Drift

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = Batches(rows=50)


def mean_words(batch: list[Any]) -> float:
    return sum(len(text.split()) for text in batch) / len(batch)


def loop(**changes: Any) -> Loop:
    parts: dict[str, Any] = {
        "name": "toys", "task": Task("sentence", "kind", "user"),
        "outcomes": [Outcome.of_input("kind", within=20 * DAY)], "look": Cron("daily"),
        "champion": ConstantModel("animal"), "when": [Drift(batches=SMALL)],
        "recipe": Recipe(window=None, min_rows=100), "trainer": Sklearn("logistic"),
        "release": [Shadow(Accuracy(), max_time=30 * DAY), Full()],
    }  # fmt: skip
    return Loop(**{**parts, **changes})


def lived(folder: Path, made: Loop, days: int, moves: datetime | None = None, labelled: float = 1.0) -> Any:
    """A loop with 28 days of history, 100 requests a day, and labels that take ten days."""
    from trueup.core.clock import ManualClock

    with Ledger.open(folder, clock=ManualClock(START)) as ledger:
        ledger.append(toy_history("toys", toy_rows(1200, seed=9), START, days=20))
    traffic = ToyTraffic(3, units_a_day=100, labelled=labelled, delay=10 * DAY, moves=moves)
    return simulate(made, traffic, start=START, until=START + days * DAY, home=folder)


def test_drift_is_a_trigger_like_any_other() -> None:
    """TRG-03"""
    for part in (
        Drift(), Drift(HashingEmbedder(64), batches=SMALL), Drift(("price", "genre")), Drift((Answers(),)),
        Drift((ScoreDrift(mean_words),), unrated="rest"),
    ):
        check_trigger(part)
        assert from_json(to_json(part)) == part
    assert Drift(("price", "genre")).detector == "drift:price,genre"
    assert Drift().detector == "drift:hashing-256"


def test_drift_fires_days_before_the_first_label_of_the_new_rows(tmp_path: Path) -> None:
    """TRG-03, VAL-06: requests change on day 6, labels take ten days."""
    moves = START + 6 * DAY
    with lived(tmp_path / "home", loop(), 9, moves) as made:
        trained = [one for one in made.decisions if one.verdict == "TRAIN"]
        assert trained
        first = trained[0]
        labels = made.ledger.scan("toys", "outcome", since_us=int(START.timestamp() * 1e6))
        arrived = [ts for ts in labels["received"].to_pylist() if ts < first.at]
        late = int((moves + 10 * DAY).timestamp() * 1e6)
        assert int(moves.timestamp() * 1e6) < first.at <= int((moves + 3 * DAY).timestamp() * 1e6)
        assert first.at < late
        assert not any(ts >= late for ts in arrived)
        assert "drift: embedding of text: alarm since 2026-01-0" in first.reason
        found = first.evidence["result"]["when"][0]["evidence"]
        assert found["found"][0]["rated"]
        assert found["found"][0]["effect"] > 0.53
        assert found["words"][0]["before"] < found["words"][0]["now"]
        assert found["reference"]["of"].startswith("the requests of")
        assert why(made.ledger, first.id).matches


def test_drift_rests_where_nothing_moves_and_knows_what_the_champion_learned_from(tmp_path: Path) -> None:
    """TRU-03: the reference are the requests of the Snapshot's span, labelled or not."""
    with lived(tmp_path / "home", loop(champion=None), 10) as made:
        assert [one.verdict for one in made.decisions].count("TRAIN") == 1  # the first champion
        looks = [one for one in made.decisions if one.kind == "look"]
        found = looks[-1].evidence["result"]["when"][0]
        assert not found["holds"]
        assert "no alarm" in found["reason"]
        assert found["evidence"]["reference"] == {"rows": 1200, "of": "the requests of 2025-12-12 to 2025-12-31"}
        assert found["evidence"]["found"][0]["rated"]
        answers = replace(made_loop(made), when=[Drift((Answers(),), batches=SMALL)])
        told = answers.plan(made.ledger).look.when[0][1]
        assert "answers: no alarm" in told.reason
        assert told.evidence["reference"]["rows"] == 500


def made_loop(made: Any) -> Loop:
    return loop(champion=None)
