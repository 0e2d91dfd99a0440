# SPDX-License-Identifier: Apache-2.0
"""ROUGE: how much of a reference text an answer says, by words, pairs of words, or their order.

F-measures, unstemmed, on the whole text as one sentence (ROUGE-L, not ROUGE-Lsum). Where the letters of
a reference are Latin, words are runs of a-z and 0-9 after lower-casing, as in the package `rouge-score`
with `use_stemmer=False`, whose figures these equal. Where most of them are of other scripts, or that rule
finds no word, reference and answer are cut into Unicode words: runs of letters, marks and digits after
case folding, and each character by itself in scripts that write no spaces between words (Chinese,
Japanese, Thai, Lao, Khmer, Burmese, Tibetan).
Source: Lin (2004), "ROUGE: A Package for Automatic Evaluation of Summaries".
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
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

Words = list[bytes] | list[str]
_TABLE = bytes(c if chr(c).isalnum() and c < 128 else 32 for c in range(256))
_NOT_A_TEXT = Unmeasured("the label is neither a text nor a list of texts")
_NO_WORDS = Unmeasured("the label has no words")


def rouge_words(text: str) -> list[bytes]:
    """The words that ROUGE compares in Latin text: runs of a-z and 0-9 in the lower-cased text."""
    return text.lower().encode("ascii", "replace").translate(_TABLE).split()


_LATIN = (0x0000, 0x0250, 0x1D00, 0x1D80, 0x1E00, 0x1F00, 0x2C60, 0x2C80, 0xA720, 0xA800, 0xAB30, 0xAB70, 0xFB00, 0xFB07)
"""Where letters are Latin: from each even place up to the next one."""
_UNSPACED = (
    0x0E00, 0x10A0, 0x1780, 0x1800, 0x1950, 0x1A00, 0x1A20, 0x1AB0, 0x2E80, 0x3130, 0x31A0, 0x3200,
    0x3400, 0xA4D0, 0xA9E0, 0xAA00, 0xAA60, 0xAAE0, 0xF900, 0xFB00, 0xFF66, 0xFFA0, 0x1B000, 0x1B170, 0x20000, 0x323B0,
)
"""Where scripts write no spaces between words."""
_JOINERS = "\u00ad\u200c\u200d\u2060"
"""Characters without a width, which part no word: soft hyphen, joiners."""


def unicode_words(text: str) -> list[str]:
    """The words of text in any script, case folded.

    >>> unicode_words("Ставка выросла до 4,5 %")
    ['ставка', 'выросла', 'до', '4', '5']
    >>> unicode_words("北京の天気")
    ['北', '京', 'の', '天', '気']
    """
    words: list[str] = []
    within = False
    for char in unicodedata.normalize("NFC", text).casefold():
        kind = unicodedata.category(char)[0]
        if kind in "LN":
            alone = _among(_UNSPACED, char) and kind == "L"
            if within and not alone:
                words[-1] += char
            else:
                words.append(char)
            within = not alone
        elif kind == "M" and words:
            words[-1] += char
        elif char not in _JOINERS:
            within = False
    return words


def _among(edges: tuple[int, ...], char: str) -> bool:
    return bisect_right(edges, ord(char)) % 2 == 1


def words_of(text: str) -> tuple[Words, Callable[[str], Words]]:
    """The words of a reference, and how the words of its answers are found."""
    if not text.isascii():
        letters = [char for char in text if char.isalpha()]
        if 2 * sum(_among(_LATIN, char) for char in letters) < len(letters):
            return unicode_words(text), unicode_words
    found = rouge_words(text)
    if found or text.isascii():
        return found, rouge_words
    return unicode_words(text), unicode_words


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
        truths = [words_of(label)]
    elif isinstance(label, list | tuple) and label and all(isinstance(part, str) for part in label):
        truths = [words_of(str(part)) for part in label]
    else:
        return _NOT_A_TEXT
    if not any(words for words, _ in truths):
        return _NO_WORDS
    if not isinstance(answer, str):
        return 0.0
    best = 0.0
    for truth, cut in truths:
        given = cut(answer)
        best = max(best, _f_measure(shared(given, truth), len(given) - n + 1, len(truth) - n + 1))
    return best


def _f_measure(both: int, given: int, truth: int) -> float:
    return 2.0 * both / (given + truth) if both else 0.0
