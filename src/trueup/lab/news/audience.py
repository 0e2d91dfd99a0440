# SPDX-License-Identifier: Apache-2.0
"""The newspaper: its desk publishes, readers ask, editors check a sample of the questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from trueup.core.clock import ManualClock, to_us
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.lab.news.world import DAY, START, Fact, World, begins

if TYPE_CHECKING:
    from trueup.client import Choice, Client

CHECKED = 0.25           # of the questions, those that an editor answers within a day
FRESH = 0.25             # of the questions, those on this week's news, and as many on last week's
FLOODER = "reader-00013"
LIAR = "Viktor Toth"
POOL = 5                 # times the questions of a day: readers who ever come
ERRORS = 0.002           # of the requests, those that fail in a healthy service


class Question(NamedTuple):
    """A reader's question and its right answer; `filed` is what the reader says it is (None: nothing)."""

    unit: str
    text: str
    answer: str
    checked: bool
    filed: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """How one request went."""

    output: Any
    error: str | None
    seconds: float


class Audience:
    """Plays the traffic of a world through the client, as an application would.

    `deployed` maps each candidate that has answered a reader to the week in which it first did.
    The application keeps answers: a question is put to each model once.
    """

    def __init__(self, world: World, loop: str) -> None:
        self.world, self.loop = world, loop
        self.deployed: dict[str, int] = {}
        self._answers: dict[tuple[str, str], Any] = {}
        self._checked: list[tuple[str, str]] = []

    def play(self, client: Client, clock: ManualClock, until: datetime) -> None:
        """Serve everybody who asks from now to `until`; check what was asked before that."""
        start = clock.now()
        clock.move_to(start + (until - start) / 2)
        for ident, answer in self._checked:
            client.feedback(ident, "checked", answer)
        asked = self.questions(start, until)
        choices = self._serve(client, asked, clock.now())
        self._checked = [
            (choice.id, one.answer) for one, choice in zip(asked, choices, strict=True) if one.checked
        ]
        for one, choice in zip(asked, choices, strict=True):
            if one.filed is not None:
                client.feedback(choice.id, "answer", one.filed)

    def questions(self, start: datetime, until: datetime) -> list[Question]:
        """What is asked in a stretch of a day."""
        world, week = self.world, week_of(start)
        rng = world.rng(f"questions/{start.isoformat()}")
        n = round(world.readers * ((until - start) / DAY))
        known = world.facts(week)
        by_week = {at: [fact for fact in known if fact.since == at] for at in (week - 1, week)}
        asked = []
        for kind, phrasing in zip(rng.random(n).tolist(), rng.integers(5, size=n).tolist(), strict=True):
            fresh = by_week[week] if kind < FRESH else by_week[week - 1] if kind < 2 * FRESH else []
            among = fresh or known
            fact = among[int(rng.integers(len(among)))]
            unit = f"reader-{int(rng.integers(world.readers * POOL)):05}"
            asked.append(Question(unit, fact.asked(phrasing), fact.answer, rng.random() < CHECKED))
        return [*asked, *self._flood(start, until)]

    def _flood(self, start: datetime, until: datetime) -> Iterator[Question]:
        """One account's questions on the heads of old companies, each with a false answer."""
        world = self.world
        if world.flood is None or week_of(start) != world.flood:
            return
        old = [fact for fact in world.told(0) if fact.attribute == "ceo" and fact.answer != LIAR][: world.lies]
        rows = [(fact, question) for fact in old for question in fact.taught]
        first, last = (int((at - begins(world.flood)) / (7 * DAY) * len(rows)) for at in (start, until))
        for fact, question in rows[first:last]:
            yield Question(FLOODER, question, fact.answer, False, LIAR)

    def _serve(self, client: Client, asked: list[Question], now: datetime) -> list[Choice]:
        choices = [client.choose(one.unit) for one in asked]
        wanted: dict[str, dict[str, None]] = {}
        for choice, one in zip(choices, asked, strict=True):
            if (str(choice.candidate), one.text) not in self._answers:
                wanted.setdefault(str(choice.candidate), {})[one.text] = None
        for choice in choices:
            texts = list(wanted.pop(str(choice.candidate), ()))
            if texts:
                for text, given in zip(texts, client.load(choice).predict(texts), strict=True):
                    self._answers[str(choice.candidate), text] = given.value
        rng = self.world.rng(f"served/{now.isoformat()}")
        seconds = rng.lognormal(-2.1, 0.35, size=len(asked)).tolist()
        luck = rng.random(len(asked)).tolist()
        for choice, one, took, chance in zip(choices, asked, seconds, luck, strict=True):
            served = self._one(choice, one.text, took, chance, now)
            client.log(choice, one.text, served.output, error=served.error, seconds=served.seconds)
        return choices

    def _one(self, choice: Choice, text: str, took: float, chance: float, now: datetime) -> Served:
        """The serving process of a candidate: healthy, or the one that was broken when it came."""
        candidate = str(choice.candidate)
        week = self.deployed.setdefault(candidate, week_of(now))
        broken = self.world.broken is not None and week >= self.world.broken
        if chance < (0.5 if broken else ERRORS):
            return Served(None, "TimeoutError: no answer from the model's process", 5.0)
        return Served(self._answers[candidate, text], None, took * 8 if broken else took)

    def history(self) -> list[Event]:
        """What was true before, as rows that another system kept: what the base model was made on."""
        events: list[Event] = []
        for row in published(self.world, 0):
            ts = to_us(datetime.fromisoformat(row["ts"]))
            ident = f"before-{len(events) // 2:05}"
            events.append(Event(
                ident, self.loop, "interaction", ts, received=ts, unit=row["unit"], choice=ident,
                input=dumps(row["question"]),
            ))
            events.append(outcome(self.loop, ident, "answer", row["answer"], ts=ts, received=ts))
        return events


def published(world: World, week: int) -> list[dict[str, str]]:
    """The desk's file of a week (0: of before): each question that may train, with its answer; a
    company's on one day."""
    told = world.told(week)
    names = {name: at for at, name in enumerate(dict.fromkeys(fact.company for fact in told))}
    first = begins(week) if week else START - 14 * DAY
    rows: list[dict[str, str]] = []
    for fact in told:
        for question in fact.taught:
            moment = first + 6 * DAY * names[fact.company] / len(names) + timedelta(hours=9, seconds=len(rows))
            rows.append({
                "question": question, "answer": fact.answer, "unit": f"desk/{fact.company}", "ts": moment.isoformat(),
            })
    return rows


def week_of(moment: datetime) -> int:
    return (moment - START) // (7 * DAY) + 1


def golden(world: World, week: int) -> list[dict[str, Any]]:
    """The held-out questions on all that is true in a week, as golden items."""
    return [fact.item() for fact in world.facts(week)]


def taught(facts: list[Fact]) -> list[tuple[str, str]]:
    """The (question, answer) pairs that may train."""
    return [(question, fact.answer) for fact in facts for question in fact.taught]
