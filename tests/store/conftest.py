# SPDX-License-Identifier: Apache-2.0
"""A ledger in a folder of its own, and events to put in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from trueup.core import Event, ManualClock
from trueup.store import Ledger


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=clock) as opened:
        yield opened


@pytest.fixture
def asked() -> Callable[..., Event]:
    def make(ident: str, ts: int = 10, **more: Any) -> Event:
        fields = {"unit": "u", "input": '"in"', "output": '"out"', "candidate": "c-1", "arm": "champion"}
        return Event(id=ident, loop="l", kind="interaction", ts=ts, **{**fields, **more})

    return make
