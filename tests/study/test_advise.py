# SPDX-License-Identifier: Apache-2.0
"""Advice: each honest answer is reached, on a past that deserves it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup import Loop, Spend
from trueup.evaluate import Accuracy
from trueup.release import Full, Shadow
from trueup.store import Ledger
from trueup.study import Advice, advise

DAY = timedelta(days=1)
Make = Callable[..., Loop]
Past = Callable[..., Ledger]


def asked(ledger: Ledger, loop: Loop, **how: Any) -> Advice:
    with ledger:
        return advise(loop, ledger, windows=[10 * DAY, None], ages=(0, 7, 14), test=5 * DAY, isolate=False, **how)


def test_trg_09_retrain_where_models_age(tmp_path: Path, make: Make, past: Past) -> None:
    """TRU-08, TRG-09, TRG-10, TRG-12: windows and ages on the latest rows; seconds, energy, money; floors."""
    found = asked(past(tmp_path / "home", moves=25), make(), watts=60.0, worth=1.0)
    assert found.verdict == "retrain"
    assert found.every == 3, "a model of 7 days has learned mostly old words: half of that"
    assert found.window == "10 d", "all history is half of another world"
    assert found.gain > 0.2
    assert found.kwh == pytest.approx(found.seconds * 60 / 3.6e6)
    assert found.money == pytest.approx(found.seconds / 100)
    assert {(cell.window, cell.age) for cell in found.cells} >= {("10 d", 0), ("10 d", 14), ("all", 14)}
    floors, days = zip(*found.thresholds, strict=True)
    assert list(floors) == sorted(floors, reverse=True)
    assert all(0 < one < 60 for one in days)
    assert "every 3 days" in found.lines()[0]
    json.dumps(found.to_json())


def test_trg_11_a_stable_domain_needs_no_retraining(tmp_path: Path, make: Make, past: Past) -> None:
    """TRG-11."""
    found = asked(past(tmp_path / "home", moves=None, a_day=150), make(), gain=0.05)
    assert found.verdict == "do not retrain: stable domain"
    assert found.every is None


def test_trg_11_what_costs_more_than_it_is_worth_is_not_done(tmp_path: Path, make: Make, past: Past) -> None:
    """TRG-11, TRG-10."""
    found = asked(past(tmp_path / "home", moves=25), make(price=Spend(1e6, "EUR")), worth=1e-6)
    assert found.verdict == "do not retrain: too expensive"
    assert "are worth" in " ".join(found.why)


def test_trg_11_without_a_reliable_evaluation_it_is_too_risky(tmp_path: Path, make: Make, past: Past) -> None:
    """TRG-11: no gate that carries the promise; or one that cannot end in time."""
    for name, release in (("none", []), ("late", [Shadow(Accuracy(), no_worse_by=0.02, max_time=2 * DAY), Full()])):
        found = asked(past(tmp_path / name, moves=25), make(release=release))
        assert found.verdict == "do not retrain yet: too risky without a reliable evaluation"


def test_what_the_rows_do_not_tell_is_said(tmp_path: Path, make: Make, past: Past) -> None:
    """TRU-08: neither "stable" nor "retrain" on rows that show neither."""
    found = asked(past(tmp_path / "home", moves=None), make(), gain=0.0001)
    assert found.verdict in ("cannot tell", "retrain")
    assert found.verdict != "do not retrain: stable domain"
