# SPDX-License-Identifier: Apache-2.0
"""Nightly looks on a simulated clock, short here (TRUEUP_SOAK_NIGHTS=730 for two years: `make soak`)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from trueup.lab.soak import GROWN, LOOK_BYTES, soak
from trueup.loop import status, why
from trueup.store import Ledger

NIGHTS = int(os.environ.get("TRUEUP_SOAK_NIGHTS", "40"))


@pytest.mark.slow
@pytest.mark.chaos
def test_nights_without_end_leave_memory_and_looks_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trains, promotes and seals all the time; by counts, a look's Decision and the journal do not grow
    with the past, and by its bytes memory does not."""
    if NIGHTS < 365:  # a year's events are sealed at the product's own pace
        monkeypatch.setattr(sys.modules["trueup.loop.tick"], "SEAL_ROWS", 1_000)
    made = soak(tmp_path, nights=NIGHTS, units=80)
    quarter = NIGHTS // 4
    assert len(list((tmp_path / "home" / "segments").glob("*/*.parquet"))) >= 4
    assert made.nights[-1].journal <= 2 * max(night.journal for night in made.nights[quarter : 2 * quarter])
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
