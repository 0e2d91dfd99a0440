# SPDX-License-Identifier: Apache-2.0
"""Asking models and scorers that may fail in any way: one bad input takes no other with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trueup.core.errors import Busy, MissingDependency, Refused, StoreError
from trueup.core.json import Json, dumps
from trueup.core.protocols import Measured, Prediction, Predictor, Scorer, Unmeasured

if TYPE_CHECKING:
    from trueup.release.stage import Terms
    from trueup.store import Ledger

PATIENCE = 8     # inputs that a model may fail on, one after the other, before it is left alone


class Unloadable(Exception):
    """A model cannot be loaded, and no other machine could."""


def loaded(terms: Terms, candidate: str) -> Predictor:
    """The model of a candidate; raises Unloadable, and what is wrong with this machine as it is."""
    try:
        return terms.predictor(candidate)
    except (Busy, MissingDependency, StoreError):
        raise
    except Refused as error:  # it may not be judged by its answers
        raise Unloadable(f"{error.message}; {error.cure}") from error
    except Exception as error:  # a model's own code may raise anything
        raise Unloadable(f"{candidate} cannot be loaded: {_told(error)}") from error


def require_judgeable(ledger: Ledger, terms: Terms, candidates: Sequence[str | None]) -> None:
    """Raises Unloadable where one of these candidates has parameters and its model takes none: its served
    answers depend on what the model's answers do not show."""
    for ident in candidates:
        body = None if ident is None else ledger.get(terms.loop, "candidate", ident)
        if ident is not None and body is not None and body.get("parameters"):
            loaded(terms, ident)


def ask(predictor: Predictor, inputs: Sequence[Json]) -> list[Prediction | str]:
    """Answers in order, or for an input that cannot be answered the error's text.

    The list is shorter than `inputs` where the model failed on PATIENCE inputs in a row: whether
    it would answer the others is not known then.
    """
    try:
        answers = list(predictor.predict(inputs))
        for answer in answers:
            dumps(answer.value)
        if len(answers) == len(inputs):
            return [*answers]
        why = f"{len(answers)} answers to {len(inputs)} inputs"
    except Exception as error:  # a challenger may fail in any way
        why = _told(error)
    if len(inputs) <= 1:
        return [why] * len(inputs)
    half = len(inputs) // 2
    left = ask(predictor, inputs[:half])
    if len(left) < half or (half >= PATIENCE and all(isinstance(one, str) for one in left)):
        return left
    return left + ask(predictor, inputs[half:])


def measured(
    scorer: Scorer, inputs: Sequence[Json], answers: Sequence[Prediction], labels: Sequence[Json]
) -> list[Measured]:
    """One score an answer; where the scorer raises, or gives no number, that one is unmeasured."""
    try:
        scores = scorer.score(inputs, answers, labels)
        found: list[Measured] = [one if isinstance(one, Unmeasured) else float(one) for one in scores]
        if len(found) == len(answers):
            return found
        why = f"{len(found)} scores for {len(answers)} answers"
    except Exception as error:  # a scorer's failure is a missing score, not a crashed release
        why = _told(error)
    if len(answers) <= 1:
        return [Unmeasured(why)] * len(answers)
    half = len(answers) // 2
    return [
        *measured(scorer, inputs[:half], answers[:half], labels[:half]),
        *measured(scorer, inputs[half:], answers[half:], labels[half:]),
    ]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'message', error)}"[:200]
