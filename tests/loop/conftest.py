# SPDX-License-Identifier: Apache-2.0
"""A loop over the toy world, small enough to run in a second."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.task import Outcome, Task
from trueup.curate import CapPerUnit, Deduplicate
from trueup.data import GoldenSet, Recipe
from trueup.evaluate import Accuracy, AtLeast, NoWorse
from trueup.loop import Loop
from trueup.release import Approval, Canary, Full, Shadow
from trueup.testing import toy_rows
from trueup.train import Sklearn
from trueup.triggers import Cron, Falls, NothingNew

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
KIND = Outcome.of_input("kind", within=DAY)


@pytest.fixture
def golden(tmp_path: Path) -> GoldenSet:
    path = tmp_path / "golden.jsonl"
    items = [
        {"input": given, "target": target, "vocabulary": name}
        for name, moved in (("old", False), ("new", True))
        for given, target in toy_rows(150, seed=100 + moved, moved=moved)
    ]
    seen = {json.dumps(item["input"]): item for item in items}
    path.write_text("".join(json.dumps(item) + "\n" for item in seen.values()))
    return GoldenSet("core", path, slices=("vocabulary",))


@pytest.fixture
def make_loop(golden: GoldenSet) -> Callable[..., Loop]:
    def make(**changes: Any) -> Loop:
        parts: dict[str, Any] = {
            "name": "toys",
            "task": Task("sentence", "kind", "user"),
            "outcomes": [KIND],
            "look": Cron("daily"),
            "when": [Falls(Accuracy(), below=0.75)],
            "unless": [NothingNew()],
            "recipe": Recipe(window=14 * DAY, min_rows=100, curate=[CapPerUnit(0.05), Deduplicate()]),
            "trainer": Sklearn("logistic"),
            "gates": [AtLeast(Accuracy(), 0.5, on=golden), NoWorse(Accuracy(), by=0.10, on=golden)],
            "release": [
                Shadow(Accuracy(), no_worse_by=0.05, max_time=30 * DAY),
                Canary(0.25, 0.5, step=2 * DAY, lag=timedelta(minutes=5), window=timedelta(hours=1)),
                Approval(by="owners"),
                Full(),
            ],
        }
        return Loop(**{**parts, **changes})

    return make
