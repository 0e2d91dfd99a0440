# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import ManualClock, to_us
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.store import Ledger

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOW_US = to_us(NOW)
DAY_US = 86_400_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=ManualClock(NOW)) as opened:
        yield opened


Log = Callable[..., None]


@pytest.fixture
def log(ledger: Ledger) -> Log:
    """Log requests with labels: `log(n, days=3, ...)` puts n rows three days before now."""
    return lambda *args, **kwargs: log_rows(ledger, *args, **kwargs)


def log_rows(
    ledger: Ledger,
    n: int,
    *,
    days: float = 1.0,
    known_days: float | None = None,
    text: str = "a film about {n}",
    label: Callable[[int], Any] = lambda n: "drama" if n % 2 else "comedy",
    unit: str = "u{n}",
    prefix: str = "r",
    loop: str = "films",
    **fields: Any,
) -> None:
    events = []
    for k in range(n):
        ident = f"{prefix}-{days:g}-{k}"
        ts = NOW_US - int(days * DAY_US) - n + k
        known = ts if known_days is None else NOW_US - int(known_days * DAY_US)
        fact = Event(
            ident, loop, "interaction", ts, unit=unit.format(n=k), choice=ident,
            input=dumps(text.format(n=f"{prefix}{k}")), output=dumps("drama"),
        )  # fmt: skip
        events.append(fact._replace(**fields))
        said = label(k)
        if said is not None:
            events.append(outcome(loop, ident, "genre", said, ts=known, received=known, unit=unit.format(n=k)))
    ledger.append(events)
