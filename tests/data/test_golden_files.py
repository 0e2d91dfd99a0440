# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trueup.core.clock import ManualClock, to_us
from trueup.core.errors import ArgumentError, DataError, NotFound
from trueup.core.events import Event
from trueup.core.json import dumps
from trueup.core.values import digest, from_json, to_json
from trueup.data import GoldenSet, add_items
from trueup.store import Ledger

DAY_US = 86_400_000_000


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_items_with_slices_beside_and_within_the_input(tmp_path: Path) -> None:
    """EVL-01."""
    path = write(
        tmp_path / "core.jsonl",
        '{"input": {"title": "a", "topic": "war"}, "target": "x", "cohort": 2019}',
        "",
        '{"input": {"title": "b"}, "target": "y", "id": "mine", "topic": "art"}',
    )
    items = GoldenSet("core", path, slices=("topic", "cohort")).load()
    assert len(items) == 2
    assert items.inputs[0] == {"title": "a", "topic": "war"}
    assert items.slices == {"topic": ("war", "art"), "cohort": ("2019", None)}
    assert items.ids[1] == "mine"
    assert items.ids[0].startswith("g-")


def test_the_digest_is_that_of_the_items(tmp_path: Path) -> None:
    one = GoldenSet("a", write(tmp_path / "a", '{"input":"x","target":"y"}')).load()
    same = GoldenSet("b", write(tmp_path / "b", '', '{ "target": "y", "input": "x" }')).load()
    other = GoldenSet("c", write(tmp_path / "c", '{"input":"x","target":"z"}')).load()
    assert one.digest == same.digest != other.digest


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bad.jsonl",
        '{"input": "x", "target": "y"}',
        "{oops",
        '{"input": "z"}',
        '{"input": "n", "target": NaN}',
        '{"input": "x", "target": "other"}',
        "[1]",
        '{"input": "w", "target": null}',
    )
    with pytest.raises(DataError) as caught:
        GoldenSet("bad", path).load()
    words = str(caught.value)
    assert "line 2: expected JSON" in words
    assert "line 3: expected 'target', got no such key" in words
    assert "line 4" in words
    assert "line 5: the same input as line 1" in words
    assert "line 6: expected an object, got list" in words
    assert "(and 1 more)" in words


def test_not_utf8_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    path.write_bytes(b'{"input": "x", "target": "y"}\n{"input": "\xff", "target": "y"}\n')
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        GoldenSet("g", path).load()
    path.write_text('{"input": "\\ud800", "target": "y"}\n')
    with pytest.raises(DataError, match=r"line 1: .*surrogate"):
        GoldenSet("g", path).load()


def test_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"golden file at .*none.jsonl"):
        GoldenSet("g", tmp_path / "none.jsonl").load()
    with pytest.raises(DataError, match="at least one item"):
        GoldenSet("g", write(tmp_path / "empty.jsonl")).load()
    with pytest.raises(DataError, match="slice 'topc'"):
        GoldenSet("g", write(tmp_path / "g", '{"input":"x","target":"y"}'), slices=("topc",)).load()
    with pytest.raises(ArgumentError):
        GoldenSet("", tmp_path / "g")


def test_add_appends_once_and_keeps_what_was_there(tmp_path: Path) -> None:
    golden = GoldenSet("g", tmp_path / "deep" / "g.jsonl")
    assert add_items(golden, [{"input": "a", "target": "x"}, {"input": "b", "target": "x"}]) == 2
    golden.path.write_bytes(golden.path.read_bytes().rstrip(b"\n"))
    assert add_items(golden, [{"input": "b", "target": "x"}, {"input": "c", "target": "x"}] * 2) == 1
    assert golden.load().inputs == ("a", "b", "c")
    before = golden.path.read_bytes()
    with pytest.raises(DataError, match="one target an input"):
        add_items(golden, [{"input": "d", "target": "x"}, {"input": "a", "target": "other"}])
    assert golden.path.read_bytes() == before
    assert [path.name for path in golden.path.parent.iterdir()] == ["g.jsonl"]


def test_a_golden_set_goes_to_json_and_back(tmp_path: Path) -> None:
    golden = GoldenSet("core", tmp_path / "g.jsonl", slices=("topic",))
    assert to_json(golden, tmp_path)["path"] == {"kind": "path", "path": "g.jsonl"}
    assert from_json(to_json(golden, tmp_path), tmp_path) == golden
    assert digest(golden, tmp_path) == digest(GoldenSet("core", tmp_path / "g.jsonl", ["topic"]), tmp_path)
    assert dumps(to_json(golden))


def test_val_11_items_of_units_that_were_never_there_are_a_slice_of_a_fixed_set(tmp_path: Path) -> None:
    """By what the ledger heard of the item's unit before the item's own time; an item without a unit has no history."""
    home = tmp_path / "home"
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with Ledger.open(home, clock=ManualClock(start + timedelta(days=9))) as ledger:
        ledger.append([
            Event(f"c{at}", "l", "interaction", to_us(start) + at * DAY_US, to_us(start) + at * DAY_US, unit=f"u{at}", input='"q"')
            for at in range(4)
        ])
        path = tmp_path / "core.jsonl"
        items = [
            {"input": "a", "target": "x", "unit": "u0"}, {"input": "b", "target": "x", "unit": "nobody"},
            {"input": "c", "target": "y", "unit": "u3", "at": "2026-01-02"}, {"input": "d", "target": "y"},
        ]
        path.write_text("".join(json.dumps(item) + "\n" for item in items))
        golden = GoldenSet("core", path, slices=("history",))
        assert golden.load().slices["history"] == (None,) * 4  # no ledger, no history
        found = golden.items(ledger, loop="l", target="label", cut=ledger.cut(), now_us=to_us(ledger.clock.now()))
        assert found.slices["history"] == ("known", "new", "new", None)
        assert found.digest == golden.load().digest
        path.write_text(json.dumps({"input": "e", "target": "x", "unit": "u0", "at": "yesterday"}) + "\n")
        with pytest.raises(DataError, match="ISO"):
            golden.items(ledger, loop="l", target="label", cut=ledger.cut(), now_us=0)
