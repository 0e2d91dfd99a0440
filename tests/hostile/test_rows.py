# SPDX-License-Identifier: Apache-2.0
"""Rows that do not fit: on import, from the application, in the golden set, in a training."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.client import connect
from trueup.core.clock import ManualClock
from trueup.core.json import loads
from trueup.data import Recipe, list_snapshots
from trueup.loop import load_loop, run
from trueup.state import read
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


# -- import ---------------------------------------------------------------------------------------


def test_a_column_that_is_not_there_is_named_with_the_nearest(lived: Any) -> None:
    desk, before = lived, lived.holds()
    path = desk.data(toy_rows(20, seed=8), "more.jsonl")
    desk.trueup("import", path, "--map", "input=sentense").said(2, "T105", "'sentense'", "more.jsonl", "did you mean 'sentence'?")
    desk.trueup("import", path, "--map", "kind=knid").said(2, "T105", "'knid'", "did you mean 'kind'?")
    desk.trueup("import", path, "--map", "outcome=kind").said(2, "T103", "part of the mapping", "'outcome'")
    desk.trueup("import", path, "--map", "kind").said(2, "T101", "PART=COLUMN", "'kind'")
    desk.trueup("import", desk.folder / "mroe.jsonl").said(2, "T104", "mroe.jsonl")
    desk.trueup("import", desk.folder).said(2, str(desk.folder))
    (desk.folder / "rows.xlsx").write_bytes(b"PK\x03\x04")
    desk.trueup("import", "rows.xlsx").said(2, "T105", "JSON lines, CSV or Parquet", "rows.xlsx")
    (desk.folder / "rows.parquet").write_bytes(b"PAR1" + b"x" * 100)
    desk.trueup("import", "rows.parquet").said(2, "T105", "rows.parquet")
    (desk.folder / "empty.csv").write_text("")
    desk.trueup("import", "empty.csv").said(2, "T105", "empty.csv")
    assert desk.holds() == before
    assert not (desk.home / "quarantine").exists()


def test_rows_that_are_not_json_are_set_aside_with_their_lines(desk: Any) -> None:
    good = toy_rows(10, seed=8)
    rows: list[Any] = [*good]
    rows.insert(3, '{"sentence": "half')
    rows.insert(5, "[1, 2]")
    rows.insert(7, '{"sentence": NaN, "kind": "plant", "user": "u", "ts": "2026-01-01"}')
    rows.insert(9, '{"sentence": "w0x1", "kind": NaN, "user": "u", "ts": "2026-01-01"}')
    rows.insert(11, '{"sentence": "w0x1", "kind": "plant", "user": "u", "ts": "once"}')
    done = desk.trueup("import", desk.data(rows), "--yes", "--json").said(0).json
    assert (done["rows"], done["new"], done["labels"], done["quarantined"]) == (10, 10, 10, 5)
    aside = [loads(line) for line in Path(done["quarantine"]).read_text().splitlines()]
    assert [one["line"] for one in aside] == [4, 6, 8, 10, 12]
    for one, word in zip(aside, ("not JSON", "not an object but list", "NaN", "NaN", "'once'"), strict=True):
        assert word in one["reason"], one
    assert desk.trueup("import", desk.data(rows), "--yes").said(0).out.count("5 rows set aside") == 1
    with Ledger.open(desk.home) as ledger:
        assert ledger.count("toys", "interaction") == ledger.count("toys", "outcome") == 10
        signal = loads(ledger.scan("toys", "signal").to_pylist()[0]["extra"])
        assert (signal["quarantined"], signal["rows"]) == (5, 10)
    assert desk.holds() is not None


def test_a_file_of_nothing_that_fits_says_the_first_reason(lived: Any) -> None:
    desk, before = lived, lived.holds()
    row = {"sentence": "w0x1", "kind": "plant", "user": None, "ts": "2026-01-01"}
    desk.data([json.dumps(row)] * 3, "bad.jsonl")
    desk.trueup("import", "bad.jsonl", "--yes").said(2, "T105", "all 3 were set aside", "line 1", "user is missing", "quarantine")
    desk.data(["not json"] * 3, "worse.jsonl")
    desk.trueup("import", "worse.jsonl", "--yes").said(2, "T105", "worse.jsonl", "none that can be read")
    assert desk.holds() == before


def test_a_file_that_ends_too_early_can_be_imported_again(desk: Any) -> None:
    whole = gzip.compress(desk.data(toy_rows(3_000, seed=8)).read_bytes())
    path = desk.folder / "half.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    desk.trueup("import", path, "--yes").said(2, "T105", "half.jsonl.gz", "to its end")
    assert desk.holds()["cut"] >= 0
    path.write_bytes(whole)
    desk.trueup("import", path, "--yes").said(0)
    with Ledger.open(desk.home) as ledger:
        assert ledger.count("toys", "interaction") == 3_000


# -- the application ------------------------------------------------------------------------------


def test_nan_from_the_application_costs_its_part_and_raises_nothing(lived: Any) -> None:
    """ING-10: the request is counted without what JSON cannot hold; `trueup quarantine` says why."""
    desk = lived
    with connect("toys", desk.home) as client:
        for wrong in (float("nan"), [float("nan")], {"x": float("inf")}, object()):
            choice = client.choose("u1")
            client.log(choice, wrong, "plant")
            client.feedback(choice.id, "kind", wrong)
    told = desk.trueup("quarantine", "--json").said(0).json
    assert len(told["requests"]) == 4
    assert all("JSON" in row["reason"] for row in told["requests"])


# -- golden sets ----------------------------------------------------------------------------------


@pytest.fixture
def ledger(desk: Any) -> Iterator[Ledger]:
    with Ledger.open(desk.home, clock=ManualClock(START)) as made:
        yield made


def test_golden_items_among_the_rows_never_train(desk: Any, ledger: Ledger) -> None:
    """Excluded whole, in other cases and white space; counted in the funnel by set and reason."""
    golden = toy_rows(120, seed=77)
    rows = [*toy_rows(60, seed=3), *golden[:40], *((f"  {given.upper()} ", target) for given, target in golden[40:50])]
    ledger.append(toy_history("toys", rows, START))
    made = run(load_loop(desk.file), ledger, base=desk.folder)
    assert made[-1].kind == "start", made
    (snapshot,) = list_snapshots(ledger, "toys")
    inputs = {loads(text) for text in snapshot.rows()["input"].to_pylist()}
    assert inputs == {given for given, _ in rows[:60]}
    step = next(step for step in snapshot.funnel.steps if step.name == "golden")
    assert (step.rows_in, step.rows_out, dict(step.dropped)) == (110, 60, {"same input as golden core": 50})
    shown = desk.trueup("snapshot", "show", snapshot.id).said(0)
    assert "same input as golden core" in shown.out


def test_a_golden_set_too_small_for_its_gate_is_refused_with_the_numbers(desk: Any) -> None:
    desk.write(gates="[NoWorse(Accuracy(), by=0.01, on=core)]")
    desk.file.write_text(desk.file.read_text().replace("Accuracy, AtLeast", "Accuracy, AtLeast, NoWorse"))
    words = ("golden set core", "120 items, margin 0.01, level 0.05 needs at least")
    checked = desk.trueup("check").said(2)
    assert all(word in checked.out for word in words), checked.out
    desk.trueup("run").said(2, "T102", *words)
    assert desk.holds()["loops"] == {}


def test_a_golden_file_that_is_damaged_says_where(desk: Any) -> None:
    path = desk.folder / "golden.jsonl"
    lines = path.read_text().splitlines()
    lines[4], lines[8] = '{"input": "half', '{"input": "w0x1", "target": null}'
    path.write_text("\n".join([*lines, lines[0]]))
    checked = desk.trueup("check").said(2)
    for word in ("line 5: ", "line 9: expected 'target', got null", f"line {len(lines) + 1}: the same input as line 1"):
        assert word in checked.out, checked.out
    desk.trueup("run").said(2, "T102", "golden.jsonl", "line 5: ")


def test_a_frozen_golden_set_that_was_changed_judges_nobody(desk: Any) -> None:
    desk.imported()
    desk.trueup("golden", "freeze").said(0)
    path = desk.folder / "golden.jsonl"
    whole = path.read_text()
    path.write_text("\n".join(whole.splitlines()[1:]))
    desk.trueup("golden", "freeze").said(2, "T105", "'core' as it was frozen", "under a new name")
    made = desk.trueup("run", "--json").said(0).json
    assert [(one["kind"], one["verdict"]) for one in made][-1] == ("stop", "REFUSE")
    assert "'core' as it was frozen" in made[-1]["reason"]
    with Ledger.open(desk.home) as ledger:
        _, state = read(ledger, "toys")
        assert (state.cycle, state.trained, state.waiting) == (None, None, None)
        assert not ledger.records("toys", "snapshot")
        assert not ledger.records("toys", "golden_use")
    path.write_text(whole)
    again = desk.trueup("run", "--now", "--json").said(0).json
    assert ("candidate", "PASS") in [(one["kind"], one["verdict"]) for one in again]
    assert desk.holds() is not None


# -- a training -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "recipe", "words"), [
    (toy_rows(60, seed=3), {"window": HOUR}, ("snapshot: Empty window", "60 before")),
    ([(given, "plant") for given, _ in toy_rows(60, seed=3)], {}, ("snapshot: ", "plant")),
    (toy_rows(60, seed=3), {"min_rows": 100}, ("snapshot: ", "60", "100")),
    (toy_rows(120, seed=77), {}, ("snapshot: ", "0")),
], ids=["an empty window", "one class only", "too few rows", "nothing but golden items"])  # fmt: skip
def test_rows_that_cannot_train_are_a_refusal_that_says_why(
    rows: Any, recipe: dict[str, Any], words: tuple[str, ...], desk: Any, ledger: Ledger
) -> None:
    loop = load_loop(desk.file)
    loop = replace(loop, recipe=replace(loop.recipe, **recipe)) if recipe else loop
    assert isinstance(loop.recipe, Recipe)
    ledger.append(toy_history("toys", rows, START - 2 * HOUR))
    made = run(loop, ledger, base=desk.folder)
    assert [(one.kind, one.verdict) for one in made] == [
        ("install", "PROMOTE"), ("look", "TRAIN"), ("stop", "REFUSE"),
    ]  # fmt: skip
    for word in words:
        assert word in made[-1].reason, made[-1].reason
    assert made[-1].evidence["funnel"], "how the rows went is told as well"
    _, state = read(ledger, "toys")
    assert (state.cycle, state.trained, state.waiting) == (None, None, None)
    assert not ledger.records("toys", "snapshot")
    assert not [one for one in ledger.doctor() if one.level == "error"]
    ledger.clock.advance(HOUR)  # type: ignore[attr-defined]
    assert run(loop, ledger, base=desk.folder)[0].verdict == "TRAIN", "the next look tries again"
