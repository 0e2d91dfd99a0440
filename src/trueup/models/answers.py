# SPDX-License-Identifier: Apache-2.0
"""From a matrix of numbers to answers: one label, a list of labels, or a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core import scalars
from trueup.core.errors import ModelError
from trueup.core.json import dumps
from trueup.core.protocols import Prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueup.models.manifest import Manifest


def predictions(manifest: Manifest, numbers: NDArray[Any]) -> list[Prediction]:
    """Answers as the manifest wants them.

    `numbers` has a row an input: (n, labels) probabilities, or (n, 1) for a number. Raises
    ModelError where one of them is not finite.
    """
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise ModelError(
            f"expected finite answers, got {numbers[row].tolist()!r:.80} for input {row}",
            cure="train again: the model is broken",
        )
    if manifest.answers == "number":
        return [Prediction(number) for number in numbers[:, 0].tolist()]
    names = [name_of(label) for label in manifest.labels]
    scores = [dict(zip(names, row, strict=True)) for row in numbers.tolist()]
    if manifest.answers == "label":
        best = numbers.argmax(axis=1).tolist()
        return [Prediction(manifest.labels[at], score) for at, score in zip(best, scores, strict=True)]
    chosen = choose(numbers, manifest.threshold)
    order = sorted(range(len(names)), key=names.__getitem__)
    answers = [[manifest.labels[at] for at in order if row[at]] for row in chosen.tolist()]
    return [Prediction(answer, score) for answer, score in zip(answers, scores, strict=True)]


def choose(probabilities: NDArray[Any], threshold: float | None) -> NDArray[np.bool_]:
    """Which labels are answered: (n, labels) probabilities to (n, labels) booleans, one a row at least.

    With a threshold, those at or above it. Without one, the k most probable labels with the
    k that is best for ``2 * sum(p of the k) / (k + sum(p of all))``: the expected F1 of the row,
    with its denominator at its mean (a plug-in form of Lewis, SIGIR 1995).
    """
    n, labels = probabilities.shape
    order = np.argsort(-probabilities, axis=1, kind="stable")
    if threshold is None:
        ranked = np.take_along_axis(probabilities, order, axis=1).cumsum(axis=1)
        sizes = np.arange(1, labels + 1)
        many = (ranked / (sizes + ranked[:, -1:])).argmax(axis=1) + 1
    else:
        many = np.maximum((probabilities >= threshold).sum(axis=1), 1)
    chosen = np.zeros((n, labels), dtype=np.bool_)
    np.put_along_axis(chosen, order, np.arange(labels) < many[:, None], axis=1)
    return chosen


def name_of(label: Any) -> str:
    """The key of a label in scores: the name of the scalar, of anything else its JSON."""
    found = scalars.name(label)
    return dumps(label) if found is None else found


def checked(answers: Any, inputs: Sequence[Any], who: str) -> list[Prediction]:
    """Answers of foreign code as Predictions; raises ModelError for a wrong number or sort of them."""
    if not isinstance(answers, list | tuple) or len(answers) != len(inputs):
        got = f"{len(answers)} answers" if isinstance(answers, list | tuple) else f"{answers!r:.80}"
        raise ModelError(f"expected a list of {len(inputs)} answers from {who}, got {got}")
    made = []
    for number, answer in enumerate(answers):
        prediction = answer if isinstance(answer, Prediction) else Prediction(answer)
        try:
            dumps(prediction.value)
            dumps(None if prediction.scores is None else dict(prediction.scores))
        except Exception as error:
            raise ModelError(
                f"expected an answer that JSON can hold from {who}, got {answer!r:.80} for input {number}"
            ) from error
        made.append(prediction)
    return made
