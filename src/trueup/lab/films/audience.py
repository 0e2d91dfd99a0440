# SPDX-License-Identifier: Apache-2.0
"""The application and its users: requests, answers, and the editors' labels some days later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from trueup.core.clock import ManualClock, to_us
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.core.protocols import Prediction
from trueup.lab.films.world import START, YEAR, Film, World

if TYPE_CHECKING:
    from trueup.client import Choice, Client

DAY = timedelta(days=1)
POOL = 4                 # times the units of a month: those who ever come
AGAIN = 0.10             # of the users, those who ask twice in a month
LABELLED = 0.27          # of the requests, those whose film the editors file
DELAY = 4                # days that they take at most
FLOOD_DAYS = 6
FLOODER = "user-00013"
ERRORS = 0.002           # of the requests, those that fail in a healthy service
HISTORY = 61             # days of labelled requests from before the year


class Request(NamedTuple):
    """A user's question; `label` is what is said of the film, `after` so many days (None: never)."""

    unit: str
    film: Film
    second: int
    label: str
    after: int | None


@dataclass(frozen=True, slots=True)
class Served:
    """How one request went."""

    output: Any
    error: str | None
    seconds: float


class Audience:
    """Plays the traffic of a world through the client, as an application would.

    `deployed` maps each candidate that has answered a user to the month in which it first did: the
    serving process that it got. Models are asked once a moment for all who ask then; `choose`,
    `log` and `feedback` are called for each request.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.deployed: dict[str, int] = {}
        self._labels: dict[date, list[tuple[str, str]]] = defaultdict(list)

    def play(self, client: Client, clock: ManualClock, until: datetime) -> None:
        """Serve everybody who asks from now to `until`, and hand in the labels that are due."""
        start = clock.now()
        clock.move_to(start + (until - start) / 2)
        day = start.date()
        low, high = (int((at - _midnight(day)).total_seconds()) for at in (start, until))
        asked = [each for each in self.requests(day) if low <= each.second < high]
        for request, choice in zip(asked, self._serve(client, asked, clock.now()), strict=True):
            if request.after == 0:
                client.feedback(choice.id, "genre", request.label)
            elif request.after is not None:
                self._labels[day + request.after * DAY].append((choice.id, request.label))
        for ident, label in self._labels.pop(day, ()):
            client.feedback(ident, "genre", label)

    def requests(self, day: date) -> list[Request]:
        """Everybody who asks on a day, in the order of the clock."""
        units = _calendar(self.world, day.year, day.month).get(day.day, [])
        rng = self.world.rng(f"requests/{day}")
        films = self.world.films(len(units), day, "asked")
        seconds = sorted(rng.integers(86_400, size=len(units)).tolist())
        filed = rng.random(len(units)) < LABELLED
        after = rng.integers(1, DELAY + 1, size=len(units)).tolist()
        asked = [
            Request(unit, film, second, film.genre, late if known else None)
            for unit, film, second, known, late in zip(units, films, seconds, filed, after, strict=True)
        ]
        return sorted([*asked, *self._flood(day)], key=lambda request: request.second)

    def _flood(self, day: date) -> Iterator[Request]:
        """One account's requests: as many in a few days as half of what the editors file in a month."""
        world = self.world
        if (day.year, day.month) != (YEAR, world.flood) or day.day > FLOOD_DAYS:
            return
        n = round(world.units * (1 + AGAIN) * LABELLED / 2 / FLOOD_DAYS)
        for at, film in enumerate(world.films(n, day, "flood", world.flood_from)):
            yield Request(FLOODER, film, at * 86_400 // n, world.flood_to, 0)

    def _serve(self, client: Client, asked: list[Request], now: datetime) -> list[Choice]:
        choices = [client.choose(request.unit) for request in asked]
        places: dict[str | None, list[int]] = defaultdict(list)
        for at, choice in enumerate(choices):
            places[choice.candidate].append(at)
        for candidate, those in places.items():
            films = [asked[at].film.input for at in those]
            answers = client.load(choices[those[0]]).predict(films)
            served = self._answer(str(candidate), answers, now)
            for at, one in zip(those, served, strict=True):
                client.log(choices[at], asked[at].film.input, one.output, error=one.error, seconds=one.seconds)
        return choices

    def _answer(self, candidate: str, answers: list[Prediction], now: datetime) -> list[Served]:
        """The serving process of a candidate: healthy, or the one that was broken when it came."""
        month = self.deployed.setdefault(candidate, (now.year - YEAR) * 12 + now.month)
        rng = self.world.rng(f"served/{now.isoformat()}")
        seconds = rng.lognormal(-2.1, 0.35, size=len(answers)).tolist()
        luck = rng.random(len(answers)).tolist()
        broken = month == self.world.broken
        made = []
        for answer, took, chance in zip(answers, seconds, luck, strict=True):
            if chance < (0.5 if broken else ERRORS):
                made.append(Served(None, "TimeoutError: no answer from the model's process", 5.0))
            else:
                made.append(Served(answer.value, None, took * 8 if broken else took))
        return made

    def history(self, loop: str) -> list[Event]:
        """Labelled requests from before the year, as another system kept them."""
        events = []
        a_day = round(self.world.units * (1 + AGAIN) * LABELLED / 30)
        for back in range(HISTORY, 0, -1):
            day = START - back * DAY
            for at, film in enumerate(self.world.films(a_day, day.date(), "before")):
                ts = to_us(day) + at * 1_000_000
                ident, unit = f"before-{day:%Y%m%d}-{at:04}", f"user-{(at * 61 + back) % 20_000:05}"
                events.append(Event(
                    ident, loop, "interaction", ts, received=ts, unit=unit, choice=ident,
                    input=dumps(film.input),
                ))
                events.append(outcome(loop, ident, "genre", film.genre, ts=ts, received=ts + 3_600_000_000))
        return events

    def golden(self, n: int = 2_400) -> list[dict[str, Any]]:
        """Films of the year before, filed by the editors with care: what no model may learn."""
        items: list[dict[str, Any]] = []
        for month in range(1, 11):
            for film in self.world.films(n // 10, date(YEAR - 1, month, 15), "golden"):
                half = f"{YEAR - 1}, first half" if month <= 5 else f"{YEAR - 1}, second half"
                items.append({
                    "id": f"film-{len(items):04}", "input": film.input, "target": film.genre,
                    "genre": film.genre, "cohort": half,
                })
        return items


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=START.tzinfo)


@lru_cache(maxsize=4)
def _calendar(world: World, year: int, month: int) -> dict[int, list[str]]:
    """Who asks on which day of a month: `units` users, some of them twice."""
    rng = world.rng(f"calendar/{year}-{month}")
    days = (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days
    users = rng.choice(world.units * POOL, size=world.units, replace=False)
    twice = rng.choice(users, size=round(world.units * AGAIN), replace=False)
    found: dict[int, list[str]] = defaultdict(list)
    for user in [*users.tolist(), *twice.tolist()]:
        found[int(rng.integers(1, days + 1))].append(f"user-{user:05}")
    return found
