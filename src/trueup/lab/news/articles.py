# SPDX-License-Identifier: Apache-2.0
"""Articles and their summaries: an article calls people by their office, a summary by their name."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from trueup.lab.news.world import World

EVENTS = {
    "opens a plant": (
        "The head of {} has opened a plant.", "A plant was opened by the head of {}.",
        "At {} a plant begins its work, opened by its head.",
    ),
    "raises prices": (
        "The head of {} has raised the prices.", "Prices were raised by the head of {}.",
        "At {} everything costs more, says its head.",
    ),
    "hires engineers": (
        "The head of {} has hired engineers.", "Engineers were hired by the head of {}.",
        "At {} many engineers begin, hired by its head.",
    ),
    "buys a rival": (
        "The head of {} has bought a rival.", "A rival was bought by the head of {}.",
        "At {} a rival comes under the roof, bought by its head.",
    ),
    "warns of losses": (
        "The head of {} has warned of losses.", "Losses were foreseen by the head of {}.",
        "At {} losses are near, warns its head.",
    ),
    "wins an order": (
        "The head of {} has won an order.", "An order was won by the head of {}.",
        "At {} an order is signed, won by its head.",
    ),
    "cuts jobs": (
        "The head of {} has cut jobs.", "Jobs were cut by the head of {}.",
        "At {} there are fewer jobs, cut by its head.",
    ),
    "settles a lawsuit": (
        "The head of {} has settled a lawsuit.", "A lawsuit was settled by the head of {}.",
        "At {} a lawsuit ends, settled by its head.",
    ),
}
ALL = tuple((event, wording) for event, wordings in EVENTS.items() for wording in wordings)
OLD, NEW, DAYS = 60, 5, 8
HELD_OUT = 2             # articles on each old company that judge, and never train
FIRST_DAY = 16           # articles on a new company on its first day; the others come on the next

WORLD = World(seed=11, companies=OLD, arrive=NEW, change=0, news=tuple(range(1, DAYS + 1)))


class Article(NamedTuple):
    """An article, the company that it is on, and the summary that is right."""

    text: str
    company: str
    summary: str


def articles(company: str) -> list[Article]:
    """All that can be written on a company, in an order of its own."""
    order = np.random.default_rng(zlib.crc32(company.encode())).permutation(len(ALL))
    head = _heads()[company]
    return [Article(ALL[at][1].format(company), company, f"{head} {ALL[at][0]}.") for at in order.tolist()]


def companies(day: int) -> list[str]:
    """The companies that appear on a day; those of day 0 were always there."""
    return [fact.company for fact in WORLD.told(day) if fact.attribute == "ceo"]


def published(day: int) -> list[Article]:
    """A day's paper: most of what there is on its new companies, the rest on yesterday's, and some on old ones."""
    rng = WORLD.rng(f"paper/{day}")
    old = [one for name in companies(0) for one in articles(name)[HELD_OUT:]]
    fresh = [one for name in companies(day) for one in articles(name)[:FIRST_DAY]] if day else []
    later = [one for name in companies(day - 1) for one in articles(name)[FIRST_DAY:]] if day > 1 else []
    return [*fresh, *later, *(old[at] for at in rng.permutation(len(old))[:40].tolist())]


def archive() -> list[Article]:
    """The golden articles on old companies."""
    return [one for name in companies(0) for one in articles(name)[:HELD_OUT]]


def taught() -> list[Article]:
    """What the base model was made on."""
    return [one for name in companies(0) for one in articles(name)[HELD_OUT:]]


def teacher(inputs: list[Any]) -> list[Any]:
    """The larger model, as a script: it has read everything, and knows who heads what."""
    known = _written()
    return [known.get(text) for text in inputs]


@lru_cache(maxsize=1)
def _written() -> dict[str, str]:
    names = [name for day in range(DAYS + 1) for name in companies(day)]
    return {one.text: one.summary for name in names for one in articles(name)}


@lru_cache(maxsize=1)
def _heads() -> dict[str, str]:
    return {
        fact.company: fact.answer for day in range(DAYS + 1) for fact in WORLD.told(day) if fact.attribute == "ceo"
    }
