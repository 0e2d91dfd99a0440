# SPDX-License-Identifier: Apache-2.0
"""The line to beat: what always the same answer scores, beside a candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from trueup.core.json import Json, loads
from trueup.core.protocols import Metric, Prediction, Scorer
from trueup.core.task import Answers
from trueup.evaluate.compare import Evaluation, SliceScore, evaluate
from trueup.evaluate.gates import interval_words
from trueup.evaluate.items import Items
from trueup.plot import Section, Table


def simplest_answer(targets: Sequence[str], answers: Answers) -> tuple[Json, str] | None:
    """The commonest of these answers (JSON texts), or the mean of numbers, with its name; None where answers
    are texts, or there are none."""
    if not targets or answers == "text":
        return None
    if answers == "number":
        numbers = [float(loads(text)) for text in targets]
        mean = sum(numbers) / len(numbers)
        return mean, f"always {mean:g}, the mean"
    usual = Counter(targets).most_common(1)[0][0]
    return loads(usual), f"always {usual[:60]}, the commonest answer"


def beside(
    found: Sequence[Evaluation], sets: Sequence[Items], targets: Sequence[str], answers: Answers, *,
    scorers: Sequence[Scorer], metrics: Sequence[Metric], seed: int,
) -> Section | None:
    """The scores of the simplest answer beside the candidate's, and in plain words whether anything was
    learned; None where there is no such answer. `targets` are the training rows' (JSON texts)."""
    simplest = simplest_answer(targets, answers)
    if simplest is None:
        return None
    answer, name = simplest
    constant = [
        evaluate(lambda inputs: [Prediction(answer)] * len(inputs), None, items, scorers=scorers, metrics=metrics, seed=seed)
        for items in sets
    ]
    rows = [
        [one.set, mine.measure, interval_words(line.challenger), interval_words(mine.challenger)]
        for one, its in zip(found, constant, strict=True) for mine, line in _pairs(one, its)
    ]
    no_better = [
        f"{mine.measure} on {one.set}" for one, its in zip(found, constant, strict=True) for mine, line in _pairs(one, its)
        if not _beats(mine, line)
    ]
    if rows and len(no_better) == len(rows):
        words = f"Nothing was learned: by no measure is the candidate better than {name}."
    elif no_better:
        words = f"The candidate is no better than {name} by {', '.join(no_better)}."
    else:
        words = f"The candidate is better than {name} by every measure."
    return Section("The simplest answer", [words, Table.of(["set", "measure", name, "candidate"], rows)])


def _pairs(one: Evaluation, line: Evaluation) -> Iterator[tuple[SliceScore, SliceScore]]:
    its = {score.measure: score for score in line.scores if not score.by}
    for score in one.scores:
        if not score.by and score.measure in its:
            yield score, its[score.measure]


def _beats(mine: SliceScore, line: SliceScore) -> bool:
    if mine.challenger.mean is None or line.challenger.mean is None:
        return mine.challenger.mean is not None
    gain = mine.challenger.mean - line.challenger.mean
    return gain < 0 if mine.better == "lower" else gain > 0
