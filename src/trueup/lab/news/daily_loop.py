# SPDX-License-Identifier: Apache-2.0
"""A news summarizer: tuned each night on what a teacher wrote, swapped in after an hour in shadow."""

from datetime import timedelta
from pathlib import Path

from trueup import Loop, Outcome, Risk, Task
from trueup.curate import CapPerUnit, Deduplicate, Distill
from trueup.data import GoldenSet, Recipe, Replay, RollingSet
from trueup.evaluate import AtLeast, NoWorse, RougeL
from trueup.models import FunctionModel, LocalModel
from trueup.release import Full, Shadow
from trueup.train import Lora
from trueup.triggers import Cron, NothingNew

HERE = Path(__file__).parent
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

summary = Outcome.of_input("summary", within=HOUR / 4)   # an editor's own, for some of the articles
large = Distill(FunctionModel("trueup.lab.news.articles:teacher"))
yesterday = RollingSet("yesterday", last=DAY, rows=60, teacher=large)
archive = GoldenSet("archive", HERE / "golden/archive.jsonl")

loop = Loop(
    "news-daily",
    task=Task(input="article", output="summary", unit="reader", answers="text"),
    champion=LocalModel(HERE / "models/base"),
    outcomes=[summary],
    look=Cron("0 2 * * *"),                               # every night at two
    when=[Cron("0 2 * * *")],
    unless=[NothingNew()],
    recipe=Recipe(
        window=DAY, min_rows=50, cohort="day", replay=Replay(2.0, by="cohort"),
        curate=[CapPerUnit(0.05), Deduplicate(), large],  # what no editor has summarised, the teacher does
    ),
    trainer=Lora(
        r=16, alpha=32, dropout=0.0, learning_rate=3e-3, batch=32, epochs=14, schedule="cosine", start="champion",
    ),
    gates=[
        AtLeast(RougeL(), 0.30, on=yesterday),
        NoWorse(RougeL(), by=0.10, on=archive),
    ],
    release=[
        Shadow(RougeL(), no_worse_by=0.05, units=1_000, min_time=HOUR, max_time=DAY / 2),
        Full(),
    ],
    risk=Risk(wrong_promotion=0.05, needless_rollback=0.05, per="life"),
)
