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
    ).transform([FILM, {}], version=1)
    assert matrix.shape == (2, 1025)
    assert matrix.dtype == np.float32
    assert matrix.indptr.tolist() == [0, 13, 13]
    assert matrix.data.tolist() == pytest.approx(PINNED_DATA, abs=1e-4)
    assert matrix.indices.tolist() == PINNED_COLUMNS


def test_a_text_input_has_length_one():
    matrix = Features().transform(["a quiet film", "", "x"])
    assert np.round(np.sqrt((matrix.toarray() ** 2).sum(axis=1)), 6).tolist() == [1.0, 0.0, 0.0]


def test_numbers_of_version_two():
    """The missing year has a column of its own; all else is as it was."""
    features = Features(text=("title", "plot"), numeric=("year",), categorical=("kind",), bits=10, ngrams=2)
    matrix = features.transform([FILM, {}])
    assert matrix.indices[:13].tolist() == PINNED_COLUMNS
    assert matrix.data[:13].tolist() == pytest.approx(PINNED_DATA, abs=1e-4)
    assert (matrix.indptr.tolist(), matrix.indices[13:].tolist(), matrix.data[13:].tolist()) == ([0, 13, 14], [303], [1.0])
    assert features.version != features.version_at(1)
    assert Features().version == Features().version_at(1), "words are read as they were: models go on"


def test_numbers_categories_and_missing_fields():
    features = Features(numeric=("a", "b"), categorical=("c",), bits=8)
    rows = features.transform([{"a": -1, "b": True, "c": 1}, {"a": None}, {"c": "int:1"}], version=1).toarray()
    assert rows[0, 256] == pytest.approx(-np.log(2))
    assert rows[0, 257] == pytest.approx(np.log(2))
    assert not rows[1].any()
    assert rows[0, :256].sum() == 1


def test_one_scalar_whatever_its_spelling():
    """ING-10: a category, a number and a boolean are the same however a file or a program spells them."""
    features = Features(numeric=("n",), categorical=("c",), bits=16)
    for alike in ([10115, "10115", 10115.0, "10115.0"], [True, "true", "True", 1, 1.0], [0.5, "0.5"]):
        rows = features.transform([{"n": 1, "c": one} for one in alike]).toarray()
        assert (rows == rows[0]).all(), alike
    apart = features.transform([{"n": 1, "c": one} for one in ("01067", 1067, "1.10", 1.1, "a")]).toarray()
    assert len({row.tobytes() for row in apart}) == 5
    numbers = features.transform([{"n": one} for one in (3.5, "3.5", " 3.5 ")]).toarray()
    assert (numbers == numbers[0]).all()


def test_zero_is_not_missing():
    """VAL-01: a 0 is stored, and a missing number has a column of its own; NA in a number is missing."""
    features = Features(numeric=("x", "y"), bits=8)
    zero, null, absent, marked = (features.transform([item]) for item in ({"x": 0, "y": 1}, {"x": None, "y": 1}, {"y": 1}, {"x": "NA", "y": 1}))
    assert zero.indices.tolist() == [256, 257]
    assert zero.data[0] == 0
    assert (null != absent).nnz == (null != marked).nnz == 0
    assert 256 not in null.indices
    assert null.nnz == 2
    assert features.transform([{"x": 0, "y": 1}], version=1).indices.tolist() == [257]


def test_what_is_wrong_with_an_input_in_words():
    features = Features(text=("t",), numeric=("n",), categorical=("c",), bits=8)
    assert features.fault({"t": "x", "n": "3", "c": None}) is None
    assert features.fault("text") == "the input is a text, not a mapping with fields"
    assert features.fault({"n": [1]}) == "n is a list, not a number"
    assert features.fault({"n": float("nan")}) == "n is not finite, not a finite number"
    assert features.fault({"n": 10**5000}) == "n is a number, not a finite number"
    assert features.fault({"c": {}}) == "c is a mapping, not a text, number or boolean"
    assert Features().fault(None) == "the input is null, not a text"


@pytest.mark.parametrize(
    ("features", "item", "words"),
    [
        (Features(), {"title": "x"}, "expected a text as input in row 1"),
        (Features(text=("title",)), "plain", "expected a mapping with fields as input in row 1"),
        (Features(text=("title",)), {"title": 3}, "expected a text in field 'title' of row 1"),
        (Features(numeric=("n",)), {"n": "three"}, "expected a number in field 'n' of row 1"),
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
