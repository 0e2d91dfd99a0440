# SPDX-License-Identifier: Apache-2.0
"""A toy world: an application that sorts sentences, whose words change meaning when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.client import Choice, Client
from trueup.core.clock import ManualClock, to_us
from trueup.core.json import dumps

if TYPE_CHECKING:
    from trueup.core.events import Event

KINDS = ("animal", "plant", "stone")


def sentence(rng: np.random.Generator, kind: int, *, moved: bool = False, noise: float = 0.15) -> str:
    """Six words, most of them of the kind's own vocabulary of 20; `moved` takes another one."""
    own = kind + (len(KINDS) if moved else 0)
    kinds = np.where(rng.random(6) < noise, rng.integers(0, len(KINDS), 6), own)
    return " ".join(f"w{at}x{word}" for at, word in zip(kinds, rng.integers(0, 20, 6), strict=True))


class ToyTraffic:
    """`units_a_day` units, each with `requests` requests; the label of a share comes after `delay`.

    After `moves` new sentences use new words. `serve(choice, answer)` may change what an arm does
    in production: return (output, error, seconds).
    """

    def __init__(
        self, seed: int = 0, *, units_a_day: int = 100, requests: int = 1, labelled: float = 0.5,
        delay: timedelta = timedelta(hours=6), moves: datetime | None = None,
        serve: Callable[[Choice, Any], tuple[Any, str | None, float]] | None = None,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.units_a_day, self.requests, self.labelled, self.delay = units_a_day, requests, labelled, delay
        self.moves, self.serve = moves, serve
        self._due: list[tuple[datetime, str, str, str]] = []
        self._units = 0

    def play(self, client: Client, clock: ManualClock, until: datetime) -> None:
        gap = timedelta(days=1) / self.units_a_day
        while clock.now() + gap <= until:
            clock.advance(gap)
            self._settle(client, clock.now())
            self._one(client, clock.now())

    def _one(self, client: Client, now: datetime) -> None:
        self._units += 1
        unit = f"u{self._units}"
        for _ in range(self.requests):
            kind = int(self.rng.integers(0, len(KINDS)))
            given = sentence(self.rng, kind, moved=self.moves is not None and now >= self.moves)
            choice = client.choose(unit)
            answer = client.load(choice).predict([given])[0].value
            output, error, seconds = answer, None, 0.01
            if self.serve is not None:
                output, error, seconds = self.serve(choice, answer)
            client.log(choice, given, output, error=error, seconds=seconds)
            if self.rng.random() < self.labelled:
                self._due.append((now + self.delay, choice.id, KINDS[kind], unit))

    def _settle(self, client: Client, now: datetime) -> None:
        while self._due and self._due[0][0] <= now:
            _, ident, kind, _ = self._due.pop(0)
            client.feedback(ident, "kind", kind)


def toy_rows(n: int, seed: int = 0, *, moved: bool = False) -> list[tuple[str, str]]:
    """Labelled sentences: (input, target)."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, len(KINDS), n)
    return [(sentence(rng, int(kind), moved=moved), KINDS[kind]) for kind in kinds]


def toy_history(loop: str, rows: Sequence[tuple[str, str]], before: datetime, *, days: int = 30) -> list[Event]:
    """Labelled interactions spread over the days before a moment, as an import would bring them."""
    from trueup.core.events import Event, outcome

    made: list[Event] = []
    for at, (given, target) in enumerate(rows):
        ts = to_us(before - timedelta(days=days) * (1 - at / len(rows)))
        ident = f"history-{at}"
        made.append(Event(
            ident, loop, "interaction", ts, received=ts, unit=f"h{at}", choice=ident, input=dumps(given),
        ))
        made.append(outcome(loop, ident, "kind", target, ts=ts, received=ts))
    return made
