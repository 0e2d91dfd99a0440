# SPDX-License-Identifier: Apache-2.0
"""A user's own metric of a batch gains a rate: its value is ranked among those of earlier batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from trueup.core.errors import ArgumentError, DataError
from trueup.core.values import value
from trueup.monitor.found import Found
from trueup.monitor.rows import Sample
from trueup.monitor.watch import Terms, Watch
from trueup.stats import BatchDetector

LEAST_BATCHES = 20


@value("monitor.score")
class ScoreDrift:
    """A number for a batch, larger where the batch is stranger: PSI, a shift norm, an AUC, MMD.

    `function(batch) -> float` stands at module level; a batch is the list of inputs, as their JSON
    reads (rows for `pandas.DataFrame(batch)`, or texts). With `compares=True` it is
    `function(reference, batch)`, the reference being the first half of the reference rows: what
    Evidently, NannyML and alibi-detect compute. No threshold: the value is ranked among those of
    earlier batches of the same size.

    Guarantee: **E[false alarms in T years] <= rate * T** while batches are exchangeable; rows
    within a batch may depend on each other as they like. The calibration batches are tested for
    memory (lag-1 rank correlation); where they have some, batches are widened, then thinned, and
    where nothing helps no rate is stated.

    Source: Vovk, Nouretdinov and Gammerman (2003); Shin, Ramdas and Rinaldo (2024).
    """

    function: Callable[..., float]
    compares: bool = False

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ArgumentError(f"expected a function of a batch at module level, got {self.function!r:.80}")

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "score")

    @property
    def per_unit(self) -> bool:
        return False

    def begin(self, reference: Sample, terms: Terms) -> Watch:
        return _ScoreWatch(self, reference, terms)

    def score(self, reference: Sequence[Any], batch: Sequence[Any]) -> float:
        """The number of a batch; raises DataError where it is none."""
        found = self.function(list(reference), list(batch)) if self.compares else self.function(list(batch))
        try:
            number = float(found)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise DataError(f"expected a finite number from {self.name}, got {found!r:.80}")
        return number


class Scoring(Protocol):
    """What gives a number for a batch, by itself or against a reference."""

    @property
    def name(self) -> str: ...
    @property
    def compares(self) -> bool: ...
    def score(self, reference: Sequence[Any], batch: Sequence[Any]) -> float: ...


def watch_score(monitor: Scoring, reference: Sample, terms: Terms) -> Watch:
    """A watch whose numbers are ranked among those of earlier batches."""
    return _ScoreWatch(monitor, reference, terms)


class _ScoreWatch:
    def __init__(self, monitor: Scoring, reference: Sample, terms: Terms) -> None:
        self._monitor, self._terms = monitor, terms
        size = terms.batches.rows
        half = len(reference) // 2 // size * size if monitor.compares else 0
        self._reference = reference.inputs[:half]
        self._rest = reference.inputs[half:]
        self._runs, self._every, scores, self._why = self._plan(size)
        self.width: int | str = self._runs
        self._detector = BatchDetector(scores, terms.false_alarms_per_year, terms.columns)
        self._rng = np.random.default_rng(terms.seed)
        self._seen = self._rows = self._steps = 0
        self._years, self._score = 0.0, 0.0
        self._spread = float(np.std(scores)) if scores else 0.0
        self._middle = float(np.mean(scores)) if scores else 0.0
        self._at: int | None = None

    def _plan(self, size: int) -> tuple[int, int, list[float], str]:
        """Width, every how many batches, calibration scores, and why there is no rate."""
        narrow = self._scores(size)
        if len(narrow) < LEAST_BATCHES:
            return 1, 1, narrow, f"{len(narrow)} calibration batches are too few to check their order, {LEAST_BATCHES} are needed"
        width, scores = 1, narrow
        while len(scores) >= LEAST_BATCHES:
            if BatchDetector(scores, 1.0).rated:
                return width, 1, scores, ""
            width *= 2
            scores = self._scores(size * width) if len(self._rest) // (size * width) >= LEAST_BATCHES else []
        every = 2
        while len(narrow[::every]) >= LEAST_BATCHES:
            if BatchDetector(narrow[::every], 1.0).rated:
                return 1, every, narrow[::every], ""
            every *= 2
        return 1, 1, narrow, "batches resemble the ones before them, wider ones and thinned ones too"

    def _scores(self, size: int) -> list[float]:
        whole = len(self._rest) // size
        return [self._monitor.score(self._reference, self._rest[at * size : (at + 1) * size]) for at in range(whole)]

    def observe(self, rows: Sample, years: float) -> None:
        """Batches are of the size of the calibration, whatever comes at a step."""
        size = self._terms.batches.rows * self._runs
        for at in range(len(rows) // size):
            self._seen += 1
            self._years += years * size / len(rows)
            self._rows += size
            if (self._seen - 1) % self._every:
                continue
            self._score = self._monitor.score(self._reference, rows.inputs[at * size : (at + 1) * size])
            self._detector.update(self._score, self._years, self._rng)
            self._years, self._steps = 0.0, self._steps + 1
            if self._detector.alarm and self._at is None and rows.known is not None:
                self._at = int(rows.known[min((at + 1) * size, len(rows)) - 1])

    @property
    def found(self) -> Found:
        shift = (self._score - self._middle) / self._spread if self._spread > 0.0 else 0.0
        return Found(
            self._monitor.name, "score", self._detector.alarm, not self._why, self._detector.statistic,
            self._detector.threshold, self._score, "score", shift if self._steps else 0.0, self._rows,
            self._steps, self.width, self._detector.correlation, self._terms.columns, self._at,
            self._why or (f"one batch in {self._every}" if self._every > 1 else ""),
        )  # fmt: skip
