# SPDX-License-Identifier: Apache-2.0
"""log, feedback, expose and signal: what they write, in any order, and what they refuse."""

import itertools
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.client import connect
from trueup.core import ManualClock, UserError, to_us
from trueup.core.errors import ArgumentError, DataError, Refused
from trueup.store import Ledger

START = datetime(2026, 3, 1, tzinfo=UTC)
BOTH = pytest.mark.parametrize("acknowledge", ["sync", "enqueue"])


@BOTH
def test_an_interaction_carries_who_answered(
    home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any, acknowledge: Any
) -> None:
    """FBK-01: the request, its answer, and by whom, with what propensity."""
    generation = decide(half)
    clock = ManualClock(START)
    with connect("news", home, clock=clock, acknowledge=acknowledge) as client:
        choice = client.choose("user-1")
        clock.advance(timedelta(seconds=3))
        client.log(choice, {"b": [1, None], "a": "é"}, ["x"], seconds=0.25, keep=False)
        client.expose(choice)
    row = rows("interaction")[0]
    assert (row["id"], row["unit"], row["arm"], row["candidate"]) == (
        choice.id, "user-1", choice.arm, choice.candidate)
    assert (row["propensity"], row["generation"], row["release"]) == (0.5, generation, "r-1")
    assert (row["input"], row["output"]) == ('{"a":"é","b":[1,null]}', '["x"]')
    assert (row["error"], row["seconds"], bool(row["keep"])) == (None, 0.25, False)
    assert row["ts"] == to_us(START + timedelta(seconds=3))
    seen = rows("exposure")[0]
    assert (seen["id"], seen["arm"], seen["propensity"]) == (choice.id, choice.arm, 0.5)


def test_an_error_is_an_answer_too(home: Path, ledger: Ledger, rows: Any) -> None:
    with connect("news", home) as client:
        client.log(client.choose("u"), "in", error="timed out \udcff", seconds=30)
    row = rows("interaction")[0]
    assert (row["output"], row["error"], row["seconds"]) == (None, "timed out ?", 30.0)


def test_a_choice_is_logged_once(home: Path, ledger: Ledger, rows: Any) -> None:
    with connect("news", home) as client:
        choice = client.choose("u")
        client.log(choice, "in", "first")
        client.log(choice, "in", "second")
    assert [row["output"] for row in rows("interaction")] == ['"first"']


@BOTH
@pytest.mark.parametrize("order", list(itertools.permutations(["log", "yes", "yes", "no"], 4))[::3])
def test_feedback_in_any_order(
    home: Path, ledger: Ledger, rows: Any, acknowledge: Any, order: tuple[str, ...]
) -> None:
    """FBK-01, ING-06: before the interaction, late, twice, corrected: the same facts in the end."""
    with connect("news", home, clock=ManualClock(START), acknowledge=acknowledge) as client:
        choice = client.choose("u")
        for step in order:
            if step == "log":
                client.log(choice, "in", "out")
            else:
                client.feedback(choice.id, "thumbs_up", step == "yes")
    assert {(row["choice"], row["name"], row["value"], row["output"]) for row in rows("outcome")} == {
        (choice.id, "thumbs_up", 1.0, "true"), (choice.id, "thumbs_up", 0.0, "false")}
    assert len(rows("outcome")) == 2
    assert len(rows("interaction")) == 1


def test_a_key_makes_it_one_fact(home: Path, ledger: Ledger, rows: Any) -> None:
    when = datetime(2026, 2, 1, 12, tzinfo=UTC)
    with connect("news", home) as client:
        client.feedback("choice-1", "click", 1, key="event-7", ts=when)
        client.feedback("choice-1", "click", 1, key="event-7", ts=to_us(when) + 5)
        client.feedback("choice-1", "click", 1, key="event-8", ts=to_us(when))
    assert [(row["key"], row["ts"]) for row in rows("outcome")] == [
        ("event-7", to_us(when)), ("event-8", to_us(when))]


@pytest.mark.parametrize("value", ["drama", ["a", "b"], {"x": 1}, None, 3.5, True, 10**30])
def test_any_json_is_feedback(home: Path, ledger: Ledger, rows: Any, value: Any) -> None:
    """FBK-02: ratings, labels, texts, reports of an error: whatever JSON can hold."""
    with connect("news", home) as client:
        client.feedback("c", "label", value)
    assert json.loads(rows("outcome")[0]["output"]) == value


def test_signals(home: Path, ledger: Ledger, rows: Any) -> None:
    with connect("news", home) as client:
        client.signal("import_done", rows=3)
        with pytest.raises(DataError, match="expected"):
            client.signal("import_done", rows=object())
    assert [(row["name"], json.loads(row["extra"])) for row in rows("signal") if row["name"] == "import_done"] == [
        ("import_done", {"rows": 3})]


def deep() -> list[Any]:
    nest: list[Any] = []
    for _ in range(100_000):
        nest = [nest]
    return nest


BAD_JSON = [math.nan, math.inf, {"x": math.nan}, object(), {1, 2}, b"bytes", "\ud800", {"\udfff": 1}, deep(), 10**5000, {"x": 10**5000}]
BAD_LOG: list[dict[str, Any]] = [
    {"seconds": math.nan}, {"seconds": -1}, {"seconds": "1"}, {"seconds": True}, {"seconds": 10**400},
    {"keep": None}, {"keep": 1}, {"error": ValueError("x")}, {"error": ""}, {"ts": 1.5},
    {"ts": 1_700_000_000}, {"ts": True}, {"ts": "2026-01-01"}, {"ts": 10**19},
]


@BOTH
@pytest.mark.parametrize("bad", BAD_JSON, ids=lambda value: type(value).__name__)
def test_what_json_cannot_hold_never_raises_into_a_request(
    home: Path, ledger: Ledger, rows: Any, acknowledge: Any, bad: Any
) -> None:
    """ING-10: the request is counted without the part, with the reason; such feedback is told as a fault."""
    with connect("news", home, acknowledge=acknowledge) as client:
        client.log(client.choose("u"), bad, "out", propensity=0.5)
        client.log(client.choose("u"), "in", bad)
        client.feedback("c", "x", bad)
        client.log(client.choose("u"), "in", "out")
    told = rows("interaction", "outcome")
    assert [(row["input"], row["output"]) for row in told] == [(None, '"out"'), ('"in"', None), ('"in"', '"out"')]
    extra = [json.loads(row["extra"] or "{}") for row in told]
    assert (extra[0]["propensity"], [*extra[0]["unfit"]], [*extra[1]["unfit"]], extra[2]) == (0.5, ["input"], ["output"], {})
    assert extra[0]["unfit"]["input"].startswith("expected")
    assert len(told[0]["extra"]) < 400
    faults = {json.loads(row["extra"])["fault"] for row in rows("signal") if row["name"] == "client_fault"}
    assert faults >= {"log", "feedback"}


@pytest.mark.parametrize("bad", BAD_LOG, ids=str)
def test_what_is_no_argument_is_refused(home: Path, ledger: Ledger, rows: Any, bad: dict[str, Any]) -> None:
    with connect("news", home) as client:
        with pytest.raises(ArgumentError, match="expected"):
            client.log(client.choose("u"), "in", "out", **bad)
        with pytest.raises(ArgumentError, match="expected a choice"):
            client.log("choice", "in", "out")  # type: ignore[arg-type]
    assert rows("interaction") == []


@pytest.mark.parametrize(
    "bad", [("", "x", 1), (None, "x", 1), ("c", "", 1), ("c", 3, 1), ("c", "x" * 2000, 1),
            ("c", "x", 1, ""), ("c", "x", 1, 7), ("\ud800", "x", 1)], ids=lambda bad: str(bad)[:30].encode("ascii", "replace").decode()
)
def test_what_is_no_feedback_is_refused(home: Path, ledger: Ledger, rows: Any, bad: tuple[Any, ...]) -> None:
    with connect("news", home) as client, pytest.raises(UserError, match="expected"):
        client.feedback(*bad)
    assert rows("outcome") == []


def test_a_unit_with_nul_and_quotes_comes_back(home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any) -> None:
    decide(half)
    odd = ["a\0b", "'; drop table event; --", "汉字", "👩‍🚀", "x" * 1024, "\n"]
    with connect("news", home) as client:
        for unit in odd:
            client.log(client.choose(unit), unit, unit)
    assert [row["unit"] for row in rows("assignment")] == odd
    assert [json.loads(row["input"]) for row in rows("interaction")] == odd


@BOTH
def test_a_closed_client(home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any, acknowledge: Any) -> None:
    decide(half)
    client = connect("news", home, acknowledge=acknowledge)
    choice = client.choose("u")
    client.close()
    client.close()
    assert client.choose("u").arm == "champion"
    assert client.choose("u").propensity is None
    for call in (lambda: client.log(choice, 1, 1), lambda: client.feedback("c", "x", 1)):
        with pytest.raises(Refused, match="cure: connect again"):
            call()
