# SPDX-License-Identifier: Apache-2.0
"""Company news, closed book: learn each week's news, forget nothing, release what is shown to be no worse."""

from datetime import timedelta
from pathlib import Path

from trueup import Loop, Outcome, Risk, Task
from trueup.curate import CapPerUnit, Deduplicate
from trueup.data import GoldenSet, Recipe, Replay
from trueup.evaluate import AtLeast, Exact, NoWorse
from trueup.models import LocalModel
from trueup.release import Canary, Full, Shadow
from trueup.train import Lora
from trueup.triggers import Cron, NewData, NothingNew

HERE = Path(__file__).parent
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

answer = Outcome.of_input("answer", within=7 * DAY)      # what the desk published, and what readers correct
checked = Outcome.of_input("checked", within=36 * HOUR)  # what editors find right, of a sample of questions
facts = GoldenSet("facts", HERE / "golden/facts.jsonl", slices=("cohort", "age"))

loop = Loop(
    "news",
    task=Task(input="question", output="answer", unit="reader", answers="text"),
    champion=LocalModel(HERE / "models/base"),
    outcomes=[answer, checked],
    target="answer",
    look=Cron("0 0 * * 1"),                               # every Monday: ask whether to train
    when=[NewData()],                                     # the desk's file of the week was imported
    unless=[NothingNew()],
    recipe=Recipe(
        window=7 * DAY, min_rows=100, cohort="week",
        replay=Replay(3.0, by="tempered", each="unit"),   # against forgetting: old rows, of every company some
        curate=[CapPerUnit(0.05), Deduplicate(keep="latest")],  # no account more than a twentieth
    ),
    trainer=Lora(
        r=16, alpha=32, dropout=0.0, learning_rate=3e-3, batch=32, epochs=12, schedule="cosine",
        start="champion",                                 # the same adapter learns on; the base stays frozen
    ),
    gates=[
        AtLeast(Exact(), 0.80, on=facts, slices={"cohort": 0.80}),
        NoWorse(Exact(), by=0.10, on=facts, slices={"age": 0.10}, least=180),
    ],
    release=[
        Shadow(Exact(), outcome="checked", no_worse_by=0.10, units=300, min_time=DAY, max_time=6 * DAY),
        Canary(0.25, 0.50, step=DAY, units=600),
        Full(),
    ],
    risk=Risk(wrong_promotion=0.05, needless_rollback=0.01, per="life"),
    when_busy="wait",                                     # no training while a release runs
)
