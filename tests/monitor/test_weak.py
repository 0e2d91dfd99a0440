# SPDX-License-Identifier: Apache-2.0
"""Segments that answer worse are found, and next to none where there are none (VAL-09)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from trueup.core.errors import DataError
from trueup.monitor import Sample, weak_slices

WORDS = [f"w{at:02d}" for at in range(60)]


def world(seed: int, n: int = 2_000, per_unit: int = 1, lost: float = 0.0) -> tuple[Sample, np.ndarray]:
    """Requests with a country, a price and words, right in .85; Finnish refunds are worse by `lost`.

    The rows of a unit share a mood, so that they go together.
    """
    rng = np.random.default_rng(seed)
    mood = rng.normal(0.0, 0.15, size=n)
    inputs, units, chance = [], [], []
    for at in range(n):
        unit = at // per_unit
        country = ("fi", "se", "no", "dk")[rng.integers(4)]
        text = " ".join(rng.choice(WORDS, size=6))
        refund = rng.random() < 0.4
        inputs.append({"country": country, "price": float(rng.exponential()), "text": f"{text} refund" if refund else text})
        units.append(f"u{unit}")
        chance.append(0.85 + (mood[unit] if per_unit > 1 else 0.0) - lost * (country == "fi" and refund))
    scores = (rng.random(n) < np.clip(chance, 0.0, 1.0)).astype(float)
    return Sample(inputs, (), units, None, np.arange(n), n), scores


def test_what_answers_worse_is_named_with_its_rows() -> None:
    """VAL-09: two conditions together, an interval that holds the truth, and rows to read."""
    rows, scores = world(3, 6_000, lost=0.4)
    report = weak_slices(rows, scores)
    worst = report.found[0]
    assert set(worst.where) == {"country = fi", "text has 'refund'"}
    assert worst.interval[0] < -0.4 < worst.interval[1]
    assert 450 < worst.rows < 750
    assert len(worst.examples) == 20
    assert all('"fi"' in one.text and "refund" in one.text for one in worst.examples)
    assert {one.beyond for one in worst.examples} == {1.0}
    assert len(report.found) == 1, "what is weak only because it holds Finnish refunds is not named again"
    json.dumps(report.to_json())


def test_of_what_is_named_next_to_nothing_is_chance() -> None:
    """60 worlds without a weak segment, four rows a unit that go together, seeds 100 to 159: where there is
    nothing to find any name is false, so a world names something with probability q at most (.1; two standard errors
    of 60 worlds are .077)."""
    named = sum(bool(weak_slices(*world(100 + at, 1_200, per_unit=4)).found) for at in range(60))
    assert named / 60 <= 0.1 + 0.077


def test_the_control_searches_and_tests_in_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrong build: without fresh rows for the test, luck is named in most worlds."""
    from trueup.monitor import weak

    class Both(np.ndarray):
        """A mask whose opposite is itself."""

        def __invert__(self) -> np.ndarray:  # type: ignore[override]
            return np.ones(len(self), dtype=bool)

    monkeypatch.setattr(weak, "coins", lambda rows, seed: np.ones(len(rows), dtype=bool).view(Both))
    named = sum(bool(weak_slices(*world(100 + at, 1_200, per_unit=4)).found) for at in range(12))
    assert named >= 8


def test_fields_of_ones_own_and_too_few_rows() -> None:
    rows, scores = world(5, 3_000)
    answers = ["drama" if at % 3 else "comedy" for at in range(len(rows))]
    scores[::3] = 0.0
    report = weak_slices(rows, scores, fields={"answer": answers}, by=["country"])
    assert report.found[0].where == ("answer = comedy",)
    assert report.searched == 6
    with pytest.raises(DataError, match="200 rows"):
        weak_slices(rows.take(slice(0, 100)), scores[:100])
    with pytest.raises(DataError, match="a score a row"):
        weak_slices(rows, scores[:-1])


def test_rows_without_a_score_are_left_out() -> None:
    rows, scores = world(6, 1_000)
    scores[:400] = np.nan
    assert weak_slices(rows, scores).rows == 600
