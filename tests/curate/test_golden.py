# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core.errors import ArgumentError
from trueup.core.json import dumps
from trueup.curate import ROWS, GoldenIndex, exclude_golden

VOCABULARY = [f"word{n}" for n in range(4000)]


def table(inputs: list[object], targets: list[object] | None = None) -> pa.Table:
    targets = targets or ["a"] * len(inputs)
    rows = [
        {
            "row_id": f"r{n}", "ts": n, "known": n, "unit": "u", "input": dumps(text), "target": dumps(target),
            "weight": 1.0, "arm": "champion", "candidate": "c", "cohort": "x", "part": "new",
        }
        for n, (text, target) in enumerate(zip(inputs, targets, strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=ROWS)


def sentence(rng: random.Random, n: int) -> str:
    return " ".join(rng.choices(VOCABULARY, k=n))


def test_all_planted_leaks_are_found_and_nothing_else() -> None:
    """CUR-05: whole items, 13 words of one within a longer row, short items."""
    rng = random.Random(1)
    items = [sentence(rng, rng.randint(3, 60)) for _ in range(200)]
    clean = [sentence(rng, rng.randint(13, 80)) for _ in range(1000)]
    leaks = []
    for item in items:
        words = item.split()
        if len(words) < 8:
            leaks.append(item.upper() + " !")
        else:
            size = min(13, len(words))
            start = rng.randrange(len(words) - size + 1)
            part = ", ".join(words[start : start + size]).title()
            leaks.append(f"{sentence(rng, rng.randint(0, 40))} {part}. {sentence(rng, rng.randint(0, 40))}")
    done = exclude_golden(table([*clean, *leaks]), {"core": items})
    assert done.rows["row_id"].to_pylist() == [f"r{n}" for n in range(1000)]
    assert sum(done.dropped.values()) == 200
    assert all("core" in reason for reason in done.dropped)


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 40), st.integers(0, 30), st.integers(0, 30), st.integers(0, 2**32))
def test_an_item_is_found_wherever_it_stands(size: int, before: int, after: int, seed: int) -> None:
    rng = random.Random(seed)
    item = sentence(rng, size)
    row = f"{sentence(rng, before)} {item} {sentence(rng, after)}"
    assert GoldenIndex({"g": [item]}).find(dumps(row))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(12, 13), st.integers(0, 2**32))
def test_thirteen_words_in_common_are_a_leak_and_twelve_are_not(before: int, common: int, seed: int) -> None:
    rng = random.Random(seed)
    item = sentence(rng, 30).split()
    start = rng.randrange(30 - common)
    row = [f"other{n}" for n in range(before)] + item[start : start + common] + ["end"] * 9
    found = GoldenIndex({"g": [" ".join(item)]}).find(dumps(" ".join(row)))
    assert (found is not None) == (common == 13)


def test_short_items_only_as_a_whole() -> None:
    index = GoldenIndex({"g": ["The Big Sleep"]})
    assert index.find(dumps("the big  sleep!"))
    assert index.find(dumps("I watched the big sleep")) is None


def test_values_of_a_table_are_no_sentence() -> None:
    item = {f"column{n}": "yes" for n in range(20)}
    other = {**item, "column19": "no"}
    index = GoldenIndex({"g": [item]})
    assert index.find(dumps(item))
    assert index.find(dumps(other)) is None
    numbers = GoldenIndex({"g": [{"a": 1, "b": 2.5}]})
    assert numbers.find('{"a":1,"b":2.5}')
    assert numbers.find('{"a":1.0,"b":2.5,"c":null}')
    assert numbers.find('{"a":1,"c":2.5}') is None
    assert numbers.find('{"a":1,"b":2.6}') is None


def test_other_scripts() -> None:
    chinese = "我们今天早上在城里的一家小书店里买了三本关于历史的书"
    index = GoldenIndex({"g": [chinese, "Дом стоял на самом краю большого и очень тихого леса у реки"]})
    assert index.find(dumps("他说" + chinese + "然后回家了"))
    assert index.find(dumps("И вот: дом стоял на самом краю большого и очень тихого леса у реки..."))
    assert index.find(dumps("!!!")) is None
    assert GoldenIndex({"g": ["!!!"]}).find(dumps("!!!"))


def test_a_golden_answer_within_a_training_target() -> None:
    rng = random.Random(2)
    summary = sentence(rng, 20)
    rows = table(["one", "two"], [f"so: {summary}", sentence(rng, 20)])
    done = exclude_golden(rows, {"core": ["an article"]}, {"core": [summary]})
    assert done.rows["row_id"].to_pylist() == ["r1"]


def test_hostile_rows() -> None:
    index = GoldenIndex({"g": ["x y z"]})
    assert index.find("not json") is None
    assert index.find('"\\ud800 lone surrogate"') is None
    assert index.find("[" * 900 + '"x y z"' + "]" * 900)
    assert index.find("[" * 90_000) is None
    assert index.find("9" * 5_000) is None
    with pytest.raises(ArgumentError):
        GoldenIndex({}, n=3)
    assert exclude_golden(ROWS.empty_table(), index).rows.num_rows == 0
