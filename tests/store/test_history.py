# SPDX-License-Identifier: Apache-2.0
"""History and journal as one table at a cut; outcomes in any order (ING-01, FBK-06, VER-09)."""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core import Event
from trueup.core.errors import ArgumentError, Busy, StoreError, UnknownName
from trueup.core.events import outcome
from trueup.store import Ledger, lock


def label(choice: str, value: object, received: int, key: str | None = None, name: str = "label") -> Event:
    return outcome("l", choice, name, value, ts=received, received=received, key=key)


@pytest.fixture
def filled(ledger: Ledger, asked: Callable[..., Event]) -> Ledger:
    for at in range(10):
        ledger.append([asked(f"i{at}", ts=100 + at, received=1000 + at), label(f"i{at}", at % 2 == 0, 2000 + at)])
    return ledger


def test_scan_filters_by_time_kind_and_columns(filled: Ledger) -> None:
    assert filled.scan("l", "interaction", since_us=1002, until_us=1005)["id"].to_pylist() == ["i2", "i3", "i4"]
    assert filled.scan("l", "interaction", since_us=108, by="ts")["id"].to_pylist() == ["i8", "i9"]
    both = filled.scan("l", ["outcome", "interaction"], columns=["kind"], cut=4)
    assert both.to_pydict() == {"kind": ["interaction", "outcome"] * 2}
    assert filled.scan("another", "interaction").num_rows == 0
    with pytest.raises(UnknownName, match="did you mean 'interaction'"):
        filled.scan("l", "interactions")
    with pytest.raises(UnknownName, match="output"):
        filled.scan("l", "outcome", columns=["outputs"])
    with pytest.raises(UnknownName):
        filled.scan("l", "outcome", by="seq; DROP TABLE tail")


def test_the_same_answers_before_and_after_sealing(
    filled: Ledger, place: Any, asked: Callable[..., Event]
) -> None:
    def answers() -> list[pa.Table]:
        return [
            filled.scan("l", ["interaction", "outcome"]),
            filled.scan("l", "outcome", since_us=2003, cut=15, columns=["value", "received"]),
            filled.interactions("l", outcomes=["label"], since_us=102),
            filled.query("SELECT kind, count(*) AS n, sum(value) AS v FROM event GROUP BY kind ORDER BY kind"),
            filled.query("SELECT seq FROM event WHERE kind = $kind ORDER BY seq", {"kind": "outcome"}, cut=9),
            pa.Table.from_batches(filled.batches("l", "interaction", rows=3)),
        ]

    before, cut = answers(), filled.cut()
    assert filled.seal(before_us=2004, min_rows=1).rows == 9  # up to the outcome that was received at 2004
    half = answers()
    assert filled.seal(min_rows=1).rows == 11
    assert filled.cut() == cut
    for one, two, three in zip(before, half, answers(), strict=True):
        assert one.equals(two)
        assert one.equals(three)
    assert filled.append([asked("i3"), label("i3", False, 2003)]) == 0
    assert filled.append([asked("new")]) == 1
    assert filled.cut() == cut + 1
    assert filled.count("l", "interaction") == 11
    with place.open() as fresh:
        assert fresh.scan("l", "interaction").num_rows == 11
    assert filled.doctor() == []


def test_sealing_waits_for_enough_rows_and_is_done_by_one(filled: Ledger) -> None:
    assert filled.seal(min_rows=21).rows == 0
    with lock(filled.home, "seal"), pytest.raises(Busy):
        filled.seal(min_rows=1)
    assert filled.seal(min_rows=20).rows == 20
    assert filled.seal(min_rows=1).rows == 0


def test_a_ledger_that_looks_on_sees_every_row_once_while_another_seals(
    place: Any, asked: Callable[..., Event]
) -> None:
    with place.open() as writer, place.open() as reader:
        stop = threading.Event()
        wrong: list[object] = []

        def look() -> None:
            while not stop.is_set():
                cut = reader.cut()
                row = reader.query("SELECT count(*) AS n, count(DISTINCT seq) AS d, max(seq) AS m FROM event", cut=cut)
                (seen,) = row.to_pylist()
                if not (seen["n"] == seen["d"] == (seen["m"] or 0) == cut):
                    wrong.append((seen, cut))
                got = sum(batch.num_rows for batch in reader.batches("l", "interaction", columns=["id"], cut=cut))
                if got != cut:
                    wrong.append((got, cut))

        thread = threading.Thread(target=look)
        thread.start()
        for number in range(15):
            writer.append([asked(f"{number}-{at}") for at in range(50)])
            writer.seal(min_rows=60)
        stop.set()
        thread.join()
        assert wrong == []


def test_a_tail_of_many_chunks_is_read_once_each_while_it_is_sealed(place: Any, asked: Callable[..., Event]) -> None:
    """A reader that lags catches up chunk by chunk, across a watermark that moves in between."""
    with place.open() as writer, place.open() as reader:
        total = 0
        for number in range(6):
            writer.append([asked(f"{number}-{at}", input='"' + "x" * 50 + '"') for at in range(700)])
            total += 700
            reader._history()._tail.chunk_rows = lambda: 300
            (seen,) = reader.query("SELECT count(*) AS n, count(DISTINCT seq) AS d, max(seq) AS m FROM event").to_pylist()
            assert seen == {"n": total, "d": total, "m": total}
            if number % 2:
                writer.seal(min_rows=1)
                writer.append([asked(f"{number}-more")])
                total += 1


def test_queries_are_one_select(filled: Ledger) -> None:
    for bad in ("DELETE FROM tail", "SELECT 1; SELECT 2", "DROP VIEW event", "COPY tail TO '/tmp/x'"):
        with pytest.raises(ArgumentError, match="one SELECT"):
            filled.query(bad)
    with pytest.raises(ArgumentError, match="nope"):
        filled.query("SELECT nope FROM event")
    assert filled.query("SELECT ?::INT + 1 AS n", (1,)).to_pylist() == [{"n": 2}]


def test_a_lost_segment_is_an_error_of_the_store(filled: Ledger) -> None:
    filled.seal(min_rows=1)
    next((filled.home / "segments").rglob("*.parquet")).unlink()
    assert [found.code for found in filled.doctor()] == ["missing-segment"]
    with pytest.raises(StoreError):
        filled.query("SELECT sum(seq) FROM event")


def test_the_doctor_tells_damage_from_orphans(filled: Ledger) -> None:
    filled.seal(min_rows=1)
    segment = next((filled.home / "segments").rglob("*.parquet"))
    (filled.home / "segments/.new-1-abc").write_bytes(b"half")
    (found,) = filled.doctor()
    assert (found.level, found.code) == ("note", "orphans")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.chmod(0o644)
    segment.write_bytes(data)
    assert [found.code for found in filled.doctor()] == ["damaged-segment", "orphans"]


# -- outcomes in any order ------------------------------------------------------------------------


def test_the_latest_outcome_counts_and_the_first_is_remembered(ledger: Ledger, asked: Callable[..., Event]) -> None:
    ledger.append([label("a", "early", 50)])
    ledger.append([asked("a"), asked("b"), asked("c")])
    ledger.append([label("b", 0.5, 70), label("b", "words", 90), label("b", 0.25, 80)])
    ledger.append([label("b", True, 10, name="thumbs")])
    rows = ledger.interactions("l", outcomes=["label", "thumbs"]).to_pylist()
    names = ["choice", "label", "label_value", "label_known", "label_first", "thumbs", "thumbs_value"]
    assert [[row[name] for name in names] for row in rows] == [
        ["a", '"early"', None, 50, 50, None, None],
        ["b", '"words"', None, 90, 70, "true", 1.0],
        ["c", None, None, None, None, None, None],
    ]
    earlier = ledger.interactions("l", outcomes=["label"], cut=5).to_pylist()
    assert (earlier[1]["label"], earlier[1]["label_known"]) == ("0.5", 70)


def test_outcomes_may_have_any_name_that_makes_its_own_columns(ledger: Ledger, asked: Callable[..., Event]) -> None:
    odd = "it's \"odd\"; --"
    ledger.append([asked("a"), label("a", 1, 5, name=odd)])
    assert ledger.interactions("l", outcomes=[odd])[odd].to_pylist() == ["1"]
    for bad in (["output"], ["x", "x"], ["x", "x_value"], ["Seq"]):
        with pytest.raises(ArgumentError, match="rename"):
            ledger.interactions("l", outcomes=bad)
    with pytest.raises(ArgumentError, match="list of outcomes"):
        ledger.interactions("l", outcomes="label")
    assert ledger.interactions("l", outcomes=[]).num_rows == 1


FACTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]), st.sampled_from([True, 0.5, "drama"]), st.integers(1, 1000),
        st.sampled_from([None, "k1", "k2"]),
    ),
    min_size=1, max_size=8, unique_by=lambda fact: fact[2],
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(facts=FACTS, seed=st.integers(0, 2**32), data=st.data())
def test_outcomes_join_the_same_in_whatever_order_they_arrive(
    new_place: Callable[..., Any], facts: list[tuple], seed: int, data: st.DataObject
) -> None:
    """FBK-06: late, twice, corrected, before their interaction, across a sealing."""
    asked = [Event(ident, "l", "interaction", 5, received=5, input='""') for ident in "abc"]
    # The same (choice, key) said again is the same fact: the first to arrive stands, so keep one.
    unique = {event.id: event for event in (label(*fact) for fact in reversed(facts))}
    events = [*asked, *unique.values()]
    rng = random.Random(seed)
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(2):
            with new_place(Path(folder) / str(turn)).open() as ledger:
                order = [*events, *rng.choices(events, k=4)]
                rng.shuffle(order)
                cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
                for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
                    ledger.append(order[start:end])
                    if turn and rng.random() < 0.5:
                        ledger.seal(min_rows=1)
                table = ledger.interactions("l", outcomes=["label"]).drop_columns(["seq"])
                tables.append(table.sort_by("choice").to_pylist())
                assert ledger.count("l", "outcome") == len(unique)
                assert [one for one in ledger.doctor() if one.level == "error"] == []
    assert tables[0] == tables[1]
    for row in tables[0]:
        mine = sorted((event.received, event.output) for event in unique.values() if event.choice == row["choice"])
        assert (row["label_known"], row["label"]) == (mine[-1] if mine else (None, None))
        assert row["label_first"] == (mine[0][0] if mine else None)
