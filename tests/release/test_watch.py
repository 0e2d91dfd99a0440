# SPDX-License-Identifier: Apache-2.0
"""Business outcomes and errors, watched at a stated rate whoever serves (MON-02, MON-04)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from trueup.alerts import alert, raised
from trueup.cli._main import trueup
from trueup.core.errors import ArgumentError, UnknownName
from trueup.core.task import Outcome
from trueup.loop import run, status, why
from trueup.loop.check import check
from trueup.loop.plan import plan
from trueup.loop.status import lines
from trueup.monitor import cycle_drift
from trueup.release import AB, accept
from trueup.testing import check_trigger
from trueup.testing.conformance import QuietFacts
from trueup.triggers import Business, Errors, Falls

from .test_ab import CLICK
from .test_explained import loop_of, stand_in

DAY = timedelta(days=1)
START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
REVENUE = Outcome.number("revenue", low=0, high=200, within=DAY, absent=0)
WATCH = Business(CLICK, first=DAY, season=None, least=100, recent=200)
LONG = AB(CLICK, no_worse_by=0.05, units=10**6, min_time=50 * DAY, max_time=60 * DAY)


def weeks(rng: Any, n: int, days: float, *, drop: float = 1.0, after: float = 1e9) -> tuple[list[float], list[datetime]]:
    """n conversions spread over the days: .30 on working days, .15 on weekends, times `drop` after a day."""
    at = np.sort(rng.random(n)) * days
    rate = np.where(at.astype(int) % 7 >= 5, 0.15, 0.30) * np.where(at >= after, drop, 1.0)
    return (rng.random(n) < rate).astype(float).tolist(), [START + timedelta(days=float(one)) for one in at]


class Shop(QuietFacts):
    """Facts of a shop."""

    def __init__(self, values: Sequence[float], known: Sequence[datetime], rate: float = 1.0) -> None:
        self.values, self.known, self.false_alarms_per_year = values, known, rate

    def served(self, outcome: Outcome | None, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        return self.values, self.known


def alarms(reps: int, seed: int, season: Any, rate: float) -> int:
    """How many of so many calm shops of half a year alarm, 3,000 requests each, 4 weeks of reference."""
    rng = np.random.default_rng(seed)
    watch = Business(CLICK, season=season, recent=300)
    return sum(watch.look(Shop(*weeks(rng, 3_000, 182), rate=rate)).holds for _ in range(reps))


def test_mon_04_calm_streams_stay_at_their_rate_and_a_week_that_is_not_told_apart_does_not() -> None:
    """150 shops of 154 days after their reference, at .5 a year: at most .21 of them may alarm, two standard
    errors more; seed 1. The control compares a weekend with all days: 12 shops at .1 a year (.017 each), seed 2."""
    calm = alarms(150, 1, "week", 0.5)
    assert calm <= 150 * 0.21 + 2 * (150 * 0.21 * 0.79) ** 0.5, calm
    rng = np.random.default_rng(2)
    found = {"week": 0, None: 0}
    for _ in range(12):
        values, known = weeks(rng, 20_000, 90)
        for season in found:
            found[season] += cycle_drift(values, known, first=6_000, season=season, recent=300, false_alarms_per_year=0.1).alarm  # type: ignore[arg-type]
    assert found["week"] <= 1, found
    assert found[None] >= 6, found


def test_a_drop_is_found_in_its_own_units_and_a_tolerance_is_kept() -> None:
    rng = np.random.default_rng(3)
    values, known = weeks(rng, 20_000, 90, drop=0.5, after=60)
    found = Business(CLICK).look(Shop(values, known))
    assert found.holds
    assert "trueup alerts accept business:click" in found.reason
    assert found.evidence["reference"]["mean"] == pytest.approx(0.257, abs=0.02)
    assert found.evidence["recent"] == pytest.approx(0.13, abs=0.03)
    assert not Business(CLICK, by=0.2).look(Shop(values, known)).holds
    money = Business(REVENUE, by=1.0).look(Shop([one * 0.2 for one in values], known))
    assert money.holds
    assert money.evidence["reference"]["mean"] == pytest.approx(0.257 * 40, abs=0.8)


def test_a_share_of_errors_that_rises_is_found() -> None:
    """MON-02: failing requests, whoever served them."""
    rng = np.random.default_rng(4)
    at = [START + timedelta(minutes=10 * one) for one in range(4_000)]
    fine = [float(rng.random() > (0.01 if one < 3_000 else 0.06)) for one in range(4_000)]
    found = Errors().look(Shop(fine, at))
    assert found.holds
    assert "errors 0.0" in found.reason
    assert not Errors().look(Shop(fine[:3_000], at[:3_000])).holds


@pytest.mark.parametrize("watch", [Business(CLICK), Business(REVENUE, by=2.0, season="day"), Errors(), WATCH])
def test_a_watch_keeps_the_contract_of_a_trigger(watch: Any) -> None:
    check_trigger(watch)


def test_mon_04_a_drop_while_a_release_runs_alerts_people_until_one_accepts_it(tmp_path: Path) -> None:
    """An A/B is running; conversion falls in both arms. It is seen, told once with its command, shown by
    status and why, trains nothing, and counts afresh once a person has accepted it."""
    stand = stand_in(tmp_path)
    loop = loop_of(stand, LONG, watch=[WATCH, Errors(first=DAY)])
    assert [one for one in check(loop) if one.severe and one.where == "watch"] == []

    def day(rate: float) -> None:
        stand.visit(400, {"champion": rate, "challenger": rate})
        list(run(loop, stand.ledger))
        alert(stand.ledger, loop.name, loop.alerts)

    stand.offer()
    list(run(loop, stand.ledger))
    for _ in range(4):
        day(0.4)
    assert not [one for one in raised(stand.ledger, loop.name) if one["kind"] == "alarm"]
    for _ in range(3):
        day(0.25)
    assert stand.state.release is not None
    told = [one for one in raised(stand.ledger, loop.name) if one["kind"] == "alarm"]
    assert len(told) == 1
    assert "click" in told[0]["what"]
    assert told[0]["command"].startswith("trueup why ")
    assert [one.kind for one in stand.ledger.decisions(loop.name) if one.kind == "train"] == []
    shown = "\n".join(lines(status(stand.ledger, loop.name)))
    assert "ALARM business: click" in shown
    assert any("x watch" in line for line in why(stand.ledger, told[0]["command"].split()[-1]).lines)
    assert any(found.holds for _, found in plan(loop, stand.ledger).look.watch)
    home = str(stand.ledger.home)
    done = CliRunner().invoke(trueup, ["--home", home, "alerts", "accept", "business:click", "-m", "a new price", "--as", "eve", "--json"])
    assert json.loads(done.stdout)["reason"] == "business:click is accepted: a new price"
    with pytest.raises(UnknownName, match="detector"):
        accept(stand.ledger, loop.name, "business:clicks", reason="no")
    for _ in range(4):
        day(0.25)
    assert len([one for one in raised(stand.ledger, loop.name) if one["kind"] == "alarm"]) == 1
    stand.ledger.close()


def test_what_cannot_be_watched_is_told(tmp_path: Path) -> None:
    stand = stand_in(tmp_path)
    loop = loop_of(stand, LONG, watch=[Business(REVENUE), WATCH, WATCH])
    found = [one.what for one in check(loop) if one.where == "watch"]
    assert any("not among the outcomes" in one for one in found)
    assert any("stands twice" in one for one in found)
    with pytest.raises(ArgumentError, match="week"):
        Business(CLICK, first=DAY)
    with pytest.raises(ArgumentError, match="boolean or a number"):
        Business(Outcome.of_input("label"))
    Falls(CLICK, 0.2)
    stand.ledger.close()
