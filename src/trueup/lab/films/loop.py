# SPDX-License-Identifier: Apache-2.0
"""Genres of films from their descriptions: retrain when quality falls, release what is no worse."""

from datetime import timedelta
from pathlib import Path

from trueup import Loop, Outcome, Risk, Task
from trueup.curate import CapPerUnit, Deduplicate
from trueup.data import GoldenSet, Recipe, Replay
from trueup.evaluate import Accuracy, AtLeast, NoWorse
from trueup.models import Features
from trueup.release import Approval, Canary, Full, Shadow
from trueup.train import Sklearn
from trueup.triggers import Cron, Falls, NothingNew, Rows

HERE = Path(__file__).parent
DAY = timedelta(days=1)

genre = Outcome.of_input("genre", within=5 * DAY)        # the editors' word, whatever was answered
golden = GoldenSet("catalogue", HERE / "golden/films.jsonl", slices=("genre", "cohort"))

loop = Loop(
    "films",
    task=Task(input="film", output="genre", unit="user"),
    outcomes=[genre],
    look=Cron("0 0 * * 1"),                               # every Monday: ask whether to train
    when=[                                                # any of these: train
        Falls(Accuracy(), below=0.80),
        Rows(20_000),
    ],
    unless=[NothingNew()],                                # any of these: do not, and say so
    false_alarms_per_year=1,
    recipe=Recipe(
        window=30 * DAY, min_rows=500, replay=Replay(1.0, by="cohort"),
        curate=[CapPerUnit(0.01), Deduplicate()],         # the golden set is left out by itself
    ),
    trainer=Sklearn(
        features=Features(text=("description",), categorical=("starring",), bits=15, prefix=0),
        params={"C": 1.0},
    ),
    gates=[
        AtLeast(Accuracy(), 0.80, on=golden),
        NoWorse(Accuracy(), by=0.05, on=golden, slices={"genre": 0.10, "cohort": 0.08}),
    ],
    release=[
        Shadow(Accuracy(), no_worse_by=0.05, units=1_000, min_time=7 * DAY, max_time=42 * DAY),
        Canary(0.10, 0.25, 0.50, step=2 * DAY, units=1_500),
        Approval(by="the catalogue's owner"),
        Full(),
    ],
    risk=Risk(wrong_promotion=0.05, needless_rollback=0.05, per="life"),
    when_busy="wait",                                     # no training while a release runs
)
