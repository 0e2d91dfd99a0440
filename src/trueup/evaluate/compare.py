# SPDX-License-Identifier: Apache-2.0
"""Champion against challenger on one set: scores by slice with intervals, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from trueup.core.errors import DataError
from trueup.core.json import Json, dumps
from trueup.core.protocols import Answer, Measured, Metric, Prediction, Scorer, Unmeasured
from trueup.evaluate.gates import better_of, of_metric
from trueup.evaluate.items import Items, answer_key, ask, disagreement, groups
from trueup.evaluate.summary import Summary, difference, summarise


@dataclass(frozen=True, slots=True)
class SliceScore:
    """A score or metric on all items (`by` is "") or on one slice, of both models.

    `change` is challenger minus champion with its 95 % interval, from the pairs where both are
    measured; of metrics without one.
    """

    measure: str
    better: str
    by: str
    slice: str
    challenger: Summary
    champion: Summary | None = None
    change: tuple[float, float | None, float | None] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "measure": self.measure, "better": self.better, "by": self.by, "slice": self.slice,
            "challenger": self.challenger.to_json(),
            "champion": None if self.champion is None else self.champion.to_json(),
            "change": None if self.change is None else list(self.change),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SliceScore:
        champion, change = data["champion"], data["change"]
        return cls(
            data["measure"], data["better"], data["by"], data["slice"], Summary.from_json(data["challenger"]),
            None if champion is None else Summary.from_json(champion),
            None if change is None else tuple(change),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """An item that the models answer differently, with the scores where they were measured."""

    id: str
    input: Json
    label: Json
    challenger: Json
    champion: Json
    challenger_score: float | None = None
    champion_score: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found on one set. `disagreement` is label-free; None without a champion."""

    set: str
    digest: str
    n: int
    disagreement: float | None = None
    scores: tuple[SliceScore, ...] = ()
    examples: tuple[Example, ...] = field(default=())

    def overall(self, measure: str | None = None) -> SliceScore | None:
        """The score on all items; of the first measure where none is named."""
        found = (s for s in self.scores if not s.by and measure in (None, s.measure))
        return next(found, None)

    def by(self, name: str, measure: str | None = None) -> list[SliceScore]:
        """The scores of one measure by a slicing, in the order of the slices' names."""
        first = measure or (self.scores[0].measure if self.scores else "")
        return [s for s in self.scores if s.by == name and s.measure == first]

    def forgetting(self, by: str = "cohort", measure: str | None = None) -> SliceScore | None:
        """The cohort on which the challenger loses most against the champion; None if on none."""

        def loss(score: SliceScore) -> float:
            assert score.change is not None
            return score.change[0] if score.better == "higher" else -score.change[0]

        worst = min((s for s in self.by(by, measure) if s.change is not None), key=loss, default=None)
        return worst if worst is not None and loss(worst) < 0 else None

    def to_json(self) -> dict[str, Any]:
        return {
            "set": self.set, "digest": self.digest, "n": self.n, "disagreement": self.disagreement,
            "scores": [score.to_json() for score in self.scores],
            "examples": [asdict(example) for example in self.examples],
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Any) -> Evaluation:
        """The inverse of `to_json`; raises DataError."""
        try:
            scores = tuple(SliceScore.from_json(score) for score in data["scores"])
            examples = tuple(Example(**example) for example in data["examples"])
            return cls(data["set"], data["digest"], data["n"], data["disagreement"], scores, examples)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"expected an evaluation, got {data!r:.200}: {error}") from None


def evaluate(
    challenger: Answer, champion: Answer | None, items: Items, *, scorers: Sequence[Scorer] = (),
    metrics: Sequence[Metric] = (), examples: int = 10, seed: int = 0,
) -> Evaluation:
    """Score both models on all items and on every slice of the set (cohorts among them).

    `examples` is how many items are kept where the models disagree: the worst losses first, then
    the best gains. Raises ModelError where a model cannot answer, DataError for unknown slices.
    """
    new = ask("challenger", challenger, items)
    champ = None if champion is None else ask("champion", champion, items)
    scores: list[SliceScore] = []
    first: tuple[list[Measured], list[Measured]] | None = None
    for scorer in scorers:
        a = scorer.score(items.inputs, new, items.targets)
        b = None if champ is None else scorer.score(items.inputs, champ, items.targets)
        if first is None and b is not None:
            first = a, b
        scores += _scored(scorer, items, a, b)
    for metric in metrics:
        scores += _measured(metric, items, new, champ, seed)
    kept = () if champ is None else _examples(items, new, champ, first, examples)
    share = None if champ is None else disagreement(new, champ)
    return Evaluation(items.name, items.digest, len(items.inputs), share, tuple(scores), kept)


def _places(items: Items) -> Iterator[tuple[str, str, list[int]]]:
    yield "", "", list(range(len(items.inputs)))
    for by in items.slices:
        for name, places in groups(items, by).items():
            yield by, name, places.tolist()


def _scored(
    scorer: Scorer, items: Items, new: list[Measured], champ: list[Measured] | None
) -> Iterator[SliceScore]:
    for by, name, places in _places(items):
        a = [new[i] for i in places]
        b = None if champ is None else [champ[i] for i in places]
        yield SliceScore(
            scorer.name, better_of(scorer), by, name, summarise(a),
            None if b is None else summarise(b), None if b is None else _change(a, b),
        )  # fmt: skip


def _change(new: list[Measured], champ: list[Measured]) -> tuple[float, float, float] | None:
    pairs = [
        (a, b) for a, b in zip(new, champ, strict=True)
        if not isinstance(a, Unmeasured) and not isinstance(b, Unmeasured)
    ]  # fmt: skip
    if not pairs:
        return None
    both = np.asarray(pairs, np.float64)
    return difference(both[:, 0], both[:, 1])


def _measured(
    metric: Metric, items: Items, new: list[Prediction], champ: list[Prediction] | None, seed: int
) -> Iterator[SliceScore]:
    for by, name, places in _places(items):
        labels = [items.targets[i] for i in places]
        a = of_metric(metric, [new[i] for i in places], labels, seed)
        b = None if champ is None else of_metric(metric, [champ[i] for i in places], labels, seed)
        change = None
        if b is not None and a.mean is not None and b.mean is not None:
            change = (a.mean - b.mean, None, None)
        yield SliceScore(metric.name, better_of(metric), by, name, a, b, change)


def _examples(
    items: Items, new: list[Prediction], champ: list[Prediction],
    scores: tuple[list[Measured], list[Measured]] | None, most: int,
) -> tuple[Example, ...]:
    found, ids = [], items.ids
    for i, (a, b) in enumerate(zip(new, champ, strict=True)):
        if answer_key(a) == answer_key(b):
            continue
        x, y = (None, None) if scores is None else (_number(scores[0][i]), _number(scores[1][i]))
        found.append(Example(ids[i], items.inputs[i], items.targets[i], _plain(a), _plain(b), x, y))
    found.sort(key=lambda one: ((one.challenger_score or 0.0) - (one.champion_score or 0.0), one.id))
    losses = found[: (most + 1) // 2]
    gains = found[len(losses) :][::-1][: most - len(losses)]
    return tuple(losses + gains)


def _number(score: Measured) -> float | None:
    return None if isinstance(score, Unmeasured) else float(score)


def _plain(answer: Prediction) -> Json:
    """The answer, or its text where it is nothing that JSON holds."""
    try:
        dumps(answer.value)
    except DataError:
        return repr(answer.value)[:200]
    return answer.value
