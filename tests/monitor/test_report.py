# SPDX-License-Identifier: Apache-2.0
"""Reports, segments, views and rows of monitors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trueup.core.errors import ArgumentError, DataError
from trueup.core.protocols import Prediction
from trueup.core.values import from_json, to_json
from trueup.models import HashingEmbedder
from trueup.monitor import (
    Answers,
    Batches,
    Category,
    DriftReport,
    Embedding,
    Found,
    Length,
    Numeric,
    RowDrift,
    Season,
    Vocabulary,
    confidences,
    drift_report,
    expected_score,
    memory,
    sample,
    views_of,
    watch,
)
from trueup.testing import toy_rows
from trueup.testing.conformance import check_value


def shop(rng: np.random.Generator, n: int, *, gifts: float = 0.1, dear: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            "price": float(rng.lognormal(2 + dear * (kind == "gift"), 0.5)), "kind": kind,
            "text": " ".join(rng.choice(["red", "blue", "large", "small", "new"], 4)),
        }
        for kind in np.where(rng.random(n) < gifts, "gift", "food").tolist()
    ]  # fmt: skip


def test_a_report_says_what_moved_where_and_shows_rows(table: Any) -> None:
    """VAL-09, VAL-11: the segment that moved, units without history, 20 examples, JSON and a page."""
    rng = np.random.default_rng(1)
    old = table(shop(rng, 3000), -30, 100, units=[f"u{at % 900}" for at in range(3000)])
    new = table(
        [*shop(rng, 1000, gifts=0.5, dear=1.0), {"price": 3.0, "kind": "<script>alert(1)</script>", "text": "x"}],
        0, 100, units=[f"u{at % 900}" if at % 3 else f"new{at}" for at in range(1001)],
    )  # fmt: skip
    labelled = (rng.uniform(0.5, 1, 500), rng.random(500) < 0.8)
    report = drift_report(old, new, expected=expected_score(rng.uniform(0.5, 1, 300), labelled=labelled))
    assert set(report.moved) >= {"price", "kind"}
    assert report.alarm
    assert report.segments[0].by == "kind"
    assert report.segments[0].moved
    fresh = next(one for one in report.segments if one.name == "without history")
    assert fresh.now == pytest.approx(0.33, abs=0.05)
    assert len(report.examples) == 20
    assert sum('"kind":"gift"' in one.text for one in report.examples) > 12
    again = DriftReport.from_json(json.loads(json.dumps(report.to_json())))
    assert again == report
    page = report.html()
    assert "<script>alert" not in page
    assert "Alarm: " in page
    assert "This assumes: answers of the same probability" in page
    with pytest.raises(DataError, match="drift report"):
        DriftReport.from_json({"lines": []})


def test_a_report_of_nothing_says_so_and_needs_no_times(tmp_path: Any) -> None:
    report = drift_report([a for a, _ in toy_rows(600, 1)], [a for a, _ in toy_rows(600, 2)], embedder=HashingEmbedder(64))
    assert report.moved == ()
    assert report.alarms == ()
    assert "Nothing moved beyond chance." in report.html()
    assert all(path.exists() for path in report.save(tmp_path))
    with pytest.raises(DataError, match="at least 16 rows"):
        drift_report(["a"], ["b"] * 20)
    with pytest.raises(ArgumentError, match="a rate is a number a year"):
        watch([Embedding()], ["a b"] * 100, ["a b"] * 100)


def test_lines_are_false_at_most_one_in_twenty_when_nothing_moved(columns: Any) -> None:
    """Benjamini-Hochberg at .05 over 20 columns: 40 reports, seed 2; any line in at most 5 % (2 se: .07)."""
    rng = np.random.default_rng(2)
    wrong = [bool(drift_report(columns(rng, 200), columns(rng, 200), by=()).moved) for _ in range(40)]
    assert np.mean(wrong) <= 0.05 + 0.07


def test_answers_that_change_are_seen_without_labels(table: Any) -> None:
    rng = np.random.default_rng(3)
    for old, new in (
        (rng.choice(["a", "b"], 1000, p=[0.5, 0.5]).tolist(), rng.choice(["a", "b"], 500, p=[0.8, 0.2]).tolist()),
        (rng.normal(size=1000).tolist(), rng.normal(0.7, size=500).tolist()),
    ):
        found = watch([Answers()], table(["x"] * 1000, -10, 100, outputs=old), table(["x"] * 500, 0, 100, outputs=new))[0]
        assert found.alarm
        assert found.name == "answers"
    none = watch([Answers()], table(["x"] * 1000, -10, 100), table(["x"] * 500, 0, 100))[0]
    assert "at least 40 reference rows" in none.note


def test_every_view_is_a_value_and_survives_hostile_rows(table: Any) -> None:
    rng = np.random.default_rng(4)
    rows: list[Any] = [
        {"n": 1.5, "c": "a", "t": "one two"}, {"n": None, "c": None}, {"n": "text", "c": 7, "t": ["a", "b"]}, {},
        {"n": 1e308, "c": {"deep": [1]}, "t": "x" * 10_000}, {"n": True, "c": "\ud800", "t": "日本語の文"},
    ]  # fmt: skip
    many = sample([rows[at] for at in rng.integers(0, len(rows), 300)])
    for view in (Numeric("n"), Category("c"), Length("t"), Vocabulary("t"), Embedding(HashingEmbedder(32)), Embedding(field="t")):
        check_value(view)
        found = view.fit(many)(sample(rows))
        assert found.shape[0] == len(rows)
        assert np.isfinite(found).all()
        assert found.dtype == np.float32
    for part in (RowDrift(Numeric("n")), Batches(season=Season())):
        assert from_json(to_json(part)) == part
    assert [view.name for view in views_of(many)] == ["c", "n", "t"]
    with pytest.raises(DataError, match="none called 'm'"):
        views_of(many, ["m"])
    with pytest.raises(DataError, match="all mappings"):
        views_of(sample([1, "a"]))


def test_rows_are_capped_in_order_and_never_by_value(table: Any) -> None:
    rows = table([f"t{at % 4}" for at in range(40)], 0, 40, units=["a"] * 20 + [None] * 20)
    kept = sample(rows, Batches(rows=10, per_unit=1))
    assert kept.place.tolist() == [0, 10, *range(20, 40)]
    assert sample(rows, Batches(rows=10, per_unit=3)).place.tolist()[:6] == [0, 1, 2, 10, 11, 12]
    assert len(sample(rows, Batches(rows=10, per_unit=0))) == 40
    assert len(sample(rows, most=7)) == 7
    for bad in (pa.table({"x": [1]}), "text", 7):
        with pytest.raises(DataError):
            sample(bad)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="microseconds"):
        sample(pa.table({"input": ['"a"'], "ts": ["soon"]}))
    with pytest.raises(ArgumentError):
        Batches(rows=1)


def test_quality_without_labels_states_what_it_assumes() -> None:
    """Coverage of the interval on 100 shifted sets, seed 5; and warnings where they are due."""
    rng = np.random.default_rng(5)
    hits = []
    for _ in range(100):
        known, now = rng.beta(5, 2, 1000), rng.beta(4, 3, 1000)
        found = expected_score(now, labelled=(known, rng.random(1000) < known))
        hits.append(found.low <= (rng.random(1000) < now).mean() <= found.high)
    assert np.mean(hits) >= 0.88
    sure = rng.beta(8, 1, 1000)
    assert "off by" in expected_score(sure, labelled=(sure, rng.random(1000) < sure**3)).warning
    assert "no labelled rows" in expected_score(sure).warning
    assert expected_score(sure).off is None
    with pytest.raises(ArgumentError, match="in \\[0, 1\\]"):
        expected_score([0.5, float("nan")])
    with pytest.raises(ArgumentError, match="at least 100"):
        expected_score(sure, labelled=([0.5], [1]))
    assert confidences([Prediction("a", {"a": 0.7, "b": 0.3})]).tolist() == [0.7]
    with pytest.raises(DataError, match="probability of the answer"):
        confidences([Prediction("a")])


def test_memory_sees_neighbours_and_not_a_slow_change() -> None:
    rng = np.random.default_rng(6)
    plain = (rng.random(5000) < np.linspace(0.1, 0.4, 5000)).astype(float)
    assert memory(plain)[1] > 0.001
    sticky = np.repeat(rng.random(1000) < 0.3, 5).astype(float)
    assert memory(sticky)[0] > 0.5
    assert memory(sticky)[1] < 1e-6
    assert memory([1.0] * 200) == (0.0, 1.0)
    assert memory([1.0, 0.0]) == (0.0, 1.0)


def test_found_reads_as_a_sentence() -> None:
    found = Found("price", "rows", True, False, 3.0, 1.0, 0.6, rows=100, batches=1, at=0, note="too few rows")
    assert Found.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.words() == (
        "price: alarm since 1970-01-01 00:00, evidence 3 against 1 after 100 rows in 1 batches; AUC 0.600, "
        "shift +0.00 sd; no stated rate: too few rows"
    )
