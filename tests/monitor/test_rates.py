# SPDX-License-Identifier: Apache-2.0
"""Alarms at the stated rate, by simulation, each beside a control that must fail (TRU-03)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trueup.monitor import (
    Batches,
    Embedding,
    Found,
    RowDrift,
    ScoreDrift,
    Season,
    Vectors,
    mean_drift,
    sample,
    views_of,
    watch,
)
from trueup.monitor import season_drift as season_of
from trueup.testing import toy_rows

DAY = 86_400_000_000
YEAR = 365.25


def fired(found: tuple[Found, ...]) -> bool:
    return any(one.alarm for one in found)


def with_times(table: Any, rows: Any, start: float = 0.0, per_day: float = 1000) -> Any:
    """Vectors with times: a table of their places, and a Sample that holds the vectors."""
    from dataclasses import replace

    made = sample(table([0] * len(rows), start, per_day))
    return replace(made, inputs=np.asarray(rows, dtype=np.float32))


def shift_norm(reference: Any, batch: Any) -> float:
    return float(np.linalg.norm(np.mean(reference, axis=0) - np.mean(batch, axis=0)))


@pytest.mark.parametrize("size", [50, 100, 500])
def test_no_alarm_on_200_batches_of_embeddings_at_any_size(table: Any, vectors: Any, size: int) -> None:
    """200 daily batches, .11 alarms promised at most; the naive recipe fires on most small batches
    and on no large one, since its threshold is one of the batch size."""
    rng = np.random.default_rng(200 + size)
    reference, current = vectors(rng, 4000), vectors(rng, 200 * size)
    found = watch(
        [Vectors()], with_times(table, reference, -8, 500), with_times(table, current, 0, size),
        batches=Batches(rows=size), false_alarms_per_year=0.2,
    )  # fmt: skip
    assert not fired(found)
    assert found[0].rated
    naive = [shift_norm(reference, current[at * size : (at + 1) * size]) > 0.1 for at in range(200)]
    assert {50: 0.9, 100: 0.3, 500: 0.0}[size] <= np.mean(naive) <= {50: 1.0, 100: 0.7, 500: 0.05}[size]


def test_20_columns_at_the_stated_rate_and_one_that_moves(table: Any, columns: Any) -> None:
    """VAL-04: 20 columns watched over 60 runs of 100 rows; then one moves by half a deviation."""
    rng = np.random.default_rng(11)
    reference = table(columns(rng, 3000), -30, 100)
    views = views_of(sample(reference))
    assert len(views) == 20
    quiet = watch(views, reference, table(columns(rng, 6000), 0, 100))
    assert not fired(quiet)
    assert all(one.rated for one in quiet)
    moved = watch(views, reference, table(columns(rng, 1000) + columns(rng, 500, 0.5), 0, 100))
    assert [one.name for one in moved if one.alarm] == ["x00"]
    assert {one.name: one for one in moved}["x00"].effect > 0.6


@pytest.mark.slow
def test_alarms_come_at_most_as_often_as_promised(table: Any, columns: Any) -> None:
    """40 streams of 200 batches on 20 columns, .3 alarms a stream promised, seed 12: at most .3 of
    the streams alarm (two standard errors: .145). Control: a KS test of each column at .05, as
    drift tools run it, finds "drift" in more than half of the batches of one stream."""
    rng = np.random.default_rng(12)
    hits = []
    for _ in range(40):
        reference = table(columns(rng, 600, k=19), -30, 20)
        stream = table(columns(rng, 200 * 10, k=19), 0, 10)
        found = watch(
            views_of(sample(reference)), reference, stream, batches=Batches(rows=10, most=200),
            false_alarms_per_year=0.3 / (200 / YEAR),
        )  # fmt: skip
        hits.append(fired(found))
    assert np.mean(hits) <= 0.3 + 0.145
    from scipy.stats import ks_2samp

    old, new = rng.normal(size=(800, 20)), rng.normal(size=(60, 500, 20))
    naive = [any(ks_2samp(old[:, j], batch[:, j]).pvalue < 0.05 for j in range(20)) for batch in new]
    assert np.mean(naive) > 0.5


def test_a_new_topic_of_15_percent_is_found_in_one_or_two_batches_of_500(table: Any, vectors: Any) -> None:
    rng = np.random.default_rng(13)
    delays = []
    for _ in range(5):
        stream = np.concatenate([vectors(rng, 1500), vectors(rng, 2000, 0.15)])
        found = watch(
            [Vectors()], with_times(table, vectors(rng, 4000), -8, 500), with_times(table, stream, 0, 500),
            batches=Batches(rows=500, most=500),
        )[0]  # fmt: skip
        assert found.at is not None
        delays.append(np.ceil((found.at / DAY - 3) - 1e-9))
    assert np.median(delays) <= 2
    assert max(delays) <= 3


def test_a_new_topic_in_short_texts_is_found_by_hashing_alone(table: Any) -> None:
    old = [text for text, _ in toy_rows(4000, 1)]
    new = [text for text, _ in toy_rows(3000, 2)]
    moved = [text for text, _ in toy_rows(300, 3, moved=True)]
    rng = np.random.default_rng(1)
    mixed = [*new[:1000], *[(new[1000 + at] if rng.random() > 0.15 else moved[at % 300]) for at in range(2000)]]
    found = watch([Embedding()], table(old, -8, 500), table(mixed, 0, 500), batches=Batches(rows=500, most=500))[0]
    assert found.alarm
    assert not watch([Embedding()], table(old, -8, 500), table(new, 0, 500), batches=Batches(rows=500))[0].alarm


def test_errors_that_double_are_found_and_errors_that_do_not_are_not(table: Any) -> None:
    """VAL-05, VAL-07: .10 to .20, one alarm in 100,000 rows."""
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 1, 1, tzinfo=UTC)
    rng = np.random.default_rng(14)
    right = (rng.random(8000) > 0.10).astype(float)
    wrong = (rng.random(600) > 0.20).astype(float)
    known = [start + timedelta(days=365.25 * at / 100_000) for at in range(9000)]
    quiet = mean_drift(right[2000:], known[: len(right) - 2000], reference=right[:2000])
    assert not quiet.alarm
    assert quiet.rated
    values = np.concatenate([right[2000:4000], wrong])
    loud = mean_drift(values, known[: len(values)], reference=right[:2000])
    assert loud.alarm
    assert loud.effect < 0.85


# -- conditions -----------------------------------------------------------------------------------


def hourly(rng: np.random.Generator, hours: int, rows: int = 100, effect: float = 0.6) -> list[dict[str, float]]:
    """Rows whose level changes from hour to hour and remembers the hours before."""
    level, made = 0.0, []
    for _ in range(hours):
        level = 0.9 * level + (1 - 0.81) ** 0.5 * rng.normal()
        made += [{"x": float(x)} for x in effect * level + rng.normal(size=rows)]
    return made


def test_batches_with_memory_get_no_stated_rate(table: Any) -> None:
    """60 streams, one alarm in 10 streams promised, seed 15. Control: printing the rate all the same."""
    rng = np.random.default_rng(15)
    rated, alarms = 0, 0
    for _ in range(20):
        found = watch(
            views_of(sample([{"x": 0.5}])), table(hourly(rng, 40), -2, 2000), table(hourly(rng, 20), 0, 2000),
            false_alarms_per_year=0.1 / (1 / YEAR),
        )[0]  # fmt: skip
        rated += found.rated and found.width == 1
        alarms += found.alarm
    assert alarms > 8  # so the rate would be a lie
    assert rated == 0


@pytest.mark.parametrize("size", [0.0, 0.3, 0.8])
def test_the_hours_of_a_day_are_not_drift(table: Any, size: int) -> None:
    """A daily cycle; 25 streams of 20 days, .3 alarms a stream promised, seed 22: rated alarms in at
    most .3 of the streams. Batches of 800 or 1,600 rows, which hold no whole days, alarmed in half."""
    rng = np.random.default_rng(22)

    def days(n: int, shift: float = 0.0) -> list[dict[str, float]]:
        at = np.arange(n * 500) / 500
        return [{"x": float(x)} for x in shift + size * np.sin(2 * np.pi * at) + rng.normal(size=at.size)]

    views, rate = views_of(sample([{"x": 0.5}])), 0.3 / (20 / YEAR)
    found = [
        watch(views, table(days(14), -14, 500), table(days(20), 0, 500), false_alarms_per_year=rate)[0] for _ in range(25)
    ]
    assert np.mean([one.alarm and one.rated for one in found]) <= 0.3
    assert np.mean([one.rated for one in found]) >= 0.8
    assert {one.width for one in found if one.rated} == ({1} if size == 0.0 else {"day"})
    moved = watch(views, table(days(14), -14, 500), table(days(10, 0.5), 0, 500))[0]
    assert moved.alarm


def test_rows_of_one_unit_are_capped_and_without_a_cap_they_cry_wolf(table: Any) -> None:
    """Units of 25 rows that resemble each other; 20 streams, .1 alarms promised in each, seed 16."""
    rng = np.random.default_rng(16)

    def flood(units: int, start: int) -> Any:
        level = np.repeat(rng.normal(size=units), 25)
        rows = [{"x": float(x)} for x in level + 0.3 * rng.normal(size=len(level))]
        return table(rows, start, 1000, units=[f"{start}-{at // 25}" for at in range(len(rows))])

    views = views_of(sample([{"x": 0.5}]))
    capped, flooded = 0, 0
    for _ in range(20):
        old, new = flood(120, -10), flood(120, 0)
        rate = 0.1 / (3 / YEAR)
        kept = watch(views, old, new, false_alarms_per_year=rate, batches=Batches(rows=250))[0]
        wild = watch(views, old, new, false_alarms_per_year=rate, batches=Batches(rows=250, per_unit=0))[0]
        capped += kept.alarm
        flooded += wild.alarm
        assert not wild.rated or wild.width != 1
    assert flooded > 8
    assert capped <= 4


def test_a_week_is_compared_with_the_same_day_of_earlier_weeks(table: Any) -> None:
    """VAL-10: weekends differ. Compared with all days they alarm, or get no rate; by phase neither,
    and a real change is still found."""
    rng = np.random.default_rng(17)

    def weeks(n: int, shift: float = 0.0) -> list[dict[str, float]]:
        days = [1.5 if day % 7 in (2, 3) else 0.0 for day in range(7 * n)]
        return [{"x": float(x)} for level in days for x in level + shift + rng.normal(size=60)]

    views = views_of(sample([{"x": 0.5}]))
    old, new, moved = table(weeks(8), -56, 60), table(weeks(4), 0, 60), table(weeks(2, 0.5), 0, 60)
    flat = watch(views, old, new, batches=Batches(rows=60))[0]
    assert flat.alarm or not flat.rated or flat.width != 1
    seasonal = Batches(rows=60, season=Season())
    quiet = watch(views, old, new, batches=seasonal)[0]
    assert not quiet.alarm
    assert quiet.rated
    assert watch(views, old, moved, batches=seasonal)[0].alarm


def test_a_year_is_compared_with_a_fit_of_the_last_one() -> None:
    """VAL-10: a yearly cycle has no phase to rank in; its residual has. Control: the raw mean."""
    rng = np.random.default_rng(18)
    at = np.arange(800) * DAY

    def series(shift: float) -> Any:
        cycle = np.sin(2 * np.pi * at / DAY / YEAR) + 0.3 * np.sin(2 * np.pi * at / DAY / 7)
        return 5.0 + cycle + 0.1 * rng.normal(size=at.size) + shift * (at > 600 * DAY)

    quiet, loud = (
        season_of(at[:400], y[:400], at[400:], y[400:]) for y in (series(0.0), series(0.15))
    )
    assert not quiet.alarm
    assert quiet.rated
    assert loud.alarm
    y = series(0.0)
    flat = np.clip(0.5 + (y - y[:400].mean()) / (8 * y[:400].std()), 0, 1)
    from datetime import UTC, datetime, timedelta

    known = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=int(day)) for day in range(400)]
    raw = [mean_drift(one, known, floor=0.45) for one in (flat[400:], 1 - flat[400:])]
    assert any(one.alarm for one in raw) or not all(one.rated for one in raw)


# -- a user's own metric --------------------------------------------------------------------------


def spread_of(batch: list[Any]) -> float:
    return float(np.std([row["x"] for row in batch]))


def gap(reference: list[Any], batch: list[Any]) -> float:
    return abs(float(np.mean([row["x"] for row in reference]) - np.mean([row["x"] for row in batch])))


def nothing(batch: list[Any]) -> float:
    return float("nan")


def test_a_users_own_metric_gains_a_rate(table: Any) -> None:
    """Clusters within a batch are harmless; a batch that is stranger is found; memory gets no rate."""
    rng = np.random.default_rng(19)

    def rows(n: int, shift: float = 0.0) -> list[dict[str, float]]:
        return [{"x": float(x)} for x in shift + rng.normal(size=n)]

    old, plan = table(rows(12_000), -12, 1000), Batches(rows=50)
    monitors = [ScoreDrift(gap, compares=True), ScoreDrift(spread_of)]
    quiet = watch(monitors, old, table(rows(3000), 0, 1000), batches=plan)
    assert not fired(quiet)
    assert [one.rated for one in quiet] == [True, True]
    loud = watch(monitors, old, table(rows(1000, 1.0), 0, 1000), batches=plan)
    assert [one.alarm for one in loud] == [True, False]
    assert loud[0].unit == "score"
    slow = watch([ScoreDrift(gap, compares=True)], table(hourly(rng, 120), -6, 2000), table(hourly(rng, 10), 0, 2000))[0]
    assert not slow.rated or slow.width != 1 or "one batch in" in slow.note
    from trueup.core.errors import DataError

    broken = watch([ScoreDrift(nothing)], old, table(rows(500), 0, 1000), batches=plan)[0]
    assert (broken.alarm, broken.rated, broken.kind) == (False, False, "score")
    assert "finite number from nothing, got nan" in broken.note
    with pytest.raises(DataError, match="finite number from nothing"):
        ScoreDrift(nothing).score([], [{"x": 1.0}])


def test_looking_again_is_looking_once(table: Any, columns: Any) -> None:
    """More rows change no batch before them: an alarm stays, at its moment."""
    rng = np.random.default_rng(20)
    old, rows = table(columns(rng, 1000, k=2), -10, 100), columns(rng, 900, 0.8, k=2)
    views = [*views_of(sample(old)), RowDrift(views_of(sample(old))[1])]
    full = watch(views, old, table(rows, 0, 100))
    for end in (250, 555, 899):
        part = watch(views, old, table(rows[:end], 0, 100))
        for a, b in zip(part, full, strict=True):
            assert not a.alarm or a.at == b.at
            assert a.batches <= b.batches
            assert not (b.at is not None and b.at < end * DAY // 100 - DAY) or a.alarm
    assert full[1].alarm


def test_a_curated_snapshot_is_not_what_is_asked(table: Any) -> None:
    """Queries by frequency: without duplicates they are other rows, so that a detector against them
    alarms with nothing moved. The requests of the same span do not."""
    rng = np.random.default_rng(21)
    share = 1.0 / np.arange(1, 2001)
    asked = [f"query{at} word{at % 50}" for at in rng.choice(2000, 8000, p=share / share.sum())]
    old, new = asked[:4000], asked[4000:]
    unique = list(dict.fromkeys(old))
    curated = watch([Embedding()], table(unique, -8, 500), table(new, 0, 500))[0]
    as_asked = watch([Embedding()], table(old, -8, 500), table(new, 0, 500))[0]
    assert curated.alarm
    assert not as_asked.alarm
