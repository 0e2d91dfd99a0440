# SPDX-License-Identifier: Apache-2.0
"""ING-10, ING-02: how a column is written is decided by all of its values; what they leave open is asked."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core.clock import to_us
from trueup.core.errors import DataError, UnknownName
from trueup.core.task import Outcome, Task
from trueup.data import (
    Mapping,
    certain,
    import_file,
    parse_time,
    propose,
    propose_mapping,
    settled,
    with_maps,
)
from trueup.data.columns import Column, columns_of
from trueup.data.numbers import DECIMAL_COMMA, DECIMAL_POINT, parse_number, spellings
from trueup.data.times import Spelling, readings, spelling_from
from trueup.models import Features
from trueup.store import Ledger

TASK = Task(input="features", output="prediction", unit="user_id")
LABEL = Outcome.of_input("label")


def table(path: Path, **columns: Sequence[Any]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def column(path: Path, values: Sequence[Any], name: str = "x") -> Column:
    found = columns_of(table(path, **{name: values, "label": ["a"] * len(values)}))
    return next(one for one in found if one.name == name)


def spelling_of(values: Sequence[Any]) -> Spelling:
    return spelling_from(Counter(readings(given) for given in values))


DAY = to_us(datetime(2026, 2, 13, tzinfo=UTC))
MOMENT = to_us(datetime(2026, 2, 13, 10, 15, tzinfo=UTC))


@pytest.mark.parametrize(("given", "spelling", "us"), [
    ("13/02/2026", "day-first", DAY), ("2/13/2026", "month-first", DAY), ("13-02-26", "day-first", DAY),
    ("13.02.2026", "", DAY), ("13-Feb-2026", "", DAY), ("Feb 13, 2026", "", DAY), ("13 February 2026", "", DAY),
    ("2026-02-13 10:15:00 UTC", "", MOMENT), ("2026-02-13 11:15:00 +0100", "", MOMENT), ("13/02/2026 10:15", "day-first", MOMENT),
    ("2/13/26 10:15 AM", "month-first", MOMENT), ("2/13/2026 2:15 am PST", "month-first", MOMENT),
    ("Fri, 13 Feb 2026 11:15:00 +0100", "", MOMENT), ("Fri Feb 13 10:15:00 +0000 2026", "", MOMENT),
    ("13/Feb/2026:10:15:00 +0000", "", MOMENT), ("2026-02-13T11:15:00+01:00[Europe/Berlin]", "", MOMENT),
    ("46066", "excel-days", DAY), (46066.0, "excel-days", DAY), (46066 + 10.25 / 24, "excel-days", MOMENT), (20260213, "", DAY),
    ("20260213", "", DAY), (202602, "yyyymm", DAY - 12 * 86_400_000_000), (2026, "years", to_us(datetime(2026, 1, 1, tzinfo=UTC))),
    (5, "seconds", 5_000_000), (5, "milliseconds", 5_000), ("1712111230455", "", 1_712_111_230_455_000),
    ("1965-04-01", "", to_us(datetime(1965, 4, 1, tzinfo=UTC))), ("1.4.1865", "", to_us(datetime(1865, 4, 1, tzinfo=UTC))),
])
def test_dates_by_content(given: Any, spelling: str, us: int) -> None:
    assert parse_time(given, spelling) == us
    if spelling not in ("seconds", "milliseconds"):
        assert spelling_of([given]) == Spelling(spelling, share=1.0)


@pytest.mark.parametrize(("given", "spelling"), [
    ("13/02/2026", ""), ("01/02/2026", ""), ("13/02/2026", "month-first"), (2026, ""), (46066, ""), (202602, ""), ("202602", ""),
    (0, ""), (99_999_999, ""), ("2026-02-30", ""), ("30/02/2026", "day-first"), ("2026-02-13 CET", ""), ("25:00", ""), ("13 Foo 2026", ""),
    (202613, "yyyymm"), ("2026-02-13 10:15 XYZ", ""),
])
def test_never_a_silent_1970(given: Any, spelling: str) -> None:
    """ING-10: a value that is no time by itself is refused, with the ways to say what it is."""
    with pytest.raises(DataError, match="expected a time") as caught:
        parse_time(given, spelling)
    assert "day-first" in str(caught.value.cure)


def test_the_order_of_a_date_is_its_columns(tmp_path: Path) -> None:
    assert spelling_of(["01/02/2026", "13/02/2026"]).name == "day-first"
    assert spelling_of(["01/02/2026", "2/13/2026"]).name == "month-first"
    assert spelling_of(["01/02/2026", "2026-05-01"]).doubt == ("day-first", "month-first")
    assert spelling_of(["13/02/2026", "2/13/2026"]).name is None
    assert spelling_of(["13/02/2026"] * 9 + ["soon"]).name == "day-first"
    late = ["01/02/2026"] * 3_000 + ["13/02/2026"]  # far beyond the first rows
    assert column(tmp_path / "a.csv", late).time.name == "day-first"
    assert column(tmp_path / "b.csv", late[:-1]).time.doubt == ("day-first", "month-first")


def test_an_open_order_is_asked_for(tmp_path: Path, ledger: Ledger) -> None:
    """ING-02: nothing is written until somebody has said how the dates are read."""
    path = table(tmp_path / "a.csv", text=["one", "two"], date=["01/02/2026", "03/04/2026"], label=["a", "b"])
    with pytest.raises(DataError, match="reads as day-first and as month-first") as caught:
        import_file(ledger, path, "l", task=TASK, outcomes=[LABEL])
    assert caught.value.cure == "--map day-first=date or --map month-first=date"
    assert ledger.count("l", "interaction") == 0
    found = with_maps(propose(path, TASK, [LABEL]).mapping, ["month-first=date"], ["label"])
    import_file(ledger, path, "l", found, task=TASK, outcomes=[LABEL])
    moments = ledger.scan("l", "interaction", columns=["ts"])["ts"].to_pylist()
    assert moments == [to_us(datetime(2026, 1, 2, tzinfo=UTC)), to_us(datetime(2026, 3, 4, tzinfo=UTC))]


def test_times_by_their_values_not_their_name(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", a=range(30), known=["yes", "no"] * 15, when_asked=["2026-01-02"] * 30, label=["a"] * 30)
    found = propose_mapping(path, TASK, [LABEL])
    assert (found.known, found.ts) == (None, "when_asked")
    path = table(tmp_path / "b.csv", a=range(30), left=["2026-01-02"] * 30, right=["2026-01-03"] * 30, label=["a"] * 30)
    with pytest.raises(DataError, match="several columns are times") as caught:
        propose_mapping(path, TASK, [LABEL])
    assert caught.value.cure == "--map ts=left or --map ts=right or --map ts="
    path = table(tmp_path / "c.csv", price=range(20_000, 20_030), date=range(45_000, 45_030), label=["a"] * 30)
    found = propose_mapping(path, TASK, [LABEL])
    assert (found.input, found.ts, found.spelled) == ("price", "date", {"date": "excel-days"})


@pytest.mark.parametrize(("values", "spelling", "numbers"), [
    (["1.5", "NA", "-2", "", "n/a", "null", "-"], "", [1.5, None, -2, None, None, None, None]),
    (["6,229", "0,5"], DECIMAL_COMMA, [6.229, 0.5]),
    (["1.234,50", "2"], DECIMAL_COMMA, [1234.5, 2]),
    (["1,234.50", "12"], DECIMAL_POINT, [1234.5, 12]),
    (["€6.23", "€ 7"], DECIMAL_POINT, [6.23, 7]),
    (["6,23 €", "1.007,10 €"], DECIMAL_COMMA, [6.23, 1007.1]),
    (["EUR 5", "EUR 6.5"], DECIMAL_POINT, [5, 6.5]),
    (["(1,234.50)", "3"], DECIMAL_POINT, [-1234.5, 3]),
    (["5%", "6.5%"], DECIMAL_POINT, [5, 6.5]),
    (["1 234,5", "2,5"], DECIMAL_COMMA, [1234.5, 2.5]),
    (["1e3", "2"], "", [1000.0, 2]),
])
def test_numbers_by_content(tmp_path: Path, values: list[str], spelling: str, numbers: list[Any]) -> None:
    path = table(tmp_path / "a.csv", x=values, y=range(len(values)), label=["a"] * len(values))
    found = propose_mapping(path, TASK, [LABEL])
    assert "x" in found.numbers
    assert found.spelled.get("x", "") == spelling
    with Ledger.open(tmp_path / "home") as ledger:
        import_file(ledger, path, "l", task=TASK, outcomes=[LABEL])
        inputs = [json.loads(one)["x"] for one in ledger.scan("l", "interaction", columns=["input"])["input"].to_pylist()]
    assert inputs == numbers
    assert [type(one) for one in inputs] == [type(one) for one in numbers], "whole numbers stay whole"


@pytest.mark.parametrize(("values", "kind"), [
    (["01067", "10115"], "code"), (["$5", "€6"], "text"), (["5%", "6"], "text"), (["1.5", "many", "few"], "text"),
    (["1,5", "2.5"], "text"), (["V1.10", "V1.2"], "text"),
])
def test_what_is_no_number(tmp_path: Path, values: list[str], kind: str) -> None:
    assert column(tmp_path / "a.csv", values).type == kind
    assert "x" not in propose_mapping(table(tmp_path / "b.csv", x=values, y=range(len(values)), label=["a"] * len(values)), TASK, [LABEL]).numbers


def test_what_numbers_leave_open_is_asked_for(tmp_path: Path, ledger: Ledger) -> None:
    path = table(tmp_path / "a.csv", x=["1,234", "5,678"], y=[1, 2], label=["a", "b"])
    with pytest.raises(DataError, match="another number by a decimal comma") as caught:
        propose_mapping(path, TASK, [LABEL])
    assert caught.value.cure == "--map decimal-comma=x or --map decimal-point=x"
    mapping = with_maps(propose(path, TASK, [LABEL]).mapping, ["decimal-point=x"], ["label"])
    import_file(ledger, path, "l", mapping, task=TASK, outcomes=[LABEL])
    assert '{"x":1234,"y":1}' in ledger.scan("l", "interaction", columns=["input"])["input"].to_pylist()
    mostly = table(tmp_path / "b.csv", x=[*range(40), "many"], y=range(41), label=["a"] * 41)
    with pytest.raises(DataError, match=r"98% of its values are numbers .*line 42: 'many'") as caught:
        propose_mapping(mostly, TASK, [LABEL])
    assert caught.value.cure == "--map numbers=y,x or --map text=x"
    first = propose(mostly, TASK, [LABEL])
    assert "x" not in certain(settled(mostly, with_maps(first.mapping, ["text=x"], ["label"]), TASK, [LABEL]), "").numbers
    kept = certain(settled(mostly, with_maps(first.mapping, ["numbers=y,x"], ["label"]), TASK, [LABEL]), "")
    assert import_file(ledger, mostly, "m", kept, task=TASK, outcomes=[LABEL]).quarantined == 1


def test_a_code_far_down_keeps_its_zero(tmp_path: Path) -> None:
    """One leading zero in all rows makes the column a code, and none is lost."""
    values = [str(10_000 + n) for n in range(2_500)] + ["01067"]
    assert column(tmp_path / "a.csv", values).type == "code"
    with pytest.raises(DataError, match="leading zero"):
        parse_number("zip", "01067")


def test_the_features_of_the_loop_decide(tmp_path: Path, ledger: Ledger) -> None:
    """Types come from the loop, not from each file; a field by itself is still a field."""
    path = table(tmp_path / "a.csv", zip=["10115", "20095"], y=["1", "2"], label=["a", "b"])
    features = Features(numeric=("y",), categorical=("zip",))
    found = propose_mapping(path, Task(input="features", output="prediction", unit="u"), [Outcome.of_input("truth")], features)
    assert (found.input, found.numbers, found.outcomes) == (("zip", "y"), ("y",), {"truth": "label"})
    import_file(ledger, path, "l", task=TASK, outcomes=[LABEL], features=features)
    assert '{"y":1,"zip":"10115"}' in ledger.scan("l", "interaction", columns=["input"])["input"].to_pylist()
    alone = table(tmp_path / "b.csv", y=["1", "2"], label=["a", "b"])
    assert propose_mapping(alone, TASK, [LABEL], Features(numeric=("y",))).input == ("y",)
    assert propose_mapping(alone, TASK, [LABEL]).input == "y"
    codes = table(tmp_path / "c.csv", y=["007", "12"], label=["a", "b"])
    import_file(ledger, codes, "m", task=TASK, outcomes=[LABEL], features=Features(numeric=("y",)))
    assert '{"y":7}' in ledger.scan("m", "interaction", columns=["input"])["input"].to_pylist()


def test_nullable_columns_of_a_data_frame(tmp_path: Path, ledger: Ledger) -> None:
    """Whole numbers and booleans that a data frame made fractions, for the nulls beside them."""
    n = 20
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({
        "user_id": [float(i) for i in range(n)], "x": [i / n for i in range(n)], "z": [1.5] * n,
        "label": [None if i % 10 == 0 else float(i > 9) for i in range(n)], "clicked": [None if i % 3 else 1.0 for i in range(n)],
    }), path)  # fmt: skip
    done = import_file(ledger, path, "l", task=TASK, outcomes=[LABEL, Outcome.boolean("clicked")])
    assert (done.quarantined, done.labels) == (0, 18 + 7)
    told = {(row["name"], row["output"]) for row in ledger.scan("l", "outcome").to_pylist()}
    assert told == {("label", "0"), ("label", "1"), ("clicked", "true")}
    assert set(ledger.scan("l", "interaction", columns=["unit"])["unit"].to_pylist()) == {str(i) for i in range(n)}


@pytest.mark.parametrize("words", [("1", "0"), ("Y", "N"), ("t", "f"), ("yes", "no"), ("True", "FALSE"), ("1.0", "0.0"), ("on", "off")])
def test_booleans_in_any_words(tmp_path: Path, ledger: Ledger, words: tuple[str, str]) -> None:
    path = table(tmp_path / "a.csv", x=range(4), y=range(4), label="abab", clicked=[words[0], words[1], "NA", ""])
    done = import_file(ledger, path, "l", task=TASK, outcomes=[LABEL, Outcome.boolean("clicked")])
    assert (done.quarantined, done.labels) == (0, 6)
    assert [row["output"] for row in ledger.scan("l", "outcome").to_pylist() if row["name"] == "clicked"] == ["true", "false"]


def test_a_row_keeps_its_id_now_that_whole_numbers_stay_whole(tmp_path: Path, ledger: Ledger) -> None:
    """An export that grows is imported every night: what was imported before is not added again."""
    path = table(tmp_path / "a.csv", year=["1990", "1991.5"], kind=["a", "b"], label=["x", "y"])
    import_file(ledger, path, "l", task=TASK, outcomes=[LABEL])
    from trueup.core.json import dumps, sha256

    ids = ledger.scan("l", "interaction", columns=["id", "input"]).to_pylist()
    whole = next(row for row in ids if "1990" in row["input"])
    assert whole["input"] == '{"kind":"a","year":1990}'
    assert whole["id"] == sha256(dumps(["l", None, None, None, '{"kind":"a","year":1990.0}', None]))[:32]


def test_mistakes_in_how_a_column_is_written() -> None:
    with pytest.raises(UnknownName, match="days-first"):
        with_maps(Mapping(input="x"), ["days-first=date"], [])
    with pytest.raises(UnknownName, match="spelling of date"):
        Mapping(input="x", spelled={"date": "backwards"})
    assert spellings("0,004") == {DECIMAL_COMMA}, "no number of thousands begins with a zero"
