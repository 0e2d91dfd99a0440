# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core.errors import DataError, ModelError
from trueup.core.json import dumps
from trueup.core.protocols import Prediction, Unmeasured
from trueup.evaluate import (
    AUC,
    Accuracy,
    AtLeast,
    Evaluation,
    F1Macro,
    LogLoss,
    NoWorse,
    Summary,
    evaluate,
    report,
    summarise,
)
from trueup.evaluate.summary import difference

HOSTILE = "</p><script>alert(1)</script><img src=x onerror=y> ![x](http://evil/a.png) | \x00\u202e"


def test_scores_by_slice_with_intervals(world: Any, new: Any, champ: Any) -> None:
    """EVL-05: champion against challenger."""
    items = world(600, 1)
    found = evaluate(new, champ, items, scorers=[Accuracy()], metrics=[F1Macro()])
    score = found.overall()
    assert score.challenger.mean == np.mean([row["new"] == "x" for row in items.inputs])
    assert score.champion.low < score.champion.mean < score.champion.high
    assert score.change[0] == pytest.approx(score.challenger.mean - score.champion.mean)
    assert [s.slice for s in found.by("genre")] == ["anime", "comedy", "drama"]
    assert sum(s.challenger.n for s in found.by("genre")) == 600
    assert found.disagreement == np.mean([row["new"] != row["champ"] for row in items.inputs])
    assert found.overall("F1 (macro)").challenger.mean is not None


def test_it_goes_to_json_and_back(world: Any, new: Any, champ: Any) -> None:
    for other in (champ, None):
        found = evaluate(new, other, world(100, 2), scorers=[Accuracy()], metrics=[AUC(), LogLoss()])
        assert Evaluation.from_json(json.loads(dumps(found.to_json()))) == found
    with pytest.raises(DataError, match="expected an evaluation"):
        Evaluation.from_json({"set": "x"})
    with pytest.raises(DataError, match="expected an evaluation"):
        Evaluation.from_json([1])


def test_forgetting_of_old_cohorts_is_seen(world: Any, new: Any, champ: Any) -> None:
    """FGT-04: measured on the cohort in which it happened, invisible in the mean."""
    items = world(1200, 3, win=0.05, loss=0.0)
    rows = [dict(row) for row in items.inputs]
    for i in range(100):
        rows[i]["new"] = "y" if i % 2 else rows[i]["new"]
    found = evaluate(new, champ, dataclasses.replace(items, inputs=rows), scorers=[Accuracy()])
    assert found.overall().change[0] > -0.02
    worst = found.forgetting()
    assert worst.slice == "2025-01"
    assert worst.change[2] < -0.2
    better = evaluate(new, champ, world(1200, 3, win=0.1, loss=0.0), scorers=[Accuracy()])
    assert better.forgetting() is None


def test_what_is_unmeasured_is_counted_with_its_reason(world: Any, new: Any, champ: Any) -> None:
    items = world(100, 4)
    half = dataclasses.replace(items, targets=[None if i % 2 else "x" for i in range(100)])
    score = evaluate(new, champ, half, scorers=[Accuracy()]).overall()
    assert (score.challenger.n, score.challenger.n_measured) == (100, 50)
    assert score.challenger.unmeasured == {"no label": 50}
    assert score.challenger.too_few
    nothing = evaluate(new, champ, dataclasses.replace(items, targets=[None] * 100), scorers=[Accuracy()])
    assert nothing.overall().challenger.mean is None
    assert nothing.overall().change is None


def test_examples_are_the_worst_losses_and_the_best_gains(world: Any, new: Any, champ: Any) -> None:
    found = evaluate(new, champ, world(500, 5), scorers=[Accuracy()], examples=6)
    gaps = [e.challenger_score - e.champion_score for e in found.examples]
    assert gaps == [-1.0] * 3 + [1.0] * 3
    assert all(e.challenger != e.champion for e in found.examples)


def test_a_model_that_fails_is_an_error_here(world: Any, champ: Any) -> None:
    with pytest.raises(ModelError, match="the challenger gave 0 answers to the 10 items of core"):
        evaluate(lambda inputs: [], champ, world(10, 1))


@pytest.mark.parametrize(("share", "n"), [(0.5, 20), (0.9, 40), (0.97, 100), (0.8, 300)])
def test_intervals_cover(share: float, n: int) -> None:
    """95 % intervals of a mean hold the truth about 95 % of the time, for 0/1 and for other scores."""
    rng = np.random.default_rng(11)
    hits = smooth = 0
    for _ in range(600):
        found = summarise((rng.random(n) < share).astype(float).tolist())
        hits += found.low <= share <= found.high
        found = summarise(rng.beta(share * 4, (1 - share) * 4, n).tolist())
        smooth += found.low <= share <= found.high
    assert hits / 600 >= 0.92
    assert smooth / 600 >= 0.92


@pytest.mark.parametrize(("win", "loss", "n"), [(0.05, 0.05, 100), (0.01, 0.01, 60), (0.1, 0.02, 300), (0.0, 0.05, 50)])
def test_intervals_of_differences_cover(win: float, loss: float, n: int) -> None:
    rng = np.random.default_rng(12)
    hits = 0
    for _ in range(600):
        u = rng.random(n)
        _, low, high = difference((u < win) * 1.0, (u > 1 - loss) * 1.0)
        hits += low <= win - loss <= high
    assert hits / 600 >= 0.92


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1) | st.just(Unmeasured("why")), max_size=30))
def test_summaries_stay_within_bounds(scores: list[Any]) -> None:
    found = summarise(scores)
    assert found.n == len(scores)
    assert found.n_measured + sum(found.unmeasured.values()) == found.n
    if found.mean is not None:
        assert 0 <= found.low <= found.mean <= found.high <= 1
        assert found.high > found.low
    assert Summary.from_json(json.loads(dumps(found.to_json()))) == found


# -- the report -------------------------------------------------------------------------------------


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.sources: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [found for key, found in attrs if key == "src"]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Text:
    seen = Text()
    seen.feed(html)
    return seen


def test_a_report_says_the_verdict_first(world: Any, new: Any, champ: Any, core: Any) -> None:
    """EVL-11, HIT-01."""
    items = world(2000, 4, win=0.06, loss=0.01, bad_slice=0.4)
    gate = NoWorse(Accuracy(), by=0.05, on=core, slices={"genre": 0.10}).judge(new, champ, items, seed=1)
    found = evaluate(new, champ, items, scorers=[Accuracy()], metrics=[F1Macro()])
    made = report(found, title="c-12ab", gates=[gate], funnel=["1,000 rows in", "12 of one unit dropped"], facts={"seed": 7})
    seen = read(made.html())
    assert seen.text.index("Refused: ") < seen.text.index("items; the models answer")
    assert "genre anime" in seen.text
    assert "12 of one unit dropped" in seen.text
    twin = made.markdown()
    assert twin.text.index("Refused") < twin.text.index("Gates")
    assert len(twin.files) >= 4
    assert all(name in twin.text for name in twin.files)


@pytest.mark.parametrize(("win", "loss", "word"), [(0.15, 0.0, "Better on core"), (0.0, 0.15, "Worse on core"), (0.02, 0.02, "No difference shown")])
def test_verdicts(win: float, loss: float, word: str, world: Any, new: Any, champ: Any) -> None:
    found = evaluate(new, champ, world(800, 6, win=win, loss=loss), scorers=[Accuracy()])
    made = report(found)
    assert word in read(made.html()).text
    assert r" pp \[" in made.markdown().text


def test_a_report_of_almost_nothing(world: Any, new: Any) -> None:
    items = world(20, 1)
    for found in (
        evaluate(new, None, items, scorers=[Accuracy()]), evaluate(new, None, items), evaluate(new, new, world(0, 1), scorers=[Accuracy()]),
        evaluate(new, new, dataclasses.replace(items, targets=[None] * 20), scorers=[Accuracy()], metrics=[AUC()]),
    ):
        made = report(found)
        assert read(made.html()).text
        assert made.markdown().text
    assert "Nothing was scored" in read(report([]).html()).text


def test_hostile_inputs_stay_text(world: Any, tmp_path: Path, core: Any) -> None:
    items = world(60, 1)
    rows = [{**row, "id": f"{HOSTILE}{row['id']}"} for row in items.inputs]
    bad = dataclasses.replace(items, inputs=rows, targets=[HOSTILE] * 60, slices={HOSTILE: [HOSTILE] * 60}, name=HOSTILE)
    found = evaluate(
        lambda inputs: [Prediction(HOSTILE) for _ in inputs], lambda inputs: [Prediction([HOSTILE, "b"]) for _ in inputs],
        bad, scorers=[Accuracy()],
    )  # fmt: skip
    gate = AtLeast(Accuracy(), 0.9, on=core).judge(lambda inputs: 1 / 0, None, bad, seed=1)
    made = report(found, title=HOSTILE, gates=[gate], facts={HOSTILE: HOSTILE}, funnel=[HOSTILE])
    html = made.html()
    assert not read(html).tags & {"script", "img", "a", "link", "iframe"}
    assert "\x00" not in html
    assert "\u202e" not in html
    twin = made.markdown()
    renderer = pytest.importorskip("markdown_it").MarkdownIt("gfm-like", {"html": False, "linkify": False})
    seen = read(renderer.render(twin.text))
    assert not seen.tags & {"script", "a", "iframe", "svg", "form"}
    assert set(seen.sources) == set(twin.files)
    pages = made.save(tmp_path)
    assert all(page.exists() for page in pages)


def test_the_same_evaluation_gives_the_same_bytes(world: Any, new: Any, champ: Any) -> None:
    found = [evaluate(new, champ, world(100, 1), scorers=[Accuracy()]) for _ in range(2)]
    assert report(found[0]).html() == report(found[1]).html()
