# SPDX-License-Identifier: Apache-2.0
"""Backtests: the model that would have been live, trained on what was known, and no training twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from trueup import Loop, Task
from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError, DataError, DefinitionError, Refused
from trueup.core.references import Ref
from trueup.core.task import Outcome
from trueup.data import Recipe, Replay
from trueup.evaluate import Accuracy, Exact
from trueup.models import LocalModel, Prompt, read_manifest
from trueup.release import Full, Shadow
from trueup.store import Ledger
from trueup.study import Bench, backtest, dry, length, policies, show
from trueup.testing import tiny_causal_lm, toy_rows
from trueup.train import Lora, Sklearn
from trueup.triggers import Cooldown, Drift, Falls, Rows, Worsens

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[..., Loop]
Past = Callable[..., Ledger]


def test_tru_07_policies_are_lived_through_and_the_frontier_is_told(tmp_path: Path, make: Make, past: Past) -> None:
    """TRU-07, EVL-09: quality by period, trainings, seconds, money, label delay, and the frontier."""
    loop = make()
    with past(tmp_path / "home") as ledger:
        ways = policies(loop, ["rows:300", "falls:0.75", "cron:weekly"])
        decisions, records = ledger.decisions("toys"), ledger.records("toys", "snapshot")
        found = backtest(loop, ledger, ways, since=START + 5 * DAY, isolate=False)
        assert (ledger.decisions("toys"), ledger.records("toys", "snapshot")) == (decisions, records), "the ledger is left alone"
    never, rows, falls = found.life("never"), found.life("rows:300"), found.life("falls:0.75")
    assert len(never.trainings) == 1
    assert rows.quality > never.quality + 0.2, "words changed on day 20: a model that is never trained again fails"
    assert falls.quality > never.quality + 0.2
    assert 2 <= len(falls.trainings) < len(rows.trainings)
    assert found.delay == pytest.approx(20 * 3600)
    assert found.labelled == 1.0
    assert never.answered == rows.answered == 35 * 60
    assert sum(rows.counts) == rows.answered
    weighted = np.average([s for s in rows.scores if s is not None], weights=[n for s, n in zip(rows.scores, rows.counts, strict=True) if s is not None])
    assert weighted == pytest.approx(rows.quality)
    assert rows.money == pytest.approx(rows.seconds / 100)  # 36 EUR an hour
    assert found.frontier()[0] == "never"
    assert found.proposal() in found.frontier()
    assert found.same is not None
    assert 0.25 < found.same[1] < 0.42  # three kinds at random
    json.dumps(found.to_json())


def test_tru_07_adapters_are_trained_on_the_model_that_the_loop_begins_with(tmp_path: Path, make: Make, past: Past) -> None:
    """TRU-07, TRN-01: LoRA adapters, each on the frozen first champion, live through a past of ten days."""
    texts = [f"{given}\n{kind}" for given, kind in toy_rows(300)]
    raw = tiny_causal_lm(tmp_path / "raw", texts, hidden=48)
    loop = make(
        task=Task("sentence", "kind", "user", "text"), champion=LocalModel(raw, prompt=Prompt(max_new_tokens=4)),
        trainer=Lora(r=8, learning_rate=1e-2, epochs=4, batch=16, dropout=0.0), when=[Rows(120)],
        recipe=Recipe(window=None, min_rows=50), release=[Shadow(Exact(), no_worse_by=0.1, units=100, max_time=20 * DAY), Full()],
    )
    with past(tmp_path / "home", days=10, a_day=30, moves=None) as ledger:
        found = backtest(loop, ledger, policies(loop), since=START + 4 * DAY, isolate=False)
        with Ledger.open(ledger.home / "backtest" / "toys", clock=ledger.clock) as scratch:
            models = [Ref.from_json(one["model"]) for one in scratch.records("toys", "study_training")]
            manifests = [read_manifest(scratch.artifacts.path(one)) for one in models]
        with pytest.raises(DefinitionError, match="Lora trains on"):
            backtest(replace(loop, champion=None), ledger, policies(loop), home=tmp_path / "none", isolate=False)
    life = found.life("the loop")
    assert len(life.trainings) >= 2
    assert all(one.model for one in life.trainings), [one.reason for one in life.trainings]
    assert life.quality > 0.3
    assert {one.format for one in manifests} == {"adapter"}
    assert len({one.details["base"] for one in manifests}) == 1


def test_trn_05_a_loop_that_goes_on_from_its_champion_does_so_in_a_backtest(tmp_path: Path, make: Make, past: Past) -> None:
    """TRU-07, TRN-05: each training goes on from what served, on the rows that this could not see; anew where it must."""
    trainer = Sklearn("sgd", start="champion", rebase_every=20 * DAY)
    loop = make(trainer=trainer, recipe=Recipe(window=None, min_rows=50))
    with past(tmp_path / "home") as ledger, Ledger.open(tmp_path / "scratch", clock=ledger.clock) as scratch:
        bench = Bench(loop, ledger, scratch, isolate=False)
        first = bench.fit(loop.recipe, to_us(START + 10 * DAY))
        second = bench.fit(loop.recipe, to_us(START + 15 * DAY), first)
        assert (first.onto, second.onto) == (None, first.key)
        assert (second.rebased, second.reason) == (first.at, "")
        assert second.rows == 300, "five days of 60 sentences"
        assert second.snapshot is not None
        seen = set(bench.rows(first.snapshot)["row_id"].to_pylist())  # type: ignore[arg-type]
        assert seen.isdisjoint(bench.rows(second.snapshot)["row_id"].to_pylist())
        assert bench.fit(loop.recipe, to_us(START + 15 * DAY)).rows == first.rows + second.rows, "the control: anew"
        assert bench.fit(loop.recipe, to_us(START + 30 * DAY), second).onto is None, "one from scratch is due"
        found = backtest(loop, ledger, policies(loop, ["rows:300"]), since=START + 5 * DAY, isolate=False)
    rows = [one.rows for one in found.life("rows:300").trainings]
    assert min(rows[1:]) == 300, "new rows alone"


def test_a_model_knows_no_label_before_it_was_known(tmp_path: Path, make: Make, past: Past) -> None:
    """TRU-07: with labels that take five days, a model of day 10 has learned up to day 5."""
    loop = make(recipe=Recipe(window=None, min_rows=100))
    with past(tmp_path / "home", delay=5 * DAY) as ledger, Ledger.open(tmp_path / "scratch", clock=ledger.clock) as scratch:
        bench = Bench(loop, ledger, scratch, isolate=False)
        now = to_us(START + 10 * DAY)
        fit = bench.fit(loop.recipe, now)
        assert fit.snapshot is not None
        rows = bench.rows(fit.snapshot)
        assert fit.rows == rows.num_rows == 5 * 60 + 1
        assert max(rows["known"].to_pylist()) <= now
        assert max(rows["ts"].to_pylist()) <= to_us(START + 5 * DAY)
        found = [backtest(loop, ledger, policies(loop, ["rows:120"]), since=START + 10 * DAY, isolate=False, home=tmp_path / "b").life("rows:120").quality]
    with past(tmp_path / "soon", delay=timedelta(minutes=1)) as ledger:
        found.append(backtest(loop, ledger, policies(loop, ["rows:120"]), since=START + 10 * DAY, isolate=False).life("rows:120").quality)
    assert found[0] < found[1] - 0.02, "late labels cost quality, and a backtest must show it"


def test_the_last_label_is_that_of_an_earlier_input(tmp_path: Path, make: Make, past: Past) -> None:
    """TRU-07: an imported past knows labels at once; saying the last label is no look at one's own."""
    with past(tmp_path / "home", delay=timedelta(0)) as ledger:
        found = backtest(make(), ledger, policies(make(), ["rows:600"]), since=START + 20 * DAY, isolate=False)
    assert found.same is not None
    assert 0.25 < found.same[1] < 0.42


def test_no_training_is_made_twice_and_a_killed_backtest_goes_on(tmp_path: Path, make: Make, past: Past) -> None:
    loop = make()
    with past(tmp_path / "home") as ledger:
        ways = policies(loop, ["rows:300", "rows:300,cron:yearly"])
        told: list[int] = []

        def killed(what: str, done: int, total: int) -> None:
            told.append(done)
            if done == 60:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            backtest(loop, ledger, ways, since=START + 5 * DAY, isolate=False, progress=killed)
        first = backtest(loop, ledger, ways, since=START + 5 * DAY, isolate=False)
        again = backtest(loop, ledger, ways, since=START + 5 * DAY, isolate=False)
    keys = {one.key for life in first.lives for one in life.trainings}
    assert 0 < first.made < len(keys), "what was trained before the kill was not trained again"
    assert again.made == 0
    assert [life.to_json() for life in again.lives] == [life.to_json() for life in first.lives]
    assert first.life("rows:300").trainings == first.life("rows:300,cron:yearly").trainings, "shared, not made twice"


def test_an_isolated_training_gives_the_same_model(tmp_path: Path, make: Make, past: Past) -> None:
    loop = make()
    with past(tmp_path / "home", days=10) as ledger:
        found = [
            backtest(loop, ledger, policies(loop), since=START + 5 * DAY, home=tmp_path / str(apart), isolate=apart).life("never")
            for apart in (True, False)
        ]
    assert found[0].quality == found[1].quality
    assert found[0].trainings[0].key == found[1].trainings[0].key


def test_dry_counts_what_depends_on_no_model(tmp_path: Path, make: Make, past: Past) -> None:
    loop = make()
    with past(tmp_path / "home") as ledger:
        ways = policies(loop, ["rows:300", "worsens"], cooldown="10d")
        counted = {name: (n, exact) for name, n, exact in dry(loop, ledger, ways, since=START + 5 * DAY)}
        assert not ledger.records("toys", "candidate")
        found = backtest(loop, ledger, ways, since=START + 5 * DAY, isolate=False)
    assert counted["never"] == (1, True)
    assert counted["rows:300 cooldown 10d"] == (len(found.life("rows:300 cooldown 10d").trainings), True)
    most, exact = counted["worsens cooldown 10d"]
    assert not exact
    assert len(found.life("worsens cooldown 10d").trainings) <= most == 4


def test_policies_are_read_as_people_write_them(make: Make) -> None:
    loop = make()
    ways = {way.name: way for way in policies(loop, ["rows:500", "drift,worsens:0.02", "falls:0.8"], ["30d", "all"], [0.0, 0.5])}
    assert ways["rows:500 30d replay 0.5"].recipe == Recipe(window=30 * DAY, min_rows=100, replay=Replay(0.5))
    assert ways["rows:500 all"].recipe.window is None
    assert "rows:500 all replay 0.5" not in ways, "all history leaves nothing to replay"
    assert ways["drift,worsens:0.02 30d"].when == (Drift(), Worsens(Accuracy(), by=0.02))
    assert ways["falls:0.8 30d"].when == (Falls(Accuracy(), below=0.8),)
    assert policies(loop, ["rows:5"], cooldown="4w")[-1].unless == (Cooldown(28 * DAY),)
    assert policies(loop, ["rows:1000"])[-1].name == "never", "what the loop does already is not listed twice"
    assert length("12h") == timedelta(hours=12)
    for wrong in ("row:5", "rows:many", "falls:2"):
        with pytest.raises(ArgumentError):
            policies(loop, [wrong])
    with pytest.raises(ArgumentError, match="30d"):
        length("month")


def test_what_no_past_can_tell_is_refused(tmp_path: Path, make: Make, past: Past) -> None:
    thumbs = Outcome.boolean("thumbs")
    loop = make(outcomes=[*make().outcomes, thumbs], when=[Falls(thumbs, below=0.8)])
    assert [way.name for way in policies(loop, ["rows:300"])] == ["never", "rows:300"]
    with pytest.raises(Refused, match="other"):
        policies(loop, window=["30d"])
    with past(tmp_path / "home", days=3) as ledger:
        with pytest.raises(DataError, match="got none"):
            backtest(make(), ledger, since=START + 30 * DAY)
        with pytest.raises(DataError, match="import"):
            backtest(make(name="others"), ledger)


def test_a_page_with_charts_in_three_formats(tmp_path: Path, make: Make, past: Past) -> None:
    loop = make()
    with past(tmp_path / "home", days=12) as ledger:
        found = backtest(loop, ledger, policies(loop, ["rows:300"]), since=START + 5 * DAY, isolate=False)
    paths = show.write(tmp_path / "out", found, found.proposal(), "a diff")
    assert {path.name for path in paths} == {"backtest.html", "backtest.md", "quality.png", "frontier.png"}
    page = (tmp_path / "out" / "backtest.html").read_text()
    assert page.count("<svg") == 2
    assert "the same as the last label" in page
    picture = (tmp_path / "out" / "quality.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000, "an empty picture, or one without letters, is smaller"
    assert any("toys: 2026-01-06" in line for line in show.text(found))


def test_trg_02_worsens_needs_no_floor(tmp_path: Path, make: Make, past: Past) -> None:
    """TRG-02: on a past in which nothing changes it rests; where words change it fires, once."""
    loop = make(when=[Worsens(Accuracy(), first=3 * DAY)])
    found = []
    for name, moves in (("still", None), ("moved", 20)):
        with past(tmp_path / name, moves=moves) as ledger:
            found.append(len(backtest(loop, ledger, policies(loop), since=START + 5 * DAY, isolate=False).life("the loop").trainings))
    assert found[0] == 1
    assert 2 <= found[1] <= 4


def test_a_cooldown_holds_back_and_says_until_when(tmp_path: Path, make: Make, past: Past) -> None:
    with pytest.raises(ArgumentError):
        Cooldown(0 * DAY)
    loop = make(when=[Rows(1)], unless=[Cooldown(10 * DAY)])
    with past(tmp_path / "home", moves=None) as ledger:
        made = backtest(loop, ledger, policies(loop), since=START + 5 * DAY, isolate=False).life("the loop").trainings
    assert np.diff([one.at for one in made]).min() >= 10 * 86_400e6
    assert len(made) == 4
    assert Rows(1) in loop.when
