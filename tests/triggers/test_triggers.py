# SPDX-License-Identifier: Apache-2.0
"""Triggers and conditions, on facts that a test makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.core.money import Spend
from trueup.core.task import Outcome
from trueup.testing import check_trigger
from trueup.testing.conformance import QuietFacts
from trueup.triggers import Alert, Cron, Falls, Feedback, Manual, NewData, NothingNew, Rows
from trueup.triggers.schedule import period

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
THUMBS = Outcome.boolean("thumbs_up", within=timedelta(days=1))


class Facts(QuietFacts):
    """Facts as a test wants them."""

    now = NOW

    def __init__(self, **known: Any) -> None:
        self.known = known
        self.last_trained = known.get("last_trained")
        self.false_alarms_per_year = known.get("rate", 1.0)

    def rows(self, *, new: bool = False) -> int:
        return int(self.known.get("rows", 0))

    def outcomes(self, name: str, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        return self.known.get("outcomes", ([], []))  # type: ignore[no-any-return]

    def signals(self, name: str, since: datetime | None = None) -> Sequence[Mapping[str, Any]]:
        return self.known.get(name, ())  # type: ignore[no-any-return]

    def spent(self, currency: str, since: datetime | None = None) -> float:
        return float(self.known.get("spent", 0.0))

    def reference(self, detector: str) -> datetime | None:
        return self.known.get("reference")


@pytest.mark.parametrize("trigger", [
    Cron("@weekly"), Rows(5), NewData(), NothingNew(), Manual(), Falls(THUMBS, 0.8), Spend(1, "EUR"),
    Feedback(THUMBS, above=0.3), Feedback(THUMBS, at_least=5), Alert("client_fault", at_least=3),
])
def test_every_trigger_keeps_the_contract(trigger: Any) -> None:
    check_trigger(trigger)


@pytest.mark.parametrize(("words", "expected"), [
    ("0 2 * * *", "2026-03-03 02:00"), ("nightly", "2026-03-03 02:00"), ("@weekly", "2026-03-08 00:00"),
    ("every sunday night", "2026-03-08 02:00"), ("hourly", "2026-03-02 13:00"),
    ("monthly", "2026-04-01 00:00"), ("daily", "2026-03-03 00:00"),
])
def test_trg_01_schedules_by_cron_and_by_word(words: str, expected: str) -> None:
    assert f"{Cron(words).next(NOW):%Y-%m-%d %H:%M}" == expected


def test_trg_01_time_zones_and_daylight_saving() -> None:
    berlin = Cron("30 2 * * *", tz="Europe/Berlin")
    assert berlin.next(datetime(2026, 1, 5, tzinfo=UTC)) == datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
    skipped = berlin.next(datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert skipped.date().isoformat() == "2026-03-29"
    assert period(Cron("@weekly"), NOW) == timedelta(days=7)


def test_trg_01_missed_looks_count_once_and_say_how_many() -> None:
    assert Cron("@weekly").due(NOW - timedelta(days=30), NOW) == (datetime(2026, 3, 1, tzinfo=UTC), 5)
    assert Cron("@weekly").due(NOW - timedelta(days=1), NOW) is None
    assert Cron("daily").look(Facts(last_trained=NOW - timedelta(days=2))).holds
    assert not Cron("daily").look(Facts(last_trained=NOW - timedelta(minutes=1))).holds


@pytest.mark.parametrize("bad", ["", "61 * * * *", "every blursday", "* * *"])
def test_trg_01_a_bad_schedule_says_what_was_expected(bad: str) -> None:
    with pytest.raises(ArgumentError, match="every sunday night"):
        Cron(bad)
    with pytest.raises(ArgumentError, match="Europe/Berlin"):
        Cron("@weekly", tz="Europe/Nowhere")


def test_trg_04_and_05_rows_and_new_data() -> None:
    """TRG-04, TRG-05."""
    assert not Rows(100).look(Facts(rows=99)).holds
    assert Rows(100).look(Facts(rows=100)).reason == "100 of 100 new rows"
    assert not NewData().look(Facts()).holds
    assert NewData().look(Facts(**{"import": [{"new": 7}, {"new": 0}]})).holds
    assert not NewData().look(Facts(**{"import": [{"new": 0}]})).holds
    assert NothingNew().look(Facts(rows=0)).holds
    assert not NothingNew().look(Facts(rows=1)).holds
    assert NothingNew().look(Facts(rows=9, last_trained=NOW)).reason == "9 new rows"
    assert NothingNew().look(Facts(rows=2_400)).reason == "never trained here: 2,400 rows to learn from"


def test_trg_06_a_person_asks_and_is_named() -> None:
    assert Manual().look(Facts(train=[{"by": "ada (unverified)"}])).reason == "asked for by ada (unverified)"


def test_money_holds_a_training_back() -> None:
    assert Spend(200, "EUR", per="month").look(Facts(spent=200.0)).holds
    found = Spend(200, "EUR", per="month").look(Facts(spent=199.0))
    assert not found.holds
    assert found.reason == "199.00 of 200.00 EUR spent in the last month"


def _stream(rate: float, n: int, seed: int, per_day: float = 100.0) -> tuple[list[float], list[datetime]]:
    rng = np.random.default_rng(seed)
    values = (rng.random(n) < rate).astype(float).tolist()
    start = NOW - timedelta(days=n / per_day)
    return values, [start + timedelta(days=i / per_day) for i in range(n)]


def test_trg_02_falls_fires_on_a_real_fall_and_says_its_evidence() -> None:
    found = Falls(THUMBS, below=0.8).look(Facts(outcomes=_stream(0.6, 1_000, seed=1)))
    assert found.holds
    assert found.evidence["recent"] < 0.8
    assert found.evidence["statistic"] > found.evidence["threshold"]


def test_trg_02_false_alarms_keep_their_stated_rate_at_the_floor_itself() -> None:
    """400 loops of one year, four alarms a year asked for, the mean exactly at the floor: a loop
    that alarms is counted once. A plain "mean of the last 200 below the floor" is the control."""
    alarms = control = 0
    for seed in range(100):
        values, known = _stream(0.8, 3_650, seed, per_day=10.0)
        start = known[0]
        facts = Facts(outcomes=(values, known), reference=start, rate=0.25)
        found = Falls(THUMBS, below=0.8, recent=1_000).look(facts)
        alarms += found.evidence["statistic"] >= found.evidence["threshold"]
        means = np.convolve(values, np.ones(200) / 200, "valid")
        control += bool((means < 0.8 - 0.02).any())
    assert alarms <= 100 * 0.25 + 3 * (100 * 0.25 * 0.75) ** 0.5
    assert control > 90


def test_trg_02_a_recovered_outcome_does_not_train() -> None:
    values, known = _stream(0.5, 500, seed=2)
    late = [known[-1] + timedelta(hours=i) for i in range(1, 301)]
    found = Falls(THUMBS, below=0.8).look(Facts(outcomes=(values + [1.0] * 300, known + late)))
    assert not found.holds


def test_falls_needs_a_floor_between_0_and_1() -> None:
    for bad in (0.0, 1.0, -1.0):
        with pytest.raises(ArgumentError, match="floor between 0 and 1"):
            Falls(THUMBS, below=bad)


def test_trg_07_feedback_is_counted_within_its_window() -> None:
    trigger = Feedback(THUMBS, at_least=3, within=timedelta(days=2))
    few = trigger.look(Facts(outcomes=([0.0, 1.0, 0.0, 1.0], [NOW] * 4)))
    assert (few.holds, few.evidence["bad"], few.evidence["n"]) == (False, 2, 4)
    many = trigger.look(Facts(outcomes=([0.0, 1.0, 0.0, 0.0], [NOW] * 4)))
    assert many.holds
    assert many.reason == "3 of 4 pieces of thumbs_up since 2026-02-28 12:00 are bad, at least 3 wanted"
    errors = Outcome.boolean("report", better="lower")
    assert Feedback(errors, at_least=2).look(Facts(outcomes=([1.0, 1.0, 0.0], [NOW] * 3))).holds


def test_trg_07_a_share_of_bad_feedback_has_a_stated_rate() -> None:
    rng, times = np.random.default_rng(3), [NOW - timedelta(days=60) + timedelta(minutes=60 * n) for n in range(1_400)]
    trigger = Feedback(THUMBS, above=0.30)
    good = (rng.random(1_400) < 0.75).astype(float).tolist()
    bad = (rng.random(1_400) < 0.50).astype(float).tolist()
    facts = {"reference": times[0] - timedelta(hours=1)}
    quiet, loud = trigger.look(Facts(outcomes=(good, times), **facts)), trigger.look(Facts(outcomes=(bad, times), **facts))
    assert not quiet.holds
    assert loud.holds
    assert loud.evidence["statistic"] > loud.evidence["threshold"]
    assert "line 0.3" in loud.reason


def test_trg_07_alerts_are_counted_with_what_they_say() -> None:
    trigger = Alert("client_fault", at_least=5)
    assert not trigger.look(Facts(client_fault=[{"count": 4}])).holds
    found = trigger.look(Facts(client_fault=[{"count": 4}, {"fault": "x"}]))
    assert found.holds
    assert found.reason.startswith("client_fault said 5 times since 2026-03-01 12:00")
    assert trigger.look(Facts(client_fault=[{"count": "many"}, {"count": -3}, {"count": True}])).evidence["times"] == 3


@pytest.mark.parametrize("make", [
    lambda: Feedback(THUMBS), lambda: Feedback(THUMBS, above=0.3, at_least=3), lambda: Feedback(THUMBS, above=1.0),
    lambda: Feedback(THUMBS, at_least=0), lambda: Feedback(THUMBS, at_least=1, within=timedelta(0)),
    lambda: Alert(""), lambda: Alert("x", at_least=0), lambda: Alert("x", within=timedelta(0)),
])
def test_trg_07_what_makes_no_sense_is_refused(make: Any) -> None:
    with pytest.raises(ArgumentError):
        make()


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ("every weekday at 9:30", "30 9 * * 1-5"), ("every day at 2", "0 2 * * *"), ("every 15 minutes", "*/15 * * * *"),
        ("every 6 hours", "0 */6 * * *"), ("every sunday night", "0 2 * * 0"), ("every friday evening", "0 20 * * 5"),
    ],
)
def test_the_words_that_people_use_for_schedules(said: str, fields: str) -> None:
    """TRG-01."""
    assert Cron(said).fields == fields


def test_a_schedule_in_a_zone_comes_once_a_night_the_whole_year() -> None:
    """TRG-01: in spring the skipped moment comes at the next valid one, in autumn the repeated one once."""
    schedule = Cron("30 2 * * *", tz="Europe/Berlin")
    at, found = datetime(2026, 1, 1, tzinfo=UTC), []
    while at < datetime(2027, 1, 1, tzinfo=UTC):
        at = schedule.next(at)
        found.append(at)
    days = [moment.astimezone(ZoneInfo("Europe/Berlin")).date() for moment in found]
    assert len(days) == len(set(days)) == 365 + 1
    spring = [moment for moment in found if moment.date().isoformat() == "2026-03-29"]
    assert [f"{moment:%H:%M}" for moment in spring] == ["01:00"], "02:30 is skipped: 03:00 summer time"
    assert schedule.due(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, 12, tzinfo=UTC)) == (
        datetime(2026, 12, 31, 1, 30, tzinfo=UTC), 365
    )


@pytest.mark.parametrize(("words", "minutes"), [
    ("every 45 minutes", 45), ("every 90 minutes", 90), ("every 7 hours", 420), ("every 25 hours", 1500), ("every 48 hours", 2880),
])
@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", "Australia/Lord_Howe"])
def test_trg_01_an_interval_that_cron_cannot_say_has_equal_gaps(words: str, minutes: int, tz: str) -> None:
    """Counted from 1 January 1970, 00:00 UTC, in elapsed time; both changes of the clock lie in the year."""
    schedule, at, year = Cron(words, tz=tz), datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    assert schedule.fields is None
    start, found = at, []
    while (at := schedule.next(at)) <= year:
        found.append(at)
    assert {after - before for before, after in pairwise(found)} == {timedelta(minutes=minutes)}
    assert (found[0] - datetime(1970, 1, 1, tzinfo=UTC)) % timedelta(minutes=minutes) == timedelta(0)
    assert schedule.due(start, year) == (found[-1], len(found))
    assert schedule.due(found[3], found[3]) is None
    assert schedule.due(found[3], found[4]) == (found[4], 1)
    assert period(schedule, start) == timedelta(minutes=minutes)


@pytest.mark.parametrize(("said", "fields"), [
    ("every hour", "0 * * * *"), ("every minute", "*/1 * * * *"), ("every 60 minutes", "0 * * * *"), ("every 120 minutes", "0 */2 * * *"),
    ("every 24 hours", "0 0 * * *"), ("every 1440 minutes", "0 0 * * *"), ("every 8 hours", "0 */8 * * *"),
])
def test_trg_01_an_interval_that_divides_the_day_keeps_the_clock(said: str, fields: str) -> None:
    assert Cron(said).fields == fields


@pytest.mark.parametrize("bad", ["every 0 minutes", "every 0 hours", "every 9000 hours", "every 999999999 minutes"])
def test_trg_01_an_interval_of_nothing_or_of_years_is_refused_with_the_cure(bad: str) -> None:
    with pytest.raises(ArgumentError, match="every 90 minutes"):
        Cron(bad)


@pytest.mark.parametrize("expression", ["*/20 * * * *", "0,30 0-3 * * *", "15 */6 * * *", "59 23 * * MON#1", "0 0 L * *", "*/15 2 * * *"])
@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"])
def test_trg_01_the_count_of_missed_moments_is_that_of_stepping_through_them(expression: str, tz: str) -> None:
    """Over a spring, an autumn, and the day that Samoa left out; the count by days equals the count by steps."""
    schedule = Cron(expression, tz=tz)
    for since in (datetime(2011, 12, 27, 9, 11, 13, tzinfo=UTC), datetime(2017, 2, 14, 23, 59, tzinfo=UTC), datetime(2017, 10, 9, 1, tzinfo=UTC)):
        until, at, count = since + timedelta(days=40, hours=3, seconds=1), since, 0
        while (after := schedule.next(at)) <= until:
            assert after > at
            at, count = after, count + 1
        assert schedule.due(since, until) == ((at, count) if count else None)


def test_trg_01_the_latest_moment_is_the_latest_however_many_were_missed() -> None:
    since, now = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    assert Cron("* * * * *").due(since, now) == (now, 2192 * 24 * 60)


def test_trg_01_a_moment_in_a_repeated_hour_is_no_second_time_due() -> None:
    """At 01:15 UTC on 25 October it is 2:15 in Berlin for the second time; 2:30 came at 00:30 UTC."""
    schedule, at = Cron("30 2 * * *", tz="Europe/Berlin"), datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
    assert schedule.next(at) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert schedule.due(at, datetime(2026, 10, 25, 12, tzinfo=UTC)) is None


def test_trg_01_moments_that_the_clock_skips_to_one_time_count_once() -> None:
    schedule = Cron("0,15,30 2 * * *", tz="Europe/Berlin")
    assert schedule.due(datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 12, tzinfo=UTC)) == (datetime(2026, 3, 29, 1, tzinfo=UTC), 1)
