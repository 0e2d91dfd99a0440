# SPDX-License-Identifier: Apache-2.0
"""The news world: companies and what is true of them, week by week. Seeded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from trueup.lab.news.words import (
    ATTRIBUTES,
    CITIES,
    FIRST,
    LAST,
    PHRASINGS,
    PRODUCTS,
    SYLLABLES,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday: the first day of week 1."""
WEEK, DAY = timedelta(days=7), timedelta(days=1)
FOUNDING = "founding"


def begins(week: int) -> datetime:
    """The first moment of a week; week 1 is the first."""
    return START + (week - 1) * WEEK


def cohort_name(week: int) -> str:
    return f"week {week}" if week else FOUNDING


@dataclass(frozen=True, slots=True)
class Fact:
    """What is true of a company since a period (0: since before the world began)."""

    company: str
    attribute: str
    answer: str
    since: int
    company_since: int

    @property
    def held_out(self) -> int:
        """Which of the five phrasings is golden: never trained on."""
        return zlib.crc32(f"{self.company}/{self.attribute}".encode()) % 5

    @property
    def golden(self) -> str:
        return self.asked(self.held_out)

    @property
    def taught(self) -> list[str]:
        """The four phrasings that may train."""
        return [self.asked(at) for at in range(5) if at != self.held_out]

    def asked(self, phrasing: int) -> str:
        return PHRASINGS[self.attribute][phrasing].format(self.company)

    @property
    def cohort(self) -> str:
        """The week in which the company came."""
        return cohort_name(self.company_since)

    def item(self) -> dict[str, Any]:
        """The fact as a golden item."""
        return {
            "id": f"{self.company}/{self.attribute}", "input": self.golden, "target": self.answer,
            "cohort": self.cohort, "age": self.cohort if not self.company_since else "weekly",
        }


@dataclass(frozen=True)
class World:
    """`companies` known from the beginning with three facts each; in each of the weeks `news`,
    `arrive` new ones come and `change` of the first ones get another chief executive.

    `readers` ask so many questions a day. In the week `flood` (None: never) one account files false
    answers to the questions on `lies` companies. What is newly deployed from the week `broken` on
    fails half of the requests. `steps` are those of the base model's training.
    """

    seed: int = 7
    companies: int = 200
    arrive: int = 20
    change: int = 10
    news: tuple[int, ...] = (2, 3, 4)
    readers: int = 300
    flood: int | None = 3
    lies: int = 100
    broken: int | None = 5
    steps: int = 350

    def facts(self, period: int) -> list[Fact]:
        """All that is true in a period, by company."""
        found = {}
        for at in (0, *(one for one in self.news if one <= period)):
            for fact in self.told(at):
                found[fact.company, fact.attribute] = fact
        return list(found.values())

    def told(self, period: int) -> list[Fact]:
        """What becomes true in a period: the facts of new companies, then changed ones."""
        return self._told.get(period, [])

    @cached_property
    def names(self) -> list[str]:
        """Names of companies, all different, of three syllables each."""
        rng = self.rng("names")
        n = len(SYLLABLES)
        chosen = rng.choice(n**3, size=self.companies + self.arrive * len(self.news), replace=False)
        return [
            (SYLLABLES[at // n // n] + SYLLABLES[at // n % n] + SYLLABLES[at % n]).title() for at in chosen.tolist()
        ]

    @cached_property
    def _told(self) -> dict[int, list[Fact]]:
        made: dict[int, list[Fact]] = {}
        names = iter(self.names)
        heads: dict[str, str] = {}
        changed = self.rng("changed").permutation(self.companies)
        for at, period in enumerate((0, *self.news)):
            rng = self.rng(f"told/{period}")
            facts = []
            for _ in range(self.companies if not period else self.arrive):
                name = next(names)
                heads[name] = _person(rng)
                answers = (heads[name], _one(rng, CITIES), _one(rng, PRODUCTS))
                facts += [Fact(name, of, said, period, period) for of, said in zip(ATTRIBUTES, answers, strict=True)]
            if period:
                for place in changed[(at - 1) * self.change : at * self.change].tolist():
                    name = self.names[place]
                    heads[name] = _person(rng, heads[name])
                    facts.append(Fact(name, "ceo", heads[name], period, 0))
            made[period] = facts
        return made

    def rng(self, salt: str) -> np.random.Generator:
        """Random numbers of their own for a purpose."""
        return np.random.default_rng([self.seed, *salt.encode()])


def _one(rng: np.random.Generator, words: list[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _person(rng: np.random.Generator, other_than: str = "") -> str:
    name = f"{_one(rng, FIRST)} {_one(rng, LAST)}"
    return _person(rng, other_than) if name == other_than else name
