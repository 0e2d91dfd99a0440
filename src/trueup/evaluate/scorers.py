# SPDX-License-Identifier: Apache-2.0
"""Scorers: each answer scored in [0, 1], 1 being best, or unmeasured and why. Never NaN.

An answer that is missing, or is no label where labels are asked, scores 0: the model failed. A
label that is missing is unmeasured: nobody knows.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from trueup.core.errors import DataError
from trueup.core.json import Json
from trueup.core.protocols import Measured, Prediction, Unmeasured
from trueup.core.values import name_of, value
from trueup.evaluate.labels import NO_LABEL, label_key, label_set, truth_of


def same_length(answers: Sequence[Any], labels: Sequence[Any]) -> None:
    """Refuse answers that do not pair with their labels."""
    if len(answers) != len(labels):
        raise DataError(
            f"expected one answer a label, got {len(answers)} answers and {len(labels)} labels",
            cure="a predictor returns one answer for each input, in order",
        )


@value("score.accuracy")
class Accuracy:
    """1 where the answer is the label, else 0; a list of labels must be right as a whole set."""

    @property
    def name(self) -> str:
        return "accuracy"

    def score(
        self, inputs: Sequence[Json], answers: Sequence[Prediction], labels: Sequence[Json]
    ) -> list[Measured]:
        same_length(answers, labels)
        return [_right(answer.value, label) for answer, label in zip(answers, labels, strict=True)]


def _right(answer: Json, label: Json) -> Measured:
    truth = truth_of(label)
    if isinstance(truth, Unmeasured):
        return truth
    return float(label_set(answer) == truth)


@value("score.f1")
class F1:
    """F1 of the answer's labels against the true ones: ``2 |both| / (|answer| + |truth|)``.

    For one label an answer it is accuracy. Where both sets are empty they agree: 1.
    The mean over rows is the "samples" average of scikit-learn with `zero_division=1`.
    """

    @property
    def name(self) -> str:
        return "F1"

    def score(
        self, inputs: Sequence[Json], answers: Sequence[Prediction], labels: Sequence[Json]
    ) -> list[Measured]:
        same_length(answers, labels)
        return [_f1(answer.value, label) for answer, label in zip(answers, labels, strict=True)]


def _f1(answer: Json, label: Json) -> Measured:
    truth = truth_of(label)
    if isinstance(truth, Unmeasured):
        return truth
    given = label_set(answer)
    if given is None:
        return 0.0
    both = len(given) + len(truth)
    return 2.0 * len(given & truth) / both if both else 1.0


@value("score.exact")
class Exact:
    """1 where two texts are the same after normalisation: Unicode NFKC, case folded (unless
    `case`), white space collapsed, one final full stop dropped. Other punctuation counts."""

    case: bool = False

    @property
    def name(self) -> str:
        return "exact match"

    def score(
        self, inputs: Sequence[Json], answers: Sequence[Prediction], labels: Sequence[Json]
    ) -> list[Measured]:
        same_length(answers, labels)
        return [self._one(answer.value, label) for answer, label in zip(answers, labels, strict=True)]

    def _one(self, answer: Json, label: Json) -> Measured:
        if label is None:
            return NO_LABEL
        truth, given = label_key(label), label_key(answer)
        if truth is None:
            return Unmeasured("the label is not a text")
        return float(given is not None and normal(given, self.case) == normal(truth, self.case))


def normal(text: str, case: bool = False) -> str:
    """The text as `Exact` compares it."""
    text = unicodedata.normalize("NFKC", text)
    text = " ".join((text if case else text.casefold()).split())
    return text[:-1].rstrip() if text.endswith((".", "。")) and not text.endswith("..") else text


@value("score.custom")
class Custom:
    """A function of one's own: ``function(input, answer, label) -> score in [0, 1]``.

    It stands at module level, and may return an `Unmeasured`. An exception, NaN or a number
    outside [0, 1] is unmeasured with that reason, so that a gate fails closed and nothing is
    averaged that is not a score.
    """

    function: Callable[[Json, Json, Json], Measured]

    def __post_init__(self) -> None:
        name_of(self.function)

    @property
    def name(self) -> str:
        return self.function.__name__

    def score(
        self, inputs: Sequence[Json], answers: Sequence[Prediction], labels: Sequence[Json]
    ) -> list[Measured]:
        same_length(answers, labels)
        same_length(inputs, labels)
        return [
            self._one(given, answer.value, label)
            for given, answer, label in zip(inputs, answers, labels, strict=True)
        ]

    def _one(self, given: Json, answer: Json, label: Json) -> Measured:
        try:
            score = self.function(given, answer, label)
        except Exception as error:  # a scorer's failure is a missing score, not a crashed release
            return Unmeasured(f"the scorer raised {type(error).__name__}")
        return checked(score)


def checked(score: Any) -> Measured:
    """A score in [0, 1], or why it is none."""
    if isinstance(score, Unmeasured):
        return score
    try:
        number = float(score)
    except (TypeError, ValueError, OverflowError):
        return Unmeasured(f"the scorer returned {type(score).__name__}, not a number")
    if math.isnan(number):
        return Unmeasured("the scorer returned NaN")
    if not 0.0 <= number <= 1.0:
        return Unmeasured("the scorer returned a number outside [0, 1]")
    return number
