# SPDX-License-Identifier: Apache-2.0
"""Features: the same numbers everywhere, and plain words for what does not fit."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core import values
from trueup.core.errors import ArgumentError, DataError
from trueup.models import Features

PINNED_COLUMNS = [35, 38, 99, 250, 287, 381, 428, 441, 444, 509, 626, 919, 1024]
PINNED_DATA = [0.2605000138282776, 1.0, 0.2605000138282776, 0.44110000133514404, 0.2605000138282776, 0.2605000138282776, 0.2605000138282776, 0.2605000138282776, 0.2605000138282776, 0.44110000133514404, 0.2605000138282776, 0.2605000138282776, 7.611299991607666]
FILM = {"title": "The Quiet Sea", "plot": "A quiet family at sea", "year": 2020, "kind": "Movie"}


def test_numbers_of_version_one():
    """FST-03: raise VERSION in features.py where these numbers change."""
    matrix = Features(
        text=("title", "plot"), numeric=("year",), categorical=("kind",), bits=10, ngrams=2
    ).transform([FILM, {}])
    assert matrix.shape == (2, 1025)
    assert matrix.dtype == np.float32
    assert matrix.indptr.tolist() == [0, 13, 13]
    assert matrix.data.tolist() == pytest.approx(PINNED_DATA, abs=1e-4)
    assert matrix.indices.tolist() == PINNED_COLUMNS


def test_a_text_input_has_length_one():
    matrix = Features().transform(["a quiet film", "", "x"])
    assert np.round(np.sqrt((matrix.toarray() ** 2).sum(axis=1)), 6).tolist() == [1.0, 0.0, 0.0]


def test_numbers_categories_and_missing_fields():
    features = Features(numeric=("a", "b"), categorical=("c",), bits=8)
    rows = features.transform([{"a": -1, "b": True, "c": 1}, {"a": None}, {"c": "int:1"}]).toarray()
    assert rows[0, 256] == pytest.approx(-np.log(2))
    assert rows[0, 257] == pytest.approx(np.log(2))
    assert not rows[1].any()
    assert rows[0, :256].sum() == 1


@pytest.mark.parametrize(
    ("features", "item", "words"),
    [
        (Features(), {"title": "x"}, "expected a text as input in row 1"),
        (Features(text=("title",)), "plain", "expected a mapping with fields as input in row 1"),
        (Features(text=("title",)), {"title": 3}, "expected a text in field 'title' of row 1"),
        (Features(numeric=("n",)), {"n": "3"}, "expected a number in field 'n' of row 1"),
        (Features(numeric=("n",)), {"n": float("nan")}, "expected a finite number in field 'n' of row 1"),
        (Features(numeric=("n",)), {"n": 10**400}, "expected a finite number in field 'n' of row 1"),
        (Features(categorical=("c",)), {"c": ["a"]}, "expected a text, number or boolean in field 'c' of row 1"),
    ],
)
def test_what_does_not_fit_is_said_with_its_row(features, item, words):
    with pytest.raises(DataError, match=words):
        features.transform(["fine" if features == Features() else {}, item])


@pytest.mark.parametrize("wrong", [{"bits": 30}, {"ngrams": 0}, {"prefix": 1}, {"text": "title"}])
def test_settings_outside_their_range(wrong):
    with pytest.raises(ArgumentError):
        Features(**wrong)


def test_version_follows_the_settings_and_goes_through_json():
    one = Features(text=("title",))
    assert values.from_json(values.to_json(one)) == one
    assert one.version != Features(text=("title",), ngrams=2).version


def test_another_process_gives_the_same_numbers():
    code = (
        "from trueup.models import Features; m = Features(ngrams=2).transform(['Ein stiller Film über das Meer']);"
        "print(m.indices.tolist(), m.data.tolist())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    matrix = Features(ngrams=2).transform(["Ein stiller Film über das Meer"])
    assert said == {f"{matrix.indices.tolist()} {matrix.data.tolist()}\n"}


@given(st.lists(st.text(), max_size=5))
def test_any_text_gives_finite_rows_and_does_not_depend_on_its_neighbours(texts):
    features = Features(bits=8, ngrams=2)
    matrix = features.transform(texts)
    assert np.isfinite(matrix.data).all()
    for row, text in enumerate(texts):
        assert (matrix[row] != features.transform([text])).nnz == 0
