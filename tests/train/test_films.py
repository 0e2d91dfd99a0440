# SPDX-License-Identifier: Apache-2.0
"""Real films: genres from title and description, with both of our own trainers."""

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from trueup.models import Features, load
from trueup.train import Sklearn, Xgboost, run

DATA = Path(os.environ.get("TRUEUP_DATA", Path(__file__).parents[2] / "../shared/data"))
FILMS = DATA / "netflix_titles.parquet"
FIELDS = Features(text=("title", "description"))

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def films():
    table = pq.read_table(FILMS, columns=["title", "description", "listed_in", "date_added"])
    rows = [row for row in table.to_pylist() if row["date_added"] is not None]
    return sorted(rows, key=lambda row: row["date_added"])


def split(films, first, cut, last):
    def pairs(low, high):
        return [
            (
                {"title": row["title"], "description": row["description"]},
                [genre.strip() for genre in row["listed_in"].split(",")],
            )
            for row in films
            if low <= row["date_added"] < high
        ]

    return pairs(first, cut), pairs(cut, last)


def f1(answer, truth):
    return 2 * len(set(answer) & set(truth)) / (len(set(answer)) + len(set(truth)))


@pytest.mark.parametrize(
    ("trainer", "least"),
    [(Sklearn(features=FIELDS), 0.37), (Xgboost(features=FIELDS), 0.34)],
    ids=["sklearn", "xgboost"],
)
def test_genres_of_a_year_are_better_than_the_most_frequent(trainer, least, films, make_job, stored, store, tmp_path):
    """TRN-09, SCN-2: twelve months are learned, the next three are answered."""
    train, test = split(films, datetime(2019, 7, 1), datetime(2020, 7, 1), datetime(2020, 10, 1))
    got = run(stored(make_job(trainer, train, "labels")), store, workdir=tmp_path / "work")
    assert got.result.status == "completed", got.result.reason
    answers = load(got.result.model).predict([film for film, _ in test])
    score = np.mean([f1(answer.value, truth) for answer, (_, truth) in zip(answers, test, strict=True)])
    always = ["International Movies", "Dramas"]
    floor = np.mean([f1(always, truth) for _, truth in test])
    assert score > least
    assert score > floor + 0.05
