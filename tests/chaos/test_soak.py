# SPDX-License-Identifier: Apache-2.0
"""Nightly looks on a simulated clock, short here (TRUEUP_SOAK_NIGHTS=730 for two years: `make soak`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trueup.lab.soak import GROWN, LOOK_BYTES, soak
from trueup.loop import status, why
from trueup.store import Ledger

NIGHTS = int(os.environ.get("TRUEUP_SOAK_NIGHTS", "40"))


@pytest.mark.slow
@pytest.mark.chaos
def test_nights_without_end_leave_memory_and_looks_as_they_were(tmp_path: Path) -> None:
    """It trains and promotes all the time, and a look's Decision does not grow with its past."""
    made = soak(tmp_path, nights=NIGHTS, units=80)
    assert len(made.nights) == NIGHTS + 1
    assert made.trainings >= 2
    assert made.promotions >= 2
    assert made.grown <= GROWN
    assert 500 < made.look_bytes <= LOOK_BYTES
    assert made.last_look_bytes <= LOOK_BYTES
    with Ledger.open(tmp_path / "home", create=False) as ledger:
        assert [one for one in ledger.doctor() if one.level == "error"] == []
        assert status(ledger, "soak").generation == made.decisions + _approvals(ledger)
        looks = ledger.decisions("soak", kind="look", newest=True, limit=3)
        assert all(why(ledger, one.id).matches for one in looks)
        assert all(one.evidence["parameters"]["state"]["tests"] == [] for one in looks)


def _approvals(ledger: Ledger) -> int:
    return len(ledger.decisions("soak", kind="approve"))
