# SPDX-License-Identifier: Apache-2.0
"""The loops of `flaky`: a language model's adapter, and a small classifier; and their weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import ManualClock, to_us
from trueup.state import StepRecord

if TYPE_CHECKING:
    from trueup.core.decisions import Decision
    from trueup.core.events import Event
    from trueup.loop import Loop
    from trueup.store import Ledger

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = 7 * DAY
WORDS, TOYS = "words", "toys"
PLACES = ("rome", "oslo", "lima")
NAMES = tuple(a + b for a in ("ax", "bim", "cor", "dul", "eb", "fan") for b in ("o", "ia", "um", "et"))


def make_loops(home: Path) -> list[Loop]:
    """The two loops; the base of the adapter is made in `home`: it knows where all were in week 0."""
    from trueup.core.protocols import Budget
    from trueup.core.task import Outcome, Task
    from trueup.data import Recipe
    from trueup.lab.news.base import make_base
    from trueup.loop import Loop
    from trueup.models import LocalModel
    from trueup.release import Full
    from trueup.train import Lora, Sklearn
    from trueup.triggers import Cron, Rows

    make_base(home / "base", facts(0), steps=60, words=4)
    common: dict[str, Any] = {
        "look": Cron("weekly"), "recipe": Recipe(window=WEEK, min_rows=len(NAMES)), "release": [Full()],
        "when": [Rows(len(NAMES))], "budget": Budget(seconds=280, megabytes=1_500, retries=9, retry_delay=0.05),
    }
    words = Loop(
        WORDS, task=Task("question", "answer", "user", "text"), outcomes=[Outcome.of_input("right", within=DAY)],
        champion=LocalModel(home / "base"),
        trainer=Lora(r=16, dropout=0.0, learning_rate=4e-3, epochs=30, batch=8, save_every=timedelta(0)), **common,
    )
    toys = Loop(
        TOYS, task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind", within=DAY)],
        trainer=Sklearn("sgd", params={"passes": 5}), **common,
    )
    return [words, toys]


def facts(week: int) -> list[tuple[str, str]]:
    """Where everybody is in a week; all have moved since the one before."""
    return [(f"where is {name}?", PLACES[(at + at // 3 + week) % 3]) for at, name in enumerate(NAMES)]


def flaky(loop: Loop, faults: tuple[str, ...], seed: int) -> Loop:
    """The adapter's training dies once of each fault, half of the classifier's runs of any."""
    from trueup.lab.flaky import FAULTS, Flaky

    if loop.name == WORDS:
        return replace(loop, trainer=Flaky(loop.trainer, share=1.0, faults=faults, seed=seed, deaths=len(faults)))
    return replace(loop, trainer=Flaky(loop.trainer, share=0.5, faults=FAULTS, seed=seed))


def live(loops: list[Loop], home: Path, seed: int, weeks: int, deaths: tuple[tuple[str, ...], ...] = ()) -> list[Decision]:
    """`weeks` weeks of the loops in a home of their own: labels come, and each loop is run. With
    `deaths` (what the adapter's training dies of, a week each) the trainings are flaky."""
    from trueup.loop import run
    from trueup.store import Ledger

    clock, made = ManualClock(START), []
    ledger = Ledger.open(home, clock=clock)
    try:
        for week in range(weeks):
            for loop in loops:
                ledger.append(_labelled(ledger, loop.name, week, seed))
                one = flaky(loop, deaths[week], seed) if deaths else loop
                made += run(one, ledger, now=True)
            clock.advance(WEEK)
    finally:
        ledger.close()
    return made


def _labelled(ledger: Ledger, loop: str, week: int, seed: int) -> list[Event]:
    from trueup.core.events import Event, outcome
    from trueup.core.json import dumps
    from trueup.testing import toy_rows

    made: list[Event] = []
    ts = to_us(ledger.clock.now()) - 3_600_000_000
    label, rows = ("right", facts(week + 1)) if loop == WORDS else ("kind", toy_rows(150, seed=1_000 * seed + week))
    for at, (given, target) in enumerate(rows):
        ident = f"w{week}-{at}"
        made.append(Event(ident, loop, "interaction", ts + at, received=ts + at, unit=ident, choice=ident, input=dumps(given)))
        made.append(outcome(loop, ident, label, target, ts=ts + at, received=ts + at))
    return made


def trainings(ledger: Ledger, loop: str) -> list[StepRecord]:
    """The recorded results of a loop's trainings, in order."""
    return [record for record in ledger.records(loop, StepRecord) if record.step == "train"]
