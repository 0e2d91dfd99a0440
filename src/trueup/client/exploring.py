# SPDX-License-Identifier: Apache-2.0
"""Exploration by an application: now and then another answer than the best, with its probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from trueup.core.errors import ArgumentError
from trueup.route import position


class Explored(NamedTuple):
    """The answer to show, the probability with which it was drawn, and its place among the answers."""

    answer: Any
    propensity: float
    place: int


def explore(key: str, answers: Sequence[Any], *, epsilon: float = 0.1) -> Explored:
    """Epsilon-greedy: the first of `answers` (best first), or with probability `epsilon` any of them.

    A model that learns from what people did with its own answers sees nothing of the others, and
    ends in its own echo. Here every answer is shown with probability epsilon / K or more, and the
    exact probability is given back: log it, `client.log(..., propensity=shown.propensity)`, and
    weight the rows that are learned by it (`ImportanceWeights`). The draw follows from `key`, the
    choice's id, so that asking again gives the same answer. An answer that stands at several of the
    K places has the sum of their probabilities; `place` is the one that was drawn.

    >>> explore("choice-4", ["drama", "comedy", "western", "news"], epsilon=0.5)
    Explored(answer='drama', propensity=0.625, place=0)
    >>> explore("choice-4", ["drama", "drama"], epsilon=0.5).propensity
    1.0

    Raises ArgumentError for no answer, and for an epsilon outside [0, 1]. Source: Sutton and Barto
    (1998); floors of exploration: Beygelzimer et al., AISTATS 2011.
    """
    k = len(answers)
    if not k or isinstance(answers, str):
        raise ArgumentError(f"expected at least one answer, best first, got {answers!r:.80}")
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0.0 <= epsilon <= 1.0:
        raise ArgumentError(f"expected an epsilon from 0 to 1, got {epsilon!r:.80}")
    u = position("explore", key) / 2.0**64
    place = min(int(u / epsilon * k), k - 1) if u < epsilon else 0
    answer = answers[place]
    at = [number for number, other in enumerate(answers) if number == place or _same(answer, other)]
    propensity = 1.0 if len(at) == k else len(at) * epsilon / k + (1.0 - epsilon) * (0 in at)
    return Explored(answer, propensity, place)


def _same(one: Any, other: Any) -> bool:
    """Whether two answers are one answer to whoever sees them: equal, and true is not 1."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    try:
        return bool(one == other)
    except Exception:  # an answer may be of any class, and compare as it likes
        return False
