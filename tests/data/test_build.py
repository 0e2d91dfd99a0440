# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core.errors import ArgumentError, DataError, DefinitionError
from trueup.core.events import Event
from trueup.core.json import dumps
from trueup.core.values import digest, from_json, to_json
from trueup.curate import CapPerUnit, Deduplicate, Schema
from trueup.data import Built, GoldenSet, Recipe, Replay, RollingSet, build
from trueup.store import Ledger

NOW_US = 1_780_272_000_000_000  # 2026-06-01
DAY = timedelta(days=1)
Log = Callable[..., None]


def made(ledger: Ledger, recipe: Recipe, **more: Any) -> Built:
    given = {"loop": "films", "target": "genre", "cut": ledger.cut(), "now_us": NOW_US, **more}
    return build(recipe, ledger, **given)


def test_window_and_point_in_time(ledger: Ledger, log: Log) -> None:
    """CUR-15, ING-01: late labels train when they are known, and not before."""
    log(10, days=5)
    log(7, days=40, known_days=3)  # late labels
    log(5, days=50)  # old
    log(4, days=2, known_days=-1)  # known tomorrow
    log(3, days=6, label=lambda n: None)  # not known at all
    built = made(ledger, Recipe(window=30 * DAY, min_rows=1))
    assert built.snapshot is not None
    rows = built.snapshot.rows()
    assert rows.num_rows == 17
    assert rows["ts"].to_pylist() == sorted(rows["ts"].to_pylist())
    assert set(rows["part"].to_pylist()) == {"new"}
    first, second = built.funnel.steps[:2]
    assert first.dropped["after now"] == 4
    assert first.dropped["label not known yet"] == 3
    assert second.dropped == {"older than the window": 5}
    assert built.snapshot.manifest["rows"]["cohorts"] == {"2026-04": 7, "2026-05": 10}
    everything = made(ledger, Recipe(window=None, min_rows=1)).snapshot
    assert everything is not None
    assert everything.rows().num_rows == 22
    tomorrow = made(ledger, Recipe(window=None, min_rows=1), now_us=NOW_US + 2 * 86_400_000_000).snapshot
    assert tomorrow is not None
    assert tomorrow.rows().num_rows == 26


def test_what_never_trains(ledger: Ledger, log: Log) -> None:
    """REL-17: rows carry their arm, recipes choose arms, the manifest shows the shares."""
    log(6, prefix="champion", arm="champion", candidate="c-1")
    log(4, prefix="challenger", arm="challenger", candidate="c-2")
    log(2, prefix="free")
    log(3, prefix="private", keep=False)
    log(2, prefix="broken", error="timeout", output=None)
    built = made(ledger, Recipe(min_rows=1))
    assert built.snapshot is not None
    assert built.snapshot.manifest["rows"]["arms"] == {"challenger": 4, "champion": 6, "none": 2}
    assert built.funnel.steps[0].dropped == {"failed": 2, "never train on this": 3}
    only = made(ledger, Recipe(min_rows=1, arms=("champion",)))
    assert only.snapshot is not None
    assert only.snapshot.manifest["rows"]["arms"] == {"champion": 6, "none": 2}
    assert only.funnel.steps[0].dropped["of another arm"] == 4


def test_refusals_in_plain_words(ledger: Ledger, log: Log) -> None:
    """VAL-02."""
    built = made(ledger, Recipe())
    assert built.snapshot is None
    assert built.refusal is not None
    assert built.refusal.startswith("Empty window: no label became known from 2026-05-02")
    log(412)
    built = made(ledger, Recipe())
    assert built.refusal == "Not enough data: 412 rows, 1,000 wanted"
    assert built.funnel.steps[-1].rows_out == 412
    log(5, prefix="other", days=3, label=lambda n: "drama")
    one = made(ledger, Recipe(min_rows=2), cut=ledger.cut())
    assert one.snapshot is not None


def test_one_class_only(ledger: Ledger, log: Log) -> None:
    log(30, label=lambda n: "drama")
    assert made(ledger, Recipe(min_rows=5)).refusal == 'One class only: all 30 rows say "drama"'


def test_a_gate_that_refuses_is_a_refusal(ledger: Ledger, log: Log) -> None:
    """VAL-01."""
    log(30)
    built = made(ledger, Recipe(min_rows=5, curate=[Schema(input="number")]))
    assert built.refusal is not None
    assert "schema refused" in built.refusal
    assert "30 of 30" in built.refusal


def test_the_funnel_says_what_a_flood_lost(ledger: Ledger, log: Log) -> None:
    """CUR-11, CUR-21."""
    log(200)
    log(500, prefix="spam", unit="mallory", days=2)
    log(50, prefix="r", days=3)  # the texts of the first fifty again
    recipe = Recipe(min_rows=10, curate=[Deduplicate(), CapPerUnit(10)])
    built = made(ledger, recipe)
    assert built.snapshot is not None
    steps = {step.name: step for step in built.funnel.steps}
    assert steps["deduplicate"].dropped == {"duplicate": 50}
    assert steps["cap_per_unit"].dropped == {"over the cap of one unit": 490}
    assert steps["cap_per_unit"].facts["largest"][0]["dropped"] == 490
    text = "\n".join(built.funnel.lines())
    assert "over the cap of one unit" in text
    assert "mallory" not in text + dumps(built.funnel.to_json())
    assert built.funnel.dropped("cap_per_unit") == 490
    assert type(built.funnel).from_json(built.funnel.to_json()) == built.funnel


def test_replay_by_cohort(ledger: Ledger, log: Log) -> None:
    """CUR-14, FGT-01: recent rows and a sample of old ones."""
    log(100, days=1)
    log(400, days=40, prefix="april")
    log(20, days=70, prefix="march")
    log(400, days=100, prefix="february")
    log(100, days=41, prefix="r")  # repeats the new texts
    recipe = Recipe(min_rows=10, replay=Replay(0.9))
    built = made(ledger, recipe)
    assert built.snapshot is not None
    rows = built.snapshot.rows()
    old = rows.filter(pc.equal(rows["part"], "replay"))
    counts = {pair["values"]: pair["counts"] for pair in old["cohort"].value_counts().to_pylist()}
    assert old.num_rows == 90
    assert counts == {"2026-02": 35, "2026-03": 20, "2026-04": 35}
    assert built.snapshot.manifest["rows"]["parts"] == {"new": 100, "replay": 90}
    assert built.funnel.steps[-1].dropped["repeats a new row"] > 0
    again = made(ledger, recipe, seed=1)
    assert again.snapshot is not None
    assert again.snapshot.id != built.snapshot.id
    uniform = made(ledger, Recipe(min_rows=10, replay=Replay(0.5, by="uniform"))).snapshot
    assert uniform is not None
    assert uniform.manifest["rows"]["parts"] == {"new": 100, "replay": 50}


def test_units_take_turns_in_replay(ledger: Ledger, log: Log) -> None:
    """FGT-01: each unit as often as any other, and of a unit each of its targets; a flood gets one turn in many."""
    log(100, days=1)
    for unit in range(20):
        log(12, days=50, prefix=f"u{unit}-", unit=f"unit {unit}", label=lambda n: f"fact {n % 3}")
    log(500, days=45, prefix="spam", unit="mallory", label=lambda n: "a lie")
    log(1, days=44, prefix="rare", unit="once")
    for share, least, most in ((0.22, 1, 1), (0.43, 2, 2), (0.64, 3, 3), (1.0, 4, 5)):
        built = made(ledger, Recipe(min_rows=10, replay=Replay(share, by="uniform", each="unit"))).snapshot
        assert built is not None
        old = [row for row in built.rows().to_pylist() if row["part"] == "replay"]
        turns = Counter(row["unit"] for row in old)
        assert len(old) == round(100 * share)
        assert turns.pop("once") == 1
        assert (len(turns), {*turns.values()}) == (21, {least, most}), share
        for unit in range(20):
            told = Counter(row["target"] for row in old if row["unit"] == f"unit {unit}")
            assert len(told) == min(3, turns[f"unit {unit}"]), told


def test_tempered_replay_goes_by_the_square_root_of_a_cohort(ledger: Ledger, log: Log) -> None:
    """FGT-01: between equal parts, which starve a large past, and equal chances, which starve a small one."""
    log(100, days=1)
    log(800, days=100, prefix="february")
    log(200, days=70, prefix="march")
    log(50, days=40, prefix="april")
    found = {}
    for by in ("cohort", "tempered", "uniform"):
        built = made(ledger, Recipe(min_rows=10, replay=Replay(2.1, by=by))).snapshot
        assert built is not None
        old = [row["cohort"] for row in built.rows().to_pylist() if row["part"] == "replay"]
        found[by] = [old.count(f"2026-0{month}") for month in (2, 3, 4)]
    assert found["cohort"] == [80, 80, 50]
    assert found["tempered"] == [120, 60, 30]
    assert found["uniform"][0] > 140
    nearly_all = made(ledger, Recipe(min_rows=10, replay=Replay(9.0, by="tempered"))).snapshot
    assert nearly_all is not None
    old = [row["cohort"] for row in nearly_all.rows().to_pylist() if row["part"] == "replay"]
    assert (len(old), old.count("2026-04")) == (900, 50), "what a small cohort cannot fill goes to the others"


def test_each_training_rehearses_other_old_rows(ledger: Ledger, log: Log) -> None:
    """FGT-01: what is drawn goes by the new rows: a loop that always drew the same would forget the rest."""
    log(600, days=50, prefix="old")
    log(100, days=1)

    def rehearsed() -> set[str]:
        built = made(ledger, Recipe(window=20 * DAY, min_rows=10, replay=Replay(1.0))).snapshot
        assert built is not None
        return {row["row_id"] for row in built.rows().to_pylist() if row["part"] == "replay"}

    first = rehearsed()
    assert rehearsed() == first
    log(1, days=1, prefix="one more")
    assert len(first & rehearsed()) < 40, "a sixth of each draw, by chance"


def test_replay_does_not_bring_back_what_was_corrected(ledger: Ledger, log: Log) -> None:
    """FGT-01: with the latest target of an input, an old one is not replayed beside it."""
    log(40, days=50, prefix="old", text="who leads firm {n}", label=lambda n: f"before {n}")
    log(40, days=50, prefix="kept", text="where is firm {n}", label=lambda n: f"city {n}")
    for at in range(10):
        log(1, days=2, prefix=f"new{at}-", text=f"who leads firm old{at}", label=lambda n, at=at: f"after {at}")
    for keep, stale in (("latest", False), ("first", True)):
        recipe = Recipe(min_rows=5, replay=Replay(7.9), curate=[Deduplicate(keep=keep)])
        built = made(ledger, recipe)
        assert built.snapshot is not None
        rows = built.snapshot.rows().to_pylist()
        found = {row["target"] for row in rows if row["part"] == "replay"}
        assert (dumps("before 3") in found) is stale
        assert {dumps("before 30"), dumps("city 3")} <= found or stale


def test_a_flood_among_the_new_buys_no_replay(ledger: Ledger, log: Log) -> None:
    log(100, days=1)
    log(900, days=2, prefix="spam", unit="mallory")
    log(600, days=40, prefix="old")
    recipe = Recipe(min_rows=10, replay=Replay(0.5), curate=[CapPerUnit(1)])
    built = made(ledger, recipe)
    assert built.snapshot is not None
    assert built.snapshot.manifest["rows"]["parts"] == {"new": 101, "replay": 50}


def flooded(log: Log) -> None:
    """Two old weeks, a hundred new rows, and in the second week a flood of answers to what others asked."""
    log(300, days=50, prefix="first", label=lambda n: f"truth {n}")
    log(300, days=43, prefix="second", label=lambda n: f"truth {n}")
    for copy in range(40):
        log(300, days=42 - copy / 1_000, prefix=f"flood{copy}", unit="mallory", text="a film about second{n}", label=lambda n: "a lie")
    log(100, days=1, label=lambda n: f"truth {n}")


def test_a_share_holds_on_what_replay_draws(ledger: Ledger, log: Log) -> None:
    """CUR-11: a flood that the cap held off when it came does not return later by replay, nor does it crowd the rest out."""
    flooded(log)
    recipe = Recipe(
        min_rows=10, cohort="week", replay=Replay(2.0), curate=[CapPerUnit(0.05), Deduplicate(keep="latest")]
    )
    built = made(ledger, recipe)
    assert built.snapshot is not None
    rows = built.snapshot.rows()
    replayed = rows.filter(pc.equal(rows["part"], "replay"))
    assert replayed.num_rows == 200
    assert pc.sum(pc.equal(replayed["unit"], "mallory")).as_py() <= 0.05 * replayed.num_rows
    again = made(ledger, recipe).snapshot
    assert again is not None
    assert again.id == built.snapshot.id


def test_a_share_holds_where_there_are_fewer_old_rows_than_wanted(ledger: Ledger, log: Log) -> None:
    log(60, days=50, prefix="old")
    log(40, days=49, prefix="spam", unit="mallory")
    log(100, days=1)
    recipe = Recipe(min_rows=10, replay=Replay(2.0), curate=[CapPerUnit(0.05)])
    built = made(ledger, recipe)
    assert built.snapshot is not None
    assert built.snapshot.manifest["rows"]["parts"] == {"new": 100, "replay": 63}
    few = made(ledger, Recipe(min_rows=10, replay=Replay(2.0), curate=[CapPerUnit(0.001)])).snapshot
    assert few is not None  # too few units for such a share: the funnel shows what is left
    assert few.manifest["rows"]["parts"] == {"new": 100, "replay": 61}


def test_max_rows_is_a_seeded_draw(ledger: Ledger, log: Log) -> None:
    log(100)
    built = made(ledger, Recipe(min_rows=10, max_rows=40))
    assert built.snapshot is not None
    assert built.snapshot.rows().num_rows == 40


def test_golden_items_never_train(ledger: Ledger, log: Log, tmp_path: Path) -> None:
    """EVL-01, CUR-05: a golden set that overlaps the data is excluded and counted."""
    log(50)
    long = " ".join(f"word{n}" for n in range(20))
    log(1, prefix="leak", text=f"before {long} after")
    path = tmp_path / "core.jsonl"
    path.write_text(
        "\n".join(dumps({"input": text, "target": "drama"}) for text in ["A film about r3!", long]) + "\n"
    )
    built = made(ledger, Recipe(min_rows=5), golden=[GoldenSet("core", path)])
    assert built.snapshot is not None
    assert built.snapshot.rows().num_rows == 49
    last = built.funnel.steps[-1]
    assert last.name == "golden"
    assert last.dropped == {"13 words in a row of golden core": 1, "same input as golden core": 1}
    assert built.snapshot.manifest["golden"][0]["name"] == "core"


def test_a_rolling_set_judges_before_it_is_learned(ledger: Ledger, log: Log) -> None:
    """EVL-08."""
    log(60, days=0.5, prefix="fresh")
    log(60, days=10)
    rolling = RollingSet("yesterday", last=DAY, rows=20)
    given = {"loop": "films", "target": "genre", "cut": ledger.cut(), "now_us": NOW_US}
    items = rolling.items(ledger, **given)
    assert len(items) == 20
    assert items == rolling.items(ledger, **given)
    built = made(ledger, Recipe(min_rows=5), golden=[items])
    assert built.snapshot is not None
    assert built.snapshot.rows().num_rows == 100
    assert built.funnel.steps[-1].dropped == {"judges candidates in this cycle": 20}
    assert not items.row_ids & set(built.snapshot.rows()["row_id"].to_pylist())
    with pytest.raises(DataError, match="labelled rows within"):
        RollingSet("now", last=timedelta(hours=1)).items(ledger, **given)


def test_units_that_were_never_there_before_are_a_slice_of_a_rolling_set(ledger: Ledger, log: Log) -> None:
    """VAL-11: by what a unit asked before the window, labelled or not; without a unit, no slice."""
    log(4, days=10)
    log(8, days=0.5, prefix="fresh")
    given = {"loop": "films", "target": "genre", "cut": ledger.cut(), "now_us": NOW_US}
    items = RollingSet("new people", last=DAY, rows=50, slices=("history",)).items(ledger, **given)
    units = dict(zip(*(
        ledger.interactions("films", outcomes=[])[name].to_pylist() for name in ("choice", "unit")
    ), strict=True))
    before = {unit for choice, unit in units.items() if choice not in items.row_ids}
    assert len(items) == 8
    assert items.slices["history"] == tuple("known" if units[ident] in before else "new" for ident in items.ids)
    assert set(items.slices["history"]) == {"known", "new"}


def upper(rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index("input")
    return rows.set_column(place, rows.schema.field(place), pc.utf8_upper(rows["input"]))


def test_the_manifest_names_everything(ledger: Ledger, log: Log) -> None:
    """VER-01, VER-02."""
    log(20)
    extra = dumps({"file": "dump.csv", "digest": "ab" * 32, "rows": 20})
    ledger.append([Event("i1", "films", "signal", NOW_US, name="import", extra=extra)])
    recipe = Recipe(min_rows=5, curate=[upper, Deduplicate()])
    built = made(ledger, recipe, parents=["s-0"])
    assert built.snapshot is not None
    manifest = built.snapshot.manifest
    assert json.loads(dumps(manifest)) == manifest
    assert manifest["sources"] == [{"file": "dump.csv", "digest": "ab" * 32, "rows": 20}]
    assert manifest["parents"] == ["s-0"]
    assert set(manifest["code"]) == {"build", "golden", "1 upper", "2 deduplicate"}
    assert manifest["recipe_digest"] == digest(recipe)
    assert manifest["window"] == {"since": NOW_US - 30 * 86_400_000_000, "until": NOW_US}
    assert len(manifest["logical_digest"]) >= 32


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Ledger]]:
    """Two ledgers with the same rows, written in opposite orders."""
    with ExitStack() as stack:
        opened = [stack.enter_context(Ledger.open(tmp_path_factory.mktemp("home"))) for _ in range(2)]
        for turned, twin in enumerate(opened):
            _two_ages(twin, turned=bool(turned))
        yield opened


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    share=st.one_of(st.none(), st.floats(0.1, 2.0)),
    by=st.sampled_from(["cohort", "uniform"]),
    each=st.sampled_from(["row", "unit"]),
    cap=st.one_of(st.integers(1, 5), st.floats(0.01, 1.0)),
    cohort=st.sampled_from(["day", "week", "month"]),
)
def test_building_twice_gives_the_same_snapshot(
    twins: list[Ledger], seed: int, share: float | None, by: Any, each: Any, cap: float, cohort: Any
) -> None:
    """VER-01: Recipe -> Snapshot is a pure function; another ledger with the same rows agrees."""
    recipe = Recipe(
        window=20 * DAY, min_rows=1, cohort=cohort, curate=[Deduplicate(), CapPerUnit(cap)],
        replay=None if share is None else Replay(share, by=by, each=each),
    )  # fmt: skip
    found = set()
    for twin in [*twins, *twins]:
        built = made(twin, recipe, seed=seed)
        assert built.snapshot is not None
        found.add((built.snapshot.id, dumps(built.snapshot.manifest)))
    assert len(found) == 1


def _two_ages(ledger: Ledger, *, turned: bool) -> None:
    from trueup.core.events import outcome

    facts = []
    for n in range(80):
        ts = NOW_US - (n % 40 + 1) * 86_400_000_000
        ident = f"r{n}"
        facts.append(
            Event(ident, "films", "interaction", ts, unit=f"u{n % 7}", choice=ident, input=dumps(f"text {n // 2}"))
        )
        facts.append(outcome("films", ident, "genre", n % 3, ts=ts, received=ts))
    ledger.append(facts[::-1] if turned else facts)


_ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
from trueup.core.values import from_json
from trueup.data import build
from trueup.store import Ledger
home, recipe, cut, now_us = sys.argv[1:]
with Ledger.open(Path(home)) as ledger:
    built = build(from_json(json.loads(recipe)), ledger, loop="films", target="genre", cut=int(cut), now_us=int(now_us))
    print(built.snapshot.id, built.snapshot.manifest["logical_digest"])
"""


def test_another_process_gives_the_same_snapshot(ledger: Ledger, log: Log) -> None:
    log(40)
    log(40, days=40, prefix="old")
    recipe = Recipe(min_rows=5, replay=Replay(0.5), curate=[Deduplicate(), CapPerUnit(0.5)])
    cut = ledger.cut()
    built = made(ledger, recipe)
    assert built.snapshot is not None
    log(40, prefix="later")  # after the cut
    arguments = [str(ledger.home), dumps(to_json(recipe)), str(cut), str(NOW_US)]
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(
        [sys.executable, "-c", _ANOTHER_PROCESS, *arguments], capture_output=True, text=True, env=env, check=True
    )
    assert said.stdout.split() == [built.snapshot.id, built.snapshot.manifest["logical_digest"]]


def test_recipes_that_cannot_work() -> None:
    for wrong in [
        {"window": timedelta(0)}, {"min_rows": 0}, {"max_rows": 5}, {"arms": ()}, {"arms": ("both",)}, {"cohort": "year"},
    ]:  # fmt: skip
        with pytest.raises(ArgumentError):
            Recipe(**wrong)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="all history"):
        Recipe(window=None, replay=Replay())
    with pytest.raises(DefinitionError, match="expire"):
        Recipe(expire=True)
    with pytest.raises(DefinitionError, match="step"):
        Recipe(curate=[3])  # type: ignore[list-item]
    with pytest.raises(DefinitionError, match="module level"):
        Recipe(curate=[lambda rows: rows])
    with pytest.raises(ArgumentError):
        Replay(0)
    recipe = Recipe(curate=[Deduplicate(), upper], replay=Replay())
    assert from_json(to_json(recipe)) == recipe
