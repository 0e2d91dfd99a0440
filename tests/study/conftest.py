# SPDX-License-Identifier: Apache-2.0
"""A past of labelled sentences whose words change meaning half-way, and loops to live through it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup import Loop, Outcome, Risk, Spend, Task
from trueup.core.clock import ManualClock, to_us
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.release import Full, Shadow
from trueup.store import Ledger
from trueup.testing import toy_rows
from trueup.train import Sklearn
from trueup.triggers import Cron, Rows

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
KIND = Outcome.of_input("kind", within=DAY)


def _make(**changes: Any) -> Loop:
    parts: dict[str, Any] = {
        "name": "toys", "task": Task("sentence", "kind", "user"), "outcomes": [KIND], "look": Cron("0 0 * * *"),
        "when": [Rows(1_000)], "recipe": Recipe(window=14 * DAY, min_rows=100), "trainer": Sklearn("logistic"),
        "release": [Shadow(Accuracy(), no_worse_by=0.05, max_time=20 * DAY), Full()], "price": Spend(36, "EUR"), "risk": Risk(), **changes,
    }
    return Loop(**parts)


def _past(
    home: Path, *, days: int = 40, a_day: int = 60, moves: int | None = 20, delay: timedelta = timedelta(hours=20),
    noise: float = 0.15, labelled: float = 1.0,
) -> Ledger:
    """`a_day` sentences a day; after `moves` days other words are used; each label comes `delay` later."""
    ledger = Ledger.open(home, clock=ManualClock(START + 400 * DAY))
    n, before = days * a_day, (days if moves is None else moves) * a_day
    rows = [*toy_rows(before), *(toy_rows(n - before, seed=1, moved=True) if n > before else [])]
    events = []
    for at, (given, kind) in enumerate(rows):
        ts = to_us(START) + at * 86_400_000_000 // a_day
        known = ts + int(delay.total_seconds() * 1e6)
        events.append(Event(f"i{at:05d}", "toys", "interaction", ts, received=ts, unit=f"u{at}", choice=f"i{at:05d}", input=dumps(given)))
        if (at * 0.618) % 1.0 < labelled:
            events.append(outcome("toys", f"i{at:05d}", "kind", kind, ts=known, received=known))
    ledger.append(events)
    return ledger


@pytest.fixture
def make() -> Callable[..., Loop]:
    """`make(**changes)`: a loop over the toy world."""
    return _make


@pytest.fixture
def past() -> Callable[..., Ledger]:
    """`past(home, days=40, moves=20, ...)`: the ledger of a logged past."""
    return _past


@pytest.fixture(scope="module")
def loop_of() -> Callable[..., Loop]:
    """`make`, for fixtures of a whole module."""
    return _make


@pytest.fixture(scope="module")
def past_of() -> Callable[..., Ledger]:
    """`past`, for fixtures of a whole module."""
    return _past
