# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from types import ModuleType

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from trueup.core.errors import ArgumentError, DataError, DefinitionError, UnknownName
from trueup.core.json import dumps
from trueup.core.protocols import Curator
from trueup.core.values import digest, from_json, to_json
from trueup.curate import (
    ROWS,
    CapPerUnit,
    Clean,
    Deduplicate,
    Schema,
    check_step,
    clean_text,
    run_step,
    version_of,
)


def table(*rows: dict[str, object]) -> pa.Table:
    filled = [
        {
            "row_id": f"r{place}", "ts": place, "known": place, "unit": f"u{place}",
            "weight": 1.0, "arm": "champion", "candidate": "c-0", "cohort": "1970-01", "part": "new",
            **row,
            "input": dumps(row.get("input", f"text {place}")),
            "target": dumps(row.get("target", "a")),
        }
        for place, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(filled, schema=ROWS)


def ids(rows: pa.Table) -> list[str]:
    return rows["row_id"].to_pylist()


def test_dedup_keeps_the_first_of_equal_pairs() -> None:
    """CUR-21: exact duplicates, once text is in one form."""
    rows = table(
        {"input": "The  quick\nfox", "ts": 9},
        {"input": "the quick fox", "ts": 3},
        {"input": " THE QUICK FOX ", "ts": 5},
        {"input": "the quick fox", "target": "b", "ts": 1},
        {"input": "cafe\u0301", "ts": 7},
        {"input": "caf\u00e9", "ts": 8},
    )
    done = Deduplicate().curate(rows, 0)
    assert ids(done.rows) == ["r1", "r3", "r4"]
    assert done.dropped == {"duplicate": 3}
    assert done.facts == {"inputs with conflicting targets": 1}


def test_dedup_latest_keeps_the_corrected_target() -> None:
    rows = table(
        {"input": "x", "target": "a", "ts": 1},
        {"input": "x", "target": "a", "ts": 2},
        {"input": "x", "target": "b", "ts": 3},
        {"input": "y", "ts": 4},
    )
    done = Deduplicate(keep="latest").curate(rows, 0)
    assert ids(done.rows) == ["r2", "r3"]
    assert done.dropped == {"duplicate": 1, "older target": 1}


def test_dedup_ties_are_broken_by_row_id_whatever_the_order() -> None:
    rows = table(*({"input": "x", "ts": 1} for _ in range(5)))
    shuffled = rows.take([3, 1, 4, 0, 2])
    assert ids(Deduplicate().curate(rows, 0).rows) == ["r0"]
    assert ids(Deduplicate().curate(shuffled, 0).rows) == ["r0"]


@pytest.mark.parametrize("step", [Deduplicate(), CapPerUnit(0.5), CapPerUnit(2), Schema(), Clean()])
def test_no_rows_are_no_trouble(step: Curator) -> None:
    done = run_step(step, ROWS.empty_table(), 0)
    assert done.rows.num_rows == 0
    assert not done.dropped


def test_cap_says_how_many_rows_of_one_unit_were_dropped() -> None:
    """CUR-11: a flood by one account; raw unit names stay out of the facts."""
    flood = [{"unit": "mallory@example.org"} for _ in range(900)]
    rows = table(*flood, *({"unit": f"u{n % 50}"} for n in range(100)))
    done = CapPerUnit(0.05).curate(rows, 1)
    kept = pc.value_counts(done.rows["unit"]).to_pylist()
    most = max(kept, key=lambda pair: pair["counts"])
    assert most == {"values": "mallory@example.org", "counts": 5}
    assert most["counts"] <= 0.05 * done.rows.num_rows
    assert done.dropped == {"over the cap of one unit": 895}
    (largest,) = done.facts["largest"]
    assert (largest["rows"], largest["dropped"]) == (900, 895)
    assert "mallory" not in dumps(dict(done.facts))


def test_cap_in_rows_is_seeded_and_does_not_look_at_the_order() -> None:
    rows = table(*({"unit": "a"} for _ in range(40)), {"unit": None}, {"unit": None}, {"unit": None})
    one = CapPerUnit(2).curate(rows, 1)
    assert one.rows.num_rows == 4
    turned = rows.take(list(range(rows.num_rows))[::-1])
    assert sorted(ids(CapPerUnit(2).curate(turned, 1).rows)) == sorted(ids(one.rows))
    assert any(ids(CapPerUnit(2).curate(rows, seed).rows) != ids(one.rows) for seed in range(2, 6))


def test_cap_with_too_few_units_takes_the_share_of_what_came_in() -> None:
    rows = table(*({"unit": f"u{n % 3}"} for n in range(300)))
    assert CapPerUnit(0.01).curate(rows, 0).rows.num_rows == 9


@pytest.mark.parametrize("limit", [0, 0.0, 1.5, -1, True, "many"])
def test_cap_refuses_what_is_no_share_and_no_number(limit: object) -> None:
    with pytest.raises(ArgumentError, match="share in"):
        CapPerUnit(limit)  # type: ignore[arg-type]


def test_schema_drops_by_reason() -> None:
    """VAL-01."""
    step = Schema(input={"title": "text", "year": "integer?"}, target="text", refuse_above=1.0)
    rows = table(
        {"input": {"title": "x", "year": 3}},
        {"input": {"title": "x"}},
        {"input": {"title": " "}},
        {"input": {"title": None}},
        {"input": {"title": 3}},
        {"input": {"title": "x", "year": 3.5}},
        {"input": {"title": "x", "year": True}},
        {"input": {"year": 3}},
        {"input": "bare"},
        {"input": {"title": "x"}, "target": None},
    )
    done = step.curate(rows, 0)
    assert ids(done.rows) == ["r0", "r1"]
    assert done.dropped == {
        "input is text, not an object": 1,
        "target is null": 1,
        "title is empty": 1,
        "title is integer, not text": 1,
        "title is missing": 1,
        "title is null": 1,
        "year is boolean, not integer": 1,
        "year is number, not integer": 1,
    }


def test_schema_finds_nan_and_broken_json() -> None:
    rows = table({}, {}, {})
    broken = pa.array(['"fine"', "NaN", "{oops"])
    rows = rows.set_column(rows.schema.get_field_index("input"), "input", broken)
    done = Schema(refuse_above=0.9).curate(rows, 0)
    assert done.dropped == {"input is not JSON": 2}


def test_schema_refuses_when_too_much_is_broken() -> None:
    rows = table({"input": 1}, {"input": 2}, {"input": "x"})
    with pytest.raises(DataError, match="got 2 of 3: 2 x input is integer, not text"):
        Schema(input="text").curate(rows, 0)
    with pytest.raises(UnknownName, match="txt"):
        Schema(input={"title": "txt"})


def test_clean() -> None:
    """ING-05."""
    assert clean_text("  Tom &amp; Jerry\u00a0\n at cafe\u0301\x00 ") == "Tom & Jerry at caf\u00e9"
    rows = table({"input": {"t": " a &lt; b ", "n": 3}}, {"input": " \n "}, {"input": "same"})
    done = run_step(Clean(), rows, 0)
    assert done.rows["input"].to_pylist() == ['{"n":3,"t":"a < b"}', '"same"']
    assert done.dropped == {"nothing left": 1}
    assert done.facts == {"inputs changed": 2}


def only_even(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.equal(pc.bit_wise_and(rows["ts"], 1), 0))


def one_batch(rows: pa.RecordBatch) -> pa.RecordBatch:
    return rows.slice(1)


def forgets_a_column(rows: pa.Table) -> pa.Table:
    return rows.drop_columns(["target"])


def gives_nan(rows: pa.Table) -> pa.Table:
    nan = pa.array([float("nan")] * rows.num_rows)
    return rows.set_column(rows.schema.get_field_index("weight"), "weight", nan)


def gives_nothing(rows: pa.Table) -> None:
    return None


def two(rows: pa.Table, seed: int) -> pa.Table:
    return rows


def test_a_plain_function_is_a_step() -> None:
    module = ModuleType("steps_of_a_user")
    sys.modules[module.__name__] = module
    rows = table({}, {}, {})
    assert run_step(only_even, rows, 0).dropped == {"dropped": 1}
    assert ids(run_step(one_batch, rows, 0).rows) == ["r1", "r2"]
    assert version_of(only_even) == version_of(only_even) != version_of(one_batch)
    del sys.modules[module.__name__]


@pytest.mark.parametrize(
    ("step", "words"),
    [(forgets_a_column, "got no target"), (gives_nan, "finite weights"), (gives_nothing, "NoneType")],
)
def test_a_step_that_breaks_the_rows_is_named(step: object, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        run_step(step, table({}), 0)
    assert step.__name__ in str(caught.value)  # type: ignore[attr-defined]


@pytest.mark.parametrize("step", [two, Deduplicate, 3, lambda rows: rows])
def test_what_cannot_be_a_step_is_refused(step: object) -> None:
    with pytest.raises(DefinitionError):
        check_step(step)


@pytest.mark.parametrize(
    "step", [Deduplicate("latest"), CapPerUnit(0.01), CapPerUnit(1), Clean(), Schema({"a": "text"}, "text")]
)
def test_values_go_to_json_and_back(step: Curator) -> None:
    again = from_json(to_json(step))
    assert again == step
    assert digest(again) == digest(step)
    assert len(step.version) == 64
    assert isinstance(step, Curator)
