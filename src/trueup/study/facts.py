# SPDX-License-Identifier: Apache-2.0
"""What a trigger would have known at a moment, had this policy kept the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.clock import from_us, to_us
from trueup.core.json import dumps, loads
from trueup.core.protocols import Prediction, Scorer, Unmeasured
from trueup.core.task import Outcome
from trueup.study.bench import Bench, Fit

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from trueup.loop import Loop

    Ints = NDArray[np.int64]


class Rows:
    """The logged inputs in the order of time, their labels, and when each became known."""

    def __init__(self, loop: Loop, bench: Bench) -> None:
        name = loop.label.name
        names = [one.name for one in loop.outcomes if one.label]
        found = bench.past.interactions(loop.name, outcomes=names)
        found = found.sort_by([("ts", "ascending"), ("seq", "ascending")])
        kept = found.filter(found["input"].is_valid())
        self.table = kept
        self.ts: Ints = kept["ts"].to_numpy().astype(np.int64)
        self.inputs = [loads(text) for text in kept["input"].to_pylist()]
        said = kept[name].to_pylist()
        self.labels = [None if text is None else loads(text) for text in said]
        first = kept[f"{name}_first"].to_pylist()
        late = np.iinfo(np.int64).max
        self.known: Ints = np.array(
            [late if label is None else max(at, ts) for at, ts, label in zip(first, self.ts, said, strict=True)], dtype=np.int64,
        )
        fit = np.array([keep is not False for keep in kept["keep"].to_pylist()], dtype=bool) & (self.known < late)
        self.fit_known: Ints = np.sort(self.known[fit])

    def __len__(self) -> int:
        return len(self.ts)

    def between(self, start: int, stop: int) -> slice:
        """Places of the inputs with `start <= ts < stop`."""
        low, high = np.searchsorted(self.ts, [start, stop])
        return slice(int(low), int(high))


@dataclass
class Answers:
    """What one model answers to the logged inputs, asked for as they are needed."""

    rows: Rows
    predict: Callable[[Sequence[Any]], list[Prediction]]
    given: dict[int, Prediction | None] = field(default_factory=dict)
    scored: dict[tuple[str, int], float | None] = field(default_factory=dict)

    def of(self, places: range) -> list[Prediction | None]:
        missing = [at for at in places if at not in self.given]
        if missing:
            inputs = [self.rows.inputs[at] for at in missing]
            try:
                found: list[Prediction | None] = list(self.predict(inputs))
            except Exception:  # one input that a model cannot answer must not take the others with it
                found = [self._one(one) for one in inputs]
            self.given.update(zip(missing, found, strict=True))
        return [self.given[at] for at in places]

    def scores(self, scorer: Scorer, places: range) -> NDArray[np.float64]:
        """A score an input; NaN where there is no label or it cannot be scored; 0 without an answer."""
        key = scorer.name
        missing = [at for at in places if (key, at) not in self.scored]
        if missing:
            answers = dict(zip(missing, self.of(range(missing[0], missing[-1] + 1)), strict=False))
            if len(missing) != missing[-1] - missing[0] + 1:
                answers = {at: self.given[at] for at in missing}
            self._score(scorer, key, answers)
        return np.array([np.nan if (one := self.scored[(key, at)]) is None else one for at in places])

    def _score(self, scorer: Scorer, key: str, answers: Mapping[int, Prediction | None]) -> None:
        from trueup.release import measured

        there = [at for at, one in answers.items() if one is not None and self.rows.labels[at] is not None]
        found = measured(
            scorer, [self.rows.inputs[at] for at in there], [answers[at] for at in there],  # type: ignore[misc]
            [self.rows.labels[at] for at in there],
        )
        told: dict[int, float | None] = {
            at: None if isinstance(score, Unmeasured) else float(score) for at, score in zip(there, found, strict=True)
        }
        for at, one in answers.items():
            unlabelled = self.rows.labels[at] is None
            self.scored[(key, at)] = told.get(at, None if unlabelled or one is not None else 0.0)

    def _one(self, given: Any) -> Prediction | None:
        try:
            return self.predict([given])[0]
        except Exception:
            return None


@dataclass
class Champion:
    """A model in service: its training, since when, and what it answers (None: no model yet)."""

    fit: Fit
    since: int
    answers: Answers
    upto: int | None = None


class PastFacts:
    """The facts of a loop that had lived by a policy: labels count when they became known."""

    def __init__(
        self, loop: Loop, bench: Bench, rows: Rows, champion: Champion | None, *, now: int,
        trained: int | None, accepted: Mapping[str, int], costs: Sequence[tuple[int, float, str]] = (),
    ) -> None:
        self.loop, self.now = loop.name, from_us(now)
        self.last_trained = None if trained is None else from_us(trained)
        detectors = sum(hasattr(part, "detector") for part in loop.when)
        self.false_alarms_per_year = loop.false_alarms_per_year / max(1, detectors)
        self._bench, self._rows, self._champion, self._now = bench, rows, champion, now
        self._trained, self._accepted, self._costs = trained, accepted, costs

    def rows(self, *, new: bool = False) -> int:
        upto = int(np.searchsorted(self._rows.fit_known, self._now, "right"))
        if not new or self._trained is None:
            return upto
        return upto - int(np.searchsorted(self._rows.fit_known, self._trained, "right"))

    def outcomes(self, name: str, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        """None: feedback on the answers that were shown then says nothing of others."""
        return [], []

    def scores(self, scorer: Scorer, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        if self._champion is None:
            return [], []
        first = self._champion.since if since is None else max(self._champion.since, to_us(since) + 1)
        places = self._rows.between(first, self._now + 1)
        span = range(places.start, places.stop)
        if not span:
            return [], []
        known = self._rows.known[places]
        # Only what was known then is scored: the others are not asked for before their time.
        scores = self._champion.answers.scores(scorer, span)
        keep = (known <= self._now) & np.isfinite(scores) & (scores >= 0.0) & (scores <= 1.0)
        order = np.argsort(known[keep], kind="stable")
        return scores[keep][order].tolist(), [from_us(int(at)) for at in known[keep][order]]

    def signals(self, name: str, since: datetime | None = None) -> Sequence[Mapping[str, Any]]:
        """Nobody asked, and nothing was imported, in a past that was lived otherwise."""
        return []

    def numbers(
        self, name: str, field: str, since: datetime | None = None
    ) -> tuple[Sequence[float], Sequence[datetime]]:
        return [], []

    def spent(self, currency: str, since: datetime | None = None) -> float:
        first = -1 if since is None else to_us(since)
        return sum(amount for at, amount, unit in self._costs if unit == currency and first < at < self._now)

    def reference(self, detector: str) -> datetime | None:
        since = None if self._champion is None else self._champion.since
        latest = max((at for at in (self._accepted.get(detector), since) if at is not None), default=None)
        return None if latest is None else from_us(latest)

    def accepted(self, detector: str) -> datetime | None:
        at = self._accepted.get(detector)
        return None if at is None else from_us(at)

    def served(self, outcome: Outcome | None, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        """Nothing: what is watched alerts, and trains no model of a past that is lived again."""
        return [], []

    def requests(self, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
        import pyarrow as pa

        last = self._now if until is None else min(self._now, to_us(until))
        places = self._rows.between(-(2**62) if since is None else to_us(since) + 1, last + 1)
        found = self._rows.table.slice(places.start, places.stop - places.start)
        said: list[str | None] = [None] * found.num_rows
        who: list[str | None] = [None] * found.num_rows
        champion = self._champion
        if champion is not None:
            mine = self._rows.between(max(champion.since, int(self._rows.ts[places.start]) if found.num_rows else 0), last + 1)
            span = range(mine.start, mine.stop)
            for at, one in zip(span, champion.answers.of(span), strict=True):
                said[at - places.start] = None if one is None else dumps(one.value)
                who[at - places.start] = champion.fit.key
        for name, column in (("output", said), ("candidate", who)):
            found = found.set_column(found.column_names.index(name), name, pa.array(column, pa.string()))
        return found.set_column(found.column_names.index("received"), "received", found["ts"])

    def learned(self) -> tuple[str | None, pa.Table | None]:
        if self._champion is None:
            return None, None
        fit = self._champion.fit
        return fit.key, None if fit.snapshot is None else self._bench.rows(fit.snapshot)
