# SPDX-License-Identifier: Apache-2.0
"""Genres of new titles: retrain when enough have come, release only what is shown to be no worse.

A catalogue adds films and series, month by month; editors give each its genres. The model reads a
title's name, its description and whether it is a film or a series (known before anybody reads it;
without that the genres of films and of series, which have different names, could only be guessed),
and answers with the list of genres. "Film" stands for both below.

    trueup import netflix_titles.parquet examples/genres/loop.py --loop genres-linear \\
        --map input=title,description,type
    trueup run examples/genres/loop.py --loop genres-linear --replay --since 2017-01-01
"""

from dataclasses import replace
from datetime import timedelta

from trueup import Loop, Outcome, Risk, Task
from trueup.curate import Deduplicate
from trueup.data import Recipe
from trueup.evaluate import F1
from trueup.models import Features
from trueup.release import Full, Shadow
from trueup.train import Sklearn, Xgboost
from trueup.triggers import Cron, NothingNew, Rows

DAY = timedelta(days=1)

features = Features(text=("title", "description"), categorical=("type",))
genres = Outcome.of_input("listed_in", within=DAY)  # what the editors say, on the day of adding

linear = Loop(
    "genres-linear",
    task=Task(input="film", output="genres", unit="show_id", answers="labels"),
    outcomes=[genres],
    look=Cron("0 0 1 * *"),  # some 115 films come a month (144 since 2017): fewer looks lose nothing
    when=[Rows(345)],  # three months of films; fewer do not move a model that has learned thousands
    unless=[NothingNew()],
    # A release takes three to six months here. A candidate that was trained while one runs would be
    # old before its turn came, so none is.
    when_busy="wait",
    recipe=Recipe(
        # All history: what a drama is changes slowly, the mix of what is added changes fast, and
        # 12 months hold some 1,400 films for 42 genres. The study shows what a window costs.
        window=None,
        min_rows=345,
        curate=[Deduplicate()],
    ),
    trainer=Sklearn("logistic", features=features),
    # No golden set. One that could tell .05 of F1 apart holds several hundred films: half a year of
    # them, never learned, and of the kind that was added then. Fresh films alone judge, in the shadow.
    gates=[],
    release=[
        # 690 films are five to six months: the longest that anybody wants to wait for a verdict. The
        # shadow ends sooner where the evidence suffices, and no sooner than after three months, so
        # that a model is not judged on the films of one season.
        Shadow(F1(), no_worse_by=0.05, units=690, min_time=89 * DAY, max_time=250 * DAY),
        # Nobody waits for an answer here, so that there is no latency or failing page that a canary
        # could see.
        Full(),
    ],
    risk=Risk(wrong_promotion=0.05, per="life"),
)

xgboost = replace(linear, name="genres-xgboost", trainer=Xgboost(100, features=features))
