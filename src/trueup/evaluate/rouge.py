# SPDX-License-Identifier: Apache-2.0
"""ROUGE: how much of a reference text an answer says, by words, pairs of words, or their order.

F-measures, unstemmed, on the whole text as one sentence (ROUGE-L, not ROUGE-Lsum). Words are runs
of a-z and 0-9 after lower-casing, as in the package `rouge-score` with `use_stemmer=False`, whose
figures these equal. So they are made for English: of text in another alphabet no word is left.
Source: Lin (2004), "ROUGE: A Package for Automatic Evaluation of Summaries".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from trueup.core.errors import MissingDependency
from trueup.core.json import Json
from trueup.core.protocols import Measured, Prediction, Unmeasured
from trueup.core.values import value
from trueup.evaluate.labels import NO_LABEL
from trueup.evaluate.scorers import same_length

Words = list[bytes]
_TABLE = bytes(c if chr(c).isalnum() and c < 128 else 32 for c in range(256))
_NOT_A_TEXT = Unmeasured("the label is neither a text nor a list of texts")
_NO_WORDS = Unmeasured("the label has no words")


def rouge_words(text: str) -> Words:
    """The words that ROUGE compares: runs of a-z and 0-9 in the lower-cased text."""
    return text.lower().encode("ascii", "replace").translate(_TABLE).split()


@value("score.rouge_1")
class Rouge1:
    """ROUGE-1: F1 of the words that answer and reference share, each as often as in both.

    A label is a reference text, or a list of them, of which the best counts. An answer that is no
    text scores 0; a label that is no text, or has no words, is unmeasured.
    """

    @property
    def name(self) -> str:
        return "ROUGE-1"

    def score(
        self, inputs: Sequence[Json], answers: Sequence[Prediction], labels: Sequence[Json]
    ) -> list[Measured]:
        return _score(_shared_words, 1, answers, labels)


@value("score.rouge_2")
class Rouge2:
    """ROUGE-2: F1 of the pairs of neighbouring words that answer and reference share.

    Labels and answers as in `Rouge1`; a reference of one word has no pair, and scores 0.
    """

    @property
    def name(self) -> str:
        return "ROUGE-2"

    def score(
        self, inputs: Sequence[Json], answers: Sequence[Prediction], labels: Sequence[Json]
    ) -> list[Measured]:
        return _score(_shared_pairs, 2, answers, labels)


@value("score.rouge_l")
class RougeL:
    """ROUGE-L: F1 of the longest common subsequence of words. Needs `trueup[text]`.

    Labels and answers as in `Rouge1`. Raises MissingDependency without rapidfuzz.
    """

    @property
    def name(self) -> str:
        return "ROUGE-L"

    def score(
        self, inputs: Sequence[Json], answers: Sequence[Prediction], labels: Sequence[Json]
    ) -> list[Measured]:
        return _score(_subsequence(), 1, answers, labels)


Shared = Callable[[Words, Words], int]


@cache
def _subsequence() -> Shared:
    """The length of the longest common subsequence of two lists of words."""
    try:
        from rapidfuzz.distance import LCSseq
    except ImportError:
        raise MissingDependency("rapidfuzz", "text") from None
    found: Shared = LCSseq.similarity
    return found


def _shared_words(given: Words, truth: Words) -> int:
    return _both(given, truth)


def _shared_pairs(given: Words, truth: Words) -> int:
    return _both(pairwise(given), pairwise(truth))


def _both(given: Iterable[Any], truth: Iterable[Any]) -> int:
    """How many two bags share, each as often as in both. (A plain loop: 4 times a Counter's `&`.)"""
    left: dict[Any, int] = {}
    for part in truth:
        left[part] = left.get(part, 0) + 1
    found = 0
    for part in given:
        times = left.get(part)
        if times:
            left[part] = times - 1
            found += 1
    return found


def _score(
    shared: Shared, n: int, answers: Sequence[Prediction], labels: Sequence[Json]
) -> list[Measured]:
    same_length(answers, labels)
    return [_one(shared, n, answer.value, label) for answer, label in zip(answers, labels, strict=True)]


def _one(shared: Shared, n: int, answer: Json, label: Json) -> Measured:
    if label is None:
        return NO_LABEL
    if isinstance(label, str):
        truths = [rouge_words(label)]
    elif isinstance(label, list | tuple) and label and all(isinstance(part, str) for part in label):
        truths = [rouge_words(str(part)) for part in label]
    else:
        return _NOT_A_TEXT
    if not any(truths):
        return _NO_WORDS
    if not isinstance(answer, str):
        return 0.0
    given = rouge_words(answer)
    return max(_f_measure(shared(given, truth), len(given) - n + 1, len(truth) - n + 1) for truth in truths)


def _f_measure(both: int, given: int, truth: int) -> float:
    return 2.0 * both / (given + truth) if both else 0.0
