# SPDX-License-Identifier: Apache-2.0
"""Metrics: one number for a whole set of answers, or unmeasured and why. Never NaN.

Rows without a label are left out (and counted by whoever asks); an answer without labels where
labels are asked is a wrong one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trueup.core.json import Json
from trueup.core.protocols import Measured, Prediction, Unmeasured
from trueup.core.task import Better
from trueup.core.values import value
from trueup.evaluate.labels import label_set, score_of, truth_of
from trueup.evaluate.scorers import same_length

NOTHING = Unmeasured("no labelled rows")
EPSILON = float(np.finfo(np.float64).eps)
Counts = dict[str, tuple[int, int, int]]


def labelled(
    answers: Sequence[Prediction], labels: Sequence[Json]
) -> tuple[list[Prediction], list[frozenset[str]]]:
    """The rows that have labels: their answers, and the sets of right labels."""
    same_length(answers, labels)
    kept, truths = [], []
    for answer, label in zip(answers, labels, strict=True):
        truth = truth_of(label)
        if not isinstance(truth, Unmeasured):
            kept.append(answer)
            truths.append(truth)
    return kept, truths


def counts(answers: Sequence[Prediction], labels: Sequence[Json]) -> Counts:
    """For each label: rows where it is right and given, given only, right only."""
    kept, truths = labelled(answers, labels)
    none: frozenset[str] = frozenset()
    said = [label_set(answer.value) or none for answer in kept]
    found: dict[str, list[int]] = {}
    for (given, right), times in Counter(zip(said, truths, strict=True)).items():
        for label in given | right:
            place = 0 if label in given and label in right else 1 if label in given else 2
            found.setdefault(label, [0, 0, 0])[place] += times
    return {label: (row[0], row[1], row[2]) for label, row in sorted(found.items())}


def _f1(found: tuple[int, int, int]) -> float:
    hit, extra, missed = found
    return 2.0 * hit / (2 * hit + extra + missed) if hit else 0.0


def f1_by_label(answers: Sequence[Prediction], labels: Sequence[Json]) -> dict[str, float]:
    """F1 of each label that is right or given somewhere, by name."""
    return {label: _f1(found) for label, found in counts(answers, labels).items()}


@value("metric.f1_micro")
class F1Micro:
    """F1 over all (row, label) pairs together."""

    better: ClassVar[Better] = "higher"

    @property
    def name(self) -> str:
        return "F1 (micro)"

    def measure(self, answers: Sequence[Prediction], labels: Sequence[Json]) -> Measured:
        found = counts(answers, labels)
        if not found:
            return NOTHING
        hit, extra, missed = (sum(row[i] for row in found.values()) for i in range(3))
        return _f1((hit, extra, missed))


@value("metric.f1_macro")
class F1Macro:
    """The mean of the labels' F1, each label counting the same; a label never hit counts 0."""

    better: ClassVar[Better] = "higher"

    @property
    def name(self) -> str:
        return "F1 (macro)"

    def measure(self, answers: Sequence[Prediction], labels: Sequence[Json]) -> Measured:
        found = f1_by_label(answers, labels)
        return float(np.mean(list(found.values()))) if found else NOTHING


@value("metric.f1_per_label")
class F1PerLabel:
    """F1 of one label; without a name, of the label that does worst among those in the labels."""

    better: ClassVar[Better] = "higher"
    label: str | None = None

    @property
    def name(self) -> str:
        return "F1 of the worst label" if self.label is None else f"F1 of {self.label}"

    def measure(self, answers: Sequence[Prediction], labels: Sequence[Json]) -> Measured:
        found = counts(answers, labels)
        if self.label is not None:
            if self.label not in found:
                return Unmeasured(f"the label {self.label!r} is neither given nor right anywhere")
            return _f1(found[self.label])
        real = [_f1(row) for row in found.values() if row[0] + row[2]]
        return min(real) if real else NOTHING


@value("metric.auc")
class AUC:
    """Area under the ROC curve, from the models' scores; ties count half.

    With `label`, of that label against the rest; without, the mean over the labels that are right
    for some rows and not for others (one against the rest, "macro"). With one class only there
    is no curve: unmeasured. Source: Hanley and McNeil (1982), by ranks.
    """

    better: ClassVar[Better] = "higher"
    label: str | None = None

    @property
    def name(self) -> str:
        return "AUC" if self.label is None else f"AUC of {self.label}"

    def measure(self, answers: Sequence[Prediction], labels: Sequence[Json]) -> Measured:
        kept, truths = labelled(answers, labels)
        if not kept:
            return NOTHING
        without = sum(answer.scores is None for answer in kept)
        if without:
            return Unmeasured(f"{without} of {len(kept)} answers have no scores")
        known = sorted(set().union(*truths)) if self.label is None else [self.label]
        areas = []
        for label in known:
            right = np.fromiter((label in truth for truth in truths), bool, len(truths))
            if right.all() or not right.any():
                continue
            scores = [score_of(answer.scores, label) for answer in kept]
            if None in scores:
                return Unmeasured(f"a score of the label {label!r} is not a number")
            areas.append(area(np.asarray(scores, np.float64), right))
        if not areas:
            return Unmeasured(f"one class only: {', '.join(known[:3]) or 'no label at all'}")
        return float(np.mean(areas))


def area(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """P(a right row scores above a wrong one) + P(equal)/2; both kinds must be there."""
    _, place, times = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(times)
    ranks = (last - (times - 1) / 2.0)[place]
    n, m = int(right.sum()), int((~right).sum())
    return float((ranks[right].sum() - n * (n + 1) / 2.0) / (n * m))


@value("metric.log_loss")
class LogLoss:
    """The mean of ``-ln p`` of the right label, in nats; lower is better.

    p is clipped to [2.2e-16, 1 - 2.2e-16]; a label that the model does not know has p = 0. Needs
    scores, and one label a row.
    """

    better: ClassVar[Better] = "lower"

    @property
    def name(self) -> str:
        return "log loss"

    def measure(self, answers: Sequence[Prediction], labels: Sequence[Json]) -> Measured:
        kept, truths = labelled(answers, labels)
        if not kept:
            return NOTHING
        if any(len(truth) != 1 for truth in truths):
            return Unmeasured("log loss needs exactly one right label a row")
        without = sum(answer.scores is None for answer in kept)
        if without:
            return Unmeasured(f"{without} of {len(kept)} answers have no scores")
        scores = [score_of(a.scores, next(iter(t))) for a, t in zip(kept, truths, strict=True)]
        if None in scores:
            return Unmeasured("a score is not a number")
        p = np.clip(np.asarray(scores, np.float64), EPSILON, 1.0 - EPSILON)
        return float(np.mean(-np.log(p)))
