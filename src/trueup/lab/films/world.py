# SPDX-License-Identifier: Apache-2.0
"""The films world: descriptions of films and their genres, as they change over a year. Seeded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import numpy as np

from trueup.lab.films.words import CLASSIC, GENRES, PLAIN, SYLLABLES, WAVE

YEAR = 2025
START = datetime(YEAR, 1, 1, tzinfo=UTC)
END = datetime(YEAR + 1, 1, 1, tzinfo=UTC)

OWN, OTHER = 0.28, 0.05          # shares of a description's words: of its genre, of another one
SLIPS = 0.05                     # films that the editors file under another genre
FAMOUS = 0.35                    # films with a star who is known for the genre
NAMES = 3                        # actors who become known for a genre each month
KNOWN = 24                       # months for which an actor is cast
BEFORE = KNOWN + 3               # months of actors before the year begins


@dataclass(frozen=True, slots=True)
class Film:
    """What a request asks about, and what the catalogue's editors will say of it."""

    input: dict[str, str]
    genre: str


@dataclass(frozen=True, slots=True)
class World:
    """What happens in the year, by month (1 to 12; None: it does not happen).

    `wave` is the month from which `wave_share` of the films are told in new words. `flood` is the
    month in which one account sends as many labelled rows as make a third of a window, all of them
    films of `flood_from` that it files under `flood_to`. `broken` is the month in which what is newly
    deployed fails half of the requests that users send it, and is slow with the rest.
    """

    seed: int = 7
    units: int = 5_000
    wave: int | None = 2
    wave_share: float = 0.5
    flood: int | None = 4
    flood_from: str = "horror"
    flood_to: str = "romance"
    broken: int | None = 9

    def films(self, n: int, on: date, salt: str, genre: str | None = None) -> list[Film]:
        """`n` films that are asked about on a day; the same arguments give the same films."""
        rng = self.rng(f"{salt}/{on.isoformat()}")
        month = (on.year - YEAR) * 12 + on.month
        told = rng.integers(len(GENRES), size=n) if genre is None else np.full(n, GENRES.index(genre))
        wave = np.zeros(n, dtype=bool)
        if self.wave is not None and month >= self.wave:
            wave = rng.random(n) < self.wave_share
        texts = _texts(rng, told, wave)
        stars = _names()[_known(rng, month, n), _role(rng, told), rng.integers(NAMES, size=n)]
        slips = rng.random(n) < SLIPS
        filed = np.where(slips, (told + rng.integers(1, len(GENRES), size=n)) % len(GENRES), told)
        return [
            Film({"description": text, "starring": str(star)}, GENRES[at])
            for text, star, at in zip(texts, stars, filed.tolist(), strict=True)
        ]

    def rng(self, salt: str) -> np.random.Generator:
        """Random numbers of their own for a purpose."""
        return np.random.default_rng([self.seed, *salt.encode()])


def _texts(rng: np.random.Generator, told: Any, wave: Any) -> list[str]:
    """One description a film: plain words, words of its genre, and some of another one."""
    lengths = rng.integers(14, 23, size=len(told))
    film = np.repeat(np.arange(len(told)), lengths)
    kind = rng.random(len(film))
    other = (told[film] + rng.integers(1, len(GENRES), size=len(film))) % len(GENRES)
    genre = np.where(kind < OWN, told[film], other)
    own, new, plain = _vocabulary()
    words = plain[rng.integers(len(plain), size=len(film))]
    speaks = kind < OWN + OTHER
    place = rng.integers(1 << 30, size=len(film))
    words = np.where(speaks, own[genre, place % own.shape[1]], words)
    words = np.where(speaks & wave[film], new[genre, place % new.shape[1]], words)
    return [" ".join(part) for part in np.split(words, np.cumsum(lengths)[:-1])] if len(told) else []


def _role(rng: np.random.Generator, told: Any) -> Any:
    """The genre that each film's star is known for: the film's own, or any."""
    any_genre = rng.integers(len(GENRES), size=len(told))
    return np.where(rng.random(len(told)) < FAMOUS, told, any_genre)


def _known(rng: np.random.Generator, month: int, n: int) -> Any:
    """The month in which each film's star became known: any of the last `KNOWN` ones."""
    return month + BEFORE - rng.integers(KNOWN, size=n)


@cache
def _vocabulary() -> tuple[Any, Any, Any]:
    def table(words: dict[str, str]) -> Any:
        rows = [words[genre].split() for genre in GENRES]
        return np.array([row[: min(map(len, rows))] for row in rows], dtype=object)

    return table(CLASSIC), table(WAVE), np.array(PLAIN.split(), dtype=object)


@cache
def _names() -> Any:
    """(months, genres, names) of made-up actors, by the month in which they became known."""
    rng = np.random.default_rng(0)
    parts = rng.integers(len(SYLLABLES), size=(BEFORE + 13, len(GENRES), NAMES, 5))
    names = np.empty(parts.shape[:3], dtype=object)
    for place in np.ndindex(*names.shape):
        a, b, c, d, e = (SYLLABLES[at] for at in parts[place])
        names[place] = f"{a}{b} {c}{d}{e}".title()
    return names
