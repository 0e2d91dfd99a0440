# SPDX-License-Identifier: Apache-2.0
"""From numbers to answers."""

import numpy as np
import pytest

from trueup.core.errors import ModelError
from trueup.models.answers import choose, predictions
from trueup.models.manifest import Manifest


def test_a_threshold_answers_one_label_at_least():
    chosen = choose(np.array([[0.9, 0.4, 0.5], [0.1, 0.2, 0.0]]), 0.5)
    assert chosen.tolist() == [[True, False, True], [False, True, False]]


def test_without_a_threshold_the_number_of_labels_has_the_best_expected_f1():
    """EVL-03: by enumeration over all sizes of the plug-in form."""
    rng = np.random.default_rng(3)
    p = rng.beta(0.3, 1.0, size=(200, 6))
    for row, chosen in zip(p, choose(p, None), strict=True):
        best = np.sort(row)[::-1]
        plug_in = [2 * best[:k].sum() / (k + row.sum()) for k in range(1, 7)]
        assert chosen.sum() == 1 + int(np.argmax(plug_in))
        assert row[chosen].min() >= row[~chosen].max(initial=0.0)


def test_labels_are_sorted_by_name_and_keep_their_type():
    manifest = Manifest("sklearn", "labels", ("b", 2, "a"), threshold=0.5)
    (answer,) = predictions(manifest, np.array([[0.9, 0.6, 0.7]]))
    assert answer.value == [2, "a", "b"]
    assert answer.scores == {"b": 0.9, "2": 0.6, "a": 0.7}


def test_nan_is_not_an_answer():
    manifest = Manifest("sklearn", "label", ("a", "b"))
    with pytest.raises(ModelError, match="expected finite answers"):
        predictions(manifest, np.array([[0.5, 0.5], [np.nan, 0.5]]))
