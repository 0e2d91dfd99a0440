# SPDX-License-Identifier: Apache-2.0
"""Gates: filters that a candidate must pass on golden sets before any fresh data is spent on it.

A reused golden set is a filter: it may refuse, and it carries no level and no promise. The level
of `NoWorse` is a working one, spent from nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from trueup.core.errors import ArgumentError, DataError, ModelError
from trueup.core.json import Json
from trueup.core.protocols import (
    Answer,
    GateResult,
    Measured,
    Metric,
    Prediction,
    Scorer,
    Unmeasured,
)
from trueup.core.values import value
from trueup.evaluate.items import Items, Named, ask, groups
from trueup.evaluate.labels import label_set
from trueup.evaluate.metrics import AUC, F1Macro, F1Micro, F1PerLabel, LogLoss
from trueup.evaluate.rouge import Rouge1, Rouge2, RougeL
from trueup.evaluate.scorers import F1, Accuracy, Exact
from trueup.evaluate.summary import Summary, jackknife, reasons, summarise

OWN = (Accuracy, F1, Exact, Rouge1, Rouge2, RougeL, F1Micro, F1Macro, F1PerLabel, AUC, LogLoss)


@runtime_checkable
class Gate(Protocol):
    """An offline test that a candidate must pass. `on` is the definition of the set it is on."""

    @property
    def on(self) -> Named: ...

    def judge(
        self, challenger: Answer, champion: Answer | None, items: Items, *, seed: int
    ) -> GateResult:
        """Whether the challenger passes; never raises for what a model or a scorer does."""
        ...

    def check(self, items: Items, *, disagreement: float = 0.15) -> list[str]:
        """Why no good candidate could pass on these items, in words; empty where one can."""
        ...

    def notes(self, items: Items, *, disagreement: float = 0.15) -> list[str]:
        """What should be known of this gate on these items: its power, slices too small for it."""
        ...


def better_of(measure: Scorer | Metric) -> str:
    """Whether higher or lower is better; higher where it does not say."""
    return str(getattr(measure, "better", "higher"))


@value("gate.at_least")
class AtLeast:
    """The score on a set must reach a floor: `AtLeast(Accuracy(), 0.90, on=core)`.

    `measure` is a scorer or a metric, `on` a golden set. The mean (or the metric) is compared with the floor; its 95 % interval is printed beside it
    and decides nothing. For a metric where lower is better (`LogLoss`) the floor is the worst
    value allowed: at most. More than 5 % of the items unmeasured fails. `slices` maps slicings of the
    set to a floor that each of their slices must reach as well: `slices={"cohort": 0.80}`.
    """

    measure: Scorer | Metric
    floor: float
    on: Any
    slices: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.measure, Scorer | Metric):
            raise ArgumentError(f"expected a scorer or a metric, got {self.measure!r:.80}")
        if isinstance(self.floor, bool) or not math.isfinite(self.floor):
            raise ArgumentError(f"expected a finite floor, got {self.floor!r}")
        if self.slices is not None and not isinstance(self.slices, Mapping):
            raise ArgumentError(f"expected slices as {{name: floor}}, got {self.slices!r:.80}")
        for floor in (self.floor, *(self.slices or {}).values()):
            if isinstance(self.measure, Scorer) and not 0.0 <= floor <= 1.0:
                raise ArgumentError(
                    f"expected a floor in [0, 1] for {self.measure.name}, got {floor!r}; scores lie in [0, 1]"
                )

    def judge(
        self, challenger: Answer, champion: Answer | None, items: Items, *, seed: int
    ) -> GateResult:
        """Compare the challenger's score with the floor; the champion is not asked."""
        evidence: dict[str, Any] = {
            "gate": "gate.at_least", "measure": self.measure.name, "set": items.name,
            "digest": items.digest, "floor": self.floor, "better": better_of(self.measure), "seed": seed,
        }  # fmt: skip
        try:
            parts = {by: groups(items, by) for by in self.slices or {}}
            answers = ask("challenger", challenger, items)
        except (ModelError, DataError) as failure:
            return GateResult(False, failure.message, evidence)
        found = overall(self.measure, items, answers, seed)
        evidence["challenger"] = found.to_json()
        words = f"{self.measure.name} on {items.name}: "
        if found.mean is None or found.too_few:
            return GateResult(False, words + (found.why_not() or "no items"), evidence)
        passed = self._reaches(found.mean)
        sign = "at most" if better_of(self.measure) == "lower" else "at least"
        missing = f"; {found.why_not()}" if found.why_not() else ""
        words += f"{interval_words(found)}, {sign} {self.floor:g} asked for, n={found.n_measured}{missing}"
        if not parts:
            return GateResult(passed, words, evidence)
        evidence["floors"] = [
            self._part(items, answers, by, name, places, seed)
            for by, found in parts.items() for name, places in found.items()
        ]  # fmt: skip
        below = [part for part in evidence["floors"] if not part["passed"]]
        said = below or [min(evidence["floors"], key=self._worst)]
        words += f"; {'below it' if below else 'each slice reaches its own, the least'}: "
        words += ", ".join(f"{part['by']} {part['slice']} {_score(part)} of {part['floor']:g}" for part in said[:5])
        return GateResult(passed and not below, words, evidence)

    def _part(
        self, items: Items, answers: Sequence[Prediction], by: str, name: str, places: Any, seed: int
    ) -> dict[str, Any]:
        floor = (self.slices or {})[by]
        found = overall(self.measure, items, answers, seed, places)
        good = found.mean is not None and not found.too_few and self._reaches(found.mean, floor)
        return {"by": by, "slice": name, "floor": floor, "passed": good, "challenger": found.to_json()}

    def _worst(self, part: Mapping[str, Any]) -> float:
        mean = part["challenger"]["mean"]
        gap = part["floor"] - mean if better_of(self.measure) == "lower" else mean - part["floor"]
        return float(gap)

    def _reaches(self, score: float, floor: float | None = None) -> bool:
        floor = self.floor if floor is None else floor
        return score <= floor if better_of(self.measure) == "lower" else score >= floor

    def check(self, items: Items, *, disagreement: float = 0.15) -> list[str]:
        """Why not even perfect answers would pass on these items."""
        if not items.inputs:
            return [f"golden set {items.name}: no items"]
        if not isinstance(self.measure, OWN):
            return []
        best = overall(self.measure, items, perfect(items.targets), 0)
        where = f"golden set {items.name}, {self.measure.name}"
        if best.mean is None or best.too_few:
            return [f"{where}: {best.why_not()}"]
        for by in self.slices or {}:
            if by not in items.slices:
                return [f"{where}: no slicing {by!r}; its slicings: {', '.join(sorted(items.slices)) or 'none'}"]
        if not self._reaches(best.mean):
            return [f"{where}: perfect answers score {best.mean:.4g}, and {self.floor:g} is asked for"]
        return []

    def notes(self, items: Items, *, disagreement: float = 0.15) -> list[str]:
        """How far the score of so few items may lie from the truth."""
        n = len(items.inputs)
        if not n or not isinstance(self.measure, Scorer):
            return []
        half = 1.96 * math.sqrt(max(self.floor * (1 - self.floor), 0.25 / n) / n)
        return [
            f"golden set {items.name}: {n} items, a score near {self.floor:g} is known to about "
            f"{half:.2g} either way; a candidate that is just good enough passes half of the time"
        ]


def _score(part: Mapping[str, Any]) -> str:
    mean = part["challenger"]["mean"]
    return "unmeasured" if mean is None else f"{mean:.3f}"


def overall(
    measure: Scorer | Metric, items: Items, answers: Sequence[Prediction], seed: int,
    places: Sequence[int] | None = None,
) -> Summary:
    """The score of answers on a set, or on some of its places, with its interval."""
    chosen = range(len(answers)) if places is None else places
    inputs, labels = [items.inputs[i] for i in chosen], [items.targets[i] for i in chosen]
    given = [answers[i] for i in chosen]
    if isinstance(measure, Scorer):
        return summarise(measure.score(inputs, given, labels))
    return of_metric(measure, given, labels, seed)


def of_metric(metric: Metric, answers: Sequence[Prediction], labels: Sequence[Json], seed: int) -> Summary:
    """A metric of a set with its interval by the jackknife; rows without a label are unmeasured."""
    known = [i for i, label in enumerate(labels) if label_set(label) is not None]
    missing = {"no label": len(labels) - len(known)} if len(known) < len(labels) else {}
    result = finite(metric.measure(answers, labels))
    if isinstance(result, Unmeasured):
        return Summary(len(labels), 0, unmeasured=reasons([result] * len(labels)))
    span = jackknife(
        lambda part: finite(metric.measure([answers[known[i]] for i in part], [labels[known[i]] for i in part])),
        len(known), seed,
    )  # fmt: skip
    low, high = span or (None, None)
    return Summary(len(labels), len(known), result, low, high, missing)


def finite(result: Measured) -> Measured:
    """NaN and infinities of a third party's metric are unmeasured."""
    if isinstance(result, Unmeasured):
        return result
    return float(result) if np.isfinite(result) else Unmeasured("the metric gave no finite number")


def perfect(labels: Sequence[Json]) -> list[Prediction]:
    """Answers that are right everywhere, sure of it."""
    every = sorted(set().union(*(label_set(label) or frozenset() for label in labels)))
    made = []
    for label in labels:
        right = label_set(label) or frozenset()
        made.append(Prediction(label, {name: float(name in right) for name in every}))
    return made


def interval_words(found: Summary, digits: int = 3) -> str:
    """A mean with its interval in words: 0.912 [0.880, 0.937]."""
    if found.mean is None:
        return "not measured"
    span = "" if found.low is None or found.high is None else f" [{found.low:.{digits}f}, {found.high:.{digits}f}]"
    return f"{found.mean:.{digits}f}{span}"


