# SPDX-License-Identifier: Apache-2.0
"""Feedback and alerts that begin a training, once each; and a loop that tells people (TRG-07, MON-01)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from trueup.alerts import AlertFile, Apprise, alert
from trueup.cli._main import trueup
from trueup.client import connect
from trueup.core.clock import ManualClock, to_us
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.core.secrets import Env
from trueup.core.task import Outcome
from trueup.loop import Loop, run
from trueup.loop.context import Context
from trueup.loop.look import look
from trueup.models import ConstantModel
from trueup.state import decide, read
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows
from trueup.train import Command
from trueup.triggers import Alert, Falls, Feedback

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
THUMBS = Outcome.boolean("thumbs_up")
Make = Callable[..., Loop]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as made:
        made.append(toy_history("toys", toy_rows(400), START))
        yield made


@pytest.fixture
def make(make_loop: Make) -> Make:
    def made(**changes: Any) -> Loop:
        loop = make_loop(champion=ConstantModel("animal"), unless=[], gates=[], release=[], **changes)
        return replace(loop, outcomes=(*loop.outcomes, THUMBS))

    return made


def later(ledger: Ledger, by: timedelta = DAY) -> None:
    ledger.clock.advance(by)  # type: ignore[attr-defined]


def looks(loop: Loop, ledger: Ledger) -> str:
    """The verdict of a look; the training that it begins is over at once, having been refused by a gate."""
    made = look(Context(loop, ledger))
    assert made is not None
    if made.verdict == "TRAIN":
        generation, state = read(ledger, loop.name)
        decide(ledger, loop.name, generation, replace(state, cycle=None), kind="stop", verdict="REFUSE", reason="gates: no")
    return made.verdict


def thumbs(ledger: Ledger, values: list[int], first: int) -> None:
    _, state = read(ledger, "toys")
    now, rows = to_us(ledger.clock.now()), []
    for n, said in enumerate(values, first):
        rows += [
            Event(f"t{n}", "toys", "interaction", now, now, unit=f"u{n}", choice=f"t{n}", arm="champion",
                  candidate=state.champion, input=dumps("x"), output=dumps("animal")),
            outcome("toys", f"t{n}", "thumbs_up", bool(said), ts=now, received=now),
        ]
    ledger.append(rows)


def test_trg_07_one_burst_of_bad_feedback_begins_one_training(make: Make, ledger: Ledger) -> None:
    loop = make(when=[Feedback(THUMBS, at_least=5, within=7 * DAY)])
    run(loop, ledger)
    later(ledger)
    thumbs(ledger, [0, 0, 1, 0, 1], 0)
    assert looks(loop, ledger) == "REST"
    later(ledger, timedelta(hours=1))
    thumbs(ledger, [0, 0], 10)
    later(ledger, timedelta(hours=1))
    assert looks(loop, ledger) == "TRAIN"
    for _ in range(3):
        later(ledger)
        assert looks(loop, ledger) == "REST", "answered already"
    thumbs(ledger, [0] * 5, 20)
    later(ledger)
    assert looks(loop, ledger) == "TRAIN"


def test_trg_07_one_alert_of_a_system_begins_one_training(make: Make, ledger: Ledger) -> None:
    """What another monitor says with client.signal counts as Trueup's own alerts do."""
    loop = make(when=[Alert("drift", at_least=2, within=2 * DAY)])
    run(loop, ledger)
    with connect("toys", ledger.home, clock=ledger.clock) as client:
        for expected in ("REST", "TRAIN", "REST", "TRAIN"):
            later(ledger)
            client.signal("drift", where="prices")
            client.flush()
            later(ledger, timedelta(hours=1))
            verdict = looks(loop, ledger)
            assert verdict == expected
            if verdict == "TRAIN":
                later(ledger, 2 * DAY)


def test_trg_07_counts_take_no_share_of_the_false_alarms(make: Make, ledger: Ledger) -> None:
    from trueup.evaluate import Accuracy

    rated = make(when=[Falls(Accuracy(), below=0.5), Feedback(THUMBS, above=0.3)])
    counted = make(when=[Falls(Accuracy(), below=0.5), Feedback(THUMBS, at_least=3), Alert("x")])
    from trueup.loop.facts import LedgerFacts

    _, state = read(ledger, "toys")
    rates = [
        LedgerFacts(loop, ledger, state, cut=ledger.cut(), now=to_us(START)).false_alarms_per_year
        for loop in (rated, counted)
    ]
    assert rates == [0.5, 1.0]


def test_mon_01_a_training_that_fails_is_told_by_the_run_itself(make: Make, ledger: Ledger) -> None:
    failing = make(when=[Alert("go", within=2 * DAY)], trainer=Command([sys.executable, "-c", "raise SystemExit('no room')"]))
    run(failing, ledger)
    later(ledger, timedelta(hours=1))
    with connect("toys", ledger.home, clock=ledger.clock) as client:
        client.signal("go")
    later(ledger)
    made = run(failing, ledger)
    assert (made[-1].kind, made[-1].verdict) == ("stop", "REFUSE")
    for _ in range(2):
        alert(ledger, "toys", [AlertFile()])
    told = [json.loads(line) for line in (ledger.home / "alerts.jsonl").read_text().splitlines()]
    assert [(one["kind"], one["severity"]) for one in told] == [("alarm", "warning"), ("failed", "error")]
    assert told[1]["command"] == f"trueup why {made[-1].id}"
    listed = CliRunner().invoke(trueup, ["--home", str(ledger.home), "alerts", "list", "--json"])
    assert [one["kind"] for one in json.loads(listed.output)] == ["failed", "alarm"]
    quiet = CliRunner().invoke(trueup, ["--home", str(ledger.home), "alerts", "mute", "failed", "--for", "2d", "-m", "known"])
    assert "failed is muted until" in quiet.output


def test_mon_02_a_loop_that_observes_tells_of_its_alarms_once(make: Make, ledger: Ledger) -> None:
    loop = make(when=[Alert("drift", within=30 * DAY)], mode="observe")
    with connect("toys", ledger.home, clock=ledger.clock) as client:
        client.signal("drift")
    for _ in range(3):
        later(ledger)
        assert run(loop, ledger) == []
        alert(ledger, "toys", [AlertFile()])
    told = [json.loads(line) for line in (ledger.home / "alerts.jsonl").read_text().splitlines()]
    alarms = [one for one in told if one["kind"] == "alarm"]  # beside the client's word that it has no champion yet
    assert [(one["key"], one["command"]) for one in alarms] == [("alarm/alert:drift/0", "trueup status")]
    assert ledger.decisions("toys") == []


def test_a_channel_whose_secret_is_missing_is_a_note(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """MON-01: a channel blocks nothing, not even a run."""
    monkeypatch.delenv("NO_SUCH_URL", raising=False)
    loop = make(alerts=[Apprise(Env("NO_SUCH_URL"))], when=[])
    found = [(one.where, one.severe) for one in loop.check() if "NO_SUCH_URL" in one.what]
    assert found == [("alerts", False)]
    other = Outcome.of_input("other")
    wrong = make(when=[Feedback(other, at_least=3)], target="kind")
    assert any("corrections of the label that is learned" in one.what for one in replace(wrong, outcomes=(*wrong.outcomes, other)).check())
