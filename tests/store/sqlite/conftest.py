# SPDX-License-Identifier: Apache-2.0
"""A ledger whose journal is a SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trueup.core import ManualClock
from trueup.store import Ledger


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=clock) as opened:
        yield opened
