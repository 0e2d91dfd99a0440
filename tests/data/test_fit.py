# SPDX-License-Identifier: Apache-2.0
"""VAL-01, VAL-03: one bad row is set aside with its reason, and never stops a training."""

from __future__ import annotations

from typing import Any

import pytest

from trueup.core.errors import DataError
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.data import Fit, Recipe, Replay, RollingSet, build, preview, unfit
from trueup.models import Features
from trueup.store import Ledger

NOW_US = 1_780_272_000_000_000
DAY_US = 86_400_000_000
FIT = Fit("label", Features(numeric=("x",), categorical=("k",)))
GOOD: list[tuple[Any, Any]] = [({"x": n, "k": "ab"[n % 2]}, n % 2 == 0) for n in range(20)]
BAD: list[tuple[Any, Any, str]] = [
    ("a text", True, "the input is a text, not a mapping with fields"),
    (None, True, "the input is null, not a mapping with fields"),
    ({"x": [1], "k": "a"}, True, "x is a list, not a number"),
    ({"x": "many", "k": "a"}, True, "x is a text, not a number"),
    ({"x": 10**400, "k": "a"}, True, "x is a number, not a finite number"),
    ({"x": 1, "k": {}}, True, "k is a mapping, not a text, number or boolean"),
    ({"x": 2, "k": "a"}, None, "the label is null, not a text, whole number or boolean"),
    ({"x": 3, "k": "a"}, [1, 2], "the label is a list, not a text, whole number or boolean"),
    ({"x": 4, "k": "a"}, 0.5, "the label is a fraction, not a text, whole number or boolean"),
    ({"x": 5, "k": "a"}, "", "the label is empty, not a text, whole number or boolean"),
]


def log(ledger: Ledger, rows: list[tuple[Any, Any]], *, start: int, prefix: str) -> None:
    events = []
    for at, (given, target) in enumerate(rows):
        ident, ts = f"{prefix}{at}", start + at
        events.append(Event(ident, "l", "interaction", ts, received=ts, unit=ident, choice=ident, input=dumps(given)))
        events.append(outcome("l", ident, "truth", target, ts=ts, received=ts))
    ledger.append(events)


@pytest.fixture
def logged(ledger: Ledger) -> Ledger:
    log(ledger, GOOD, start=NOW_US - DAY_US, prefix="g")
    log(ledger, [(given, target) for given, target, _ in BAD], start=NOW_US - DAY_US // 2, prefix="b")
    return ledger


def known(ledger: Ledger) -> dict[str, Any]:
    return {"loop": "l", "target": "truth", "cut": ledger.cut(), "now_us": NOW_US}


def test_bad_rows_are_counted_in_the_funnel_and_listed(logged: Ledger) -> None:
    built = build(Recipe(min_rows=20), logged, fit=FIT, **known(logged))
    assert built.snapshot is not None
    assert built.snapshot.rows().num_rows == 20
    step = next(one for one in built.funnel.steps if one.name == "fit")
    assert (step.rows_in, step.rows_out) == (30, 20)
    assert dict(step.dropped) == {why: 1 for _, _, why in BAD}
    assert preview(Recipe(min_rows=20), logged, fit=FIT, **known(logged)).funnel == built.funnel
    listed = unfit(logged, "l", "truth", FIT, cut=logged.cut(), now_us=NOW_US)
    assert [(one.row_id, one.reason) for one in listed] == [(f"b{at}", why) for at, (_, _, why) in enumerate(BAD)]


def test_clean_rows_leave_the_funnel_as_it_was(ledger: Ledger) -> None:
    log(ledger, GOOD, start=NOW_US - DAY_US, prefix="g")
    with_fit, without = (build(Recipe(min_rows=1), ledger, fit=fit, **known(ledger)) for fit in (FIT, None))
    assert with_fit.snapshot is not None
    assert without.snapshot is not None
    assert with_fit.snapshot.id == without.snapshot.id


def test_too_few_that_fit_are_refused_with_the_commonest_reason(logged: Ledger) -> None:
    built = build(Recipe(min_rows=25), logged, fit=FIT, **known(logged))
    assert built.refusal is not None
    assert built.refusal.startswith("Not enough data: 20 rows, 25 wanted; 10 set aside, 1 of them: ")


def test_old_rows_and_rolling_sets_are_sifted_too(ledger: Ledger) -> None:
    from datetime import timedelta

    log(ledger, [*GOOD, *((given, target) for given, target, _ in BAD)], start=NOW_US - 40 * DAY_US, prefix="o")
    log(ledger, [({"x": 100 + n, "k": "c"}, n % 2 == 0) for n in range(20)], start=NOW_US - DAY_US, prefix="n")
    built = build(Recipe(min_rows=1, replay=Replay(5.0)), ledger, fit=FIT, **known(ledger))
    assert built.snapshot is not None
    assert built.snapshot.rows().num_rows == 40
    everything = RollingSet("all", last=timedelta(days=365))
    assert len(everything.items(ledger, **known(ledger), fit=FIT)) == 40


@pytest.mark.parametrize(("answers", "good", "bad"), [
    ("label", ["a", 1, 1.0, True], [None, 1.5, [1], {}, ""]),
    ("labels", [["a", 1], []], [None, "a", [None], [[1]], [0.5]]),
    ("number", [1, 0.5], [None, True, "1", [1], 10**400]),
    ("text", ["a", {"role": "x"}], [None]),
])
def test_answers_of_each_kind(answers: Any, good: list[Any], bad: list[Any]) -> None:
    fit = Fit(answers)
    assert [fit.fault("any", one) for one in good] == [None] * len(good)
    assert all(fit.fault("any", one) for one in bad)


def test_a_model_is_never_asked_about_a_row_that_it_cannot_read() -> None:
    for given, _, why in BAD[:6]:
        assert FIT.features is not None
        with pytest.raises(DataError):
            FIT.features.transform([given])
        assert FIT.features.fault(given) == why
