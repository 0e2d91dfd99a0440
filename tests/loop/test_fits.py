# SPDX-License-Identifier: Apache-2.0
"""VAL-01, VAL-03: data that are not what a loop says of them are named by check, quarantine and training."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.client import connect
from trueup.core.task import Outcome, Task
from trueup.data import GoldenSet, Recipe
from trueup.evaluate import Accuracy, AtLeast
from trueup.loop import Loop, run
from trueup.loop.check import check_data
from trueup.loop.quarantine import quarantined
from trueup.models import Features
from trueup.release import Full, Shadow
from trueup.store import Ledger
from trueup.train import Sklearn, Xgboost
from trueup.triggers import Rows

DAY = timedelta(days=1)


def loop_of(trainer: Any, **more: Any) -> Loop:
    given = {
        "task": Task(input="features", output="prediction", unit="user"),
        "outcomes": [Outcome.of_input("truth", within=2 * DAY), Outcome.boolean("clicked"), Outcome.number("stars", low=1, high=5)],
        "when": [Rows(10)], "target": "truth", "recipe": Recipe(min_rows=10, window=None), "trainer": trainer,
        "release": [Shadow(Accuracy(), no_worse_by=0.05), Full()], **more,
    }
    return Loop("tab", **given)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with connect("tab", tmp_path / "home") as client:
        for n in range(60):
            choice = client.choose(f"u{n}")
            client.log(choice, {"year": n, "k": "ab"[n % 2]}, "yes")
            client.feedback(choice.id, "truth", "yes" if n > 30 else "no")
            client.feedback(choice.id, "clicked", n % 2 == 0)
    return tmp_path / "home"


def last(loop: Loop, ledger: Ledger) -> tuple[str, str]:
    made = run(loop, ledger, now=True)
    return made[-1].verdict, made[-1].reason


@pytest.mark.parametrize("trainer", [Sklearn, Xgboost], ids=lambda one: one.__name__)
def test_a_misspelled_field_is_refused(home: Path, trainer: Any) -> None:
    wrong = trainer(features=Features(numeric=("yaer",), categorical=("k",)))
    with Ledger.open(home) as ledger:
        loop = loop_of(wrong)
        words = [str(one) for one in check_data(loop, ledger) if one.severe]
        assert words == ["error: trainer: Features names the field 'yaer', which no input of the newest 60 requests has; did you mean 'year'?"]
        verdict, reason = last(loop, ledger)
        assert (verdict, reason) == ("REFUSE", "train: expected a known field of the inputs, got 'yaer'; cure: did you mean 'year'?")
    right = loop_of(trainer(features=Features(numeric=("year",), categorical=("k",))))
    with Ledger.open(home) as ledger:
        assert check_data(right, ledger) == []
        assert last(right, ledger)[0] == "PROMOTE"


def test_golden_items_that_the_features_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "core.jsonl"
    path.write_text("".join(json.dumps({"input": {"year": n}, "target": "yes"}) + "\n" for n in range(30)))
    gates = [AtLeast(Accuracy(), 0.5, on=GoldenSet("core", path))]
    words = [one.what for one in loop_of(Sklearn(features=Features(numeric=("yaer",))), gates=gates).check() if one.severe]
    assert any("'yaer', which no input of golden set core has; did you mean 'year'" in one for one in words)
    words = [one.what for one in loop_of(Sklearn(), gates=gates).check() if one.severe]
    assert any("the input is a mapping, not a text" in one for one in words)


BAD: list[tuple[Any, Any]] = [
    ({"year": 1, "k": "a"}, None), ({"year": 1, "k": "a"}, [1]), ("a text", "yes"), (None, "yes"), ({"year": "soon", "k": "a"}, "yes"),
    ({"year": float("nan")}, "yes"), ({"year": 10**5000}, "yes"), (b"bytes", "yes"), ({"year": 1, "k": "a"}, float("nan")),
]


def test_no_row_of_any_shape_stops_a_training_or_raises(home: Path) -> None:
    """What an application logs costs that row at most, and all of it is listed with its reason."""
    loop = loop_of(Sklearn(features=Features(numeric=("year",), categorical=("k",))))
    with connect("tab", home) as client:
        for given, label in BAD:
            choice = client.choose("zz")
            client.log(choice, given, "yes")
            client.feedback(choice.id, "truth", label)
        client.feedback(choice.id, "trth", 1)
        client.feedback(choice.id, "stars", 9)
        client.feedback(choice.id, "clicked", "perhaps")
        client.feedback(choice.id, "clicked", 1.0, key="again")
    with Ledger.open(home) as ledger:
        assert last(loop, ledger)[0] == "PROMOTE"
        found = quarantined(loop, ledger)
        assert len(found.requests) == 3 + 5
        assert found.reasons(found.requests)[0][1] >= 1
        told = " ".join(found.outcomes)
        for words in ("'trth'", "did you mean 'truth'", "1 values of 'stars' are not a number within [1, 5], such as 9", "'clicked' are not yes or no"):
            assert words in told, told
        assert [one.severe for one in check_data(loop, ledger)] == [False] * 4


def test_one_label_in_several_spellings_is_one(home: Path) -> None:
    """ING-10: True, "True" and "true" are one label; 1, 1.0 and "1" another."""
    loop = loop_of(Sklearn(features=Features(numeric=("year",))), target="truth")
    with connect("tab", home) as client:
        for n, label in enumerate([True, "True", "true"] * 4):
            choice = client.choose(f"v{n}")
            client.log(choice, {"year": 1000 + n}, "yes")
            client.feedback(choice.id, "truth", label)
    with Ledger.open(home) as ledger:
        made = run(loop, ledger, now=True)[-1]
        assert made.verdict == "PROMOTE"
        from trueup.models import load
        from trueup.state import candidates

        model = load(ledger.artifacts.path(candidates(ledger, "tab")[-1].model))
        assert list(model.manifest.labels) == ["no", True, "yes"]  # type: ignore[attr-defined]
        assert model.predict([{"year": 1005}])[0].value is True
