# SPDX-License-Identifier: Apache-2.0
"""Alarms with a stated rate: a Shiryaev-Roberts mixture weighted by time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

BETS = 8
CEILING = 1e300
CHUNK = 4_096  # steps of one stream that are kept at once
SPAN = 60.0  # the smallest bet is this many times smaller than the largest


class Alarm:
    """Shiryaev-Roberts over a mixture of e-values, each step weighted by the time it took.

    Null: ``E[E_t | past] <= 1`` for every e-value that is passed in: nothing has changed.

    Guarantee: **E[false alarms in T years] <= false_alarms_per_year * T**, at any traffic, for
    the sum over `columns` detectors under any dependence between them.

    Conditions: the time since the last step is known before the step's data are seen.

    ``R_l = (R_l + years / bets) E_l``; alarm when ``sum R_l >= columns / false_alarms_per_year``.
    An alarm stays until `accept` (a new reference was accepted), which starts afresh.

    Parameters:
        false_alarms_per_year: the loop's share for these columns together, above 0.
        bets: number of e-values per step.
        columns: detectors that share the rate.
        streams: None, or the number of parallel streams (for simulation).

    >>> alarm = Alarm(false_alarms_per_year=1.0, bets=2)
    >>> for _ in range(10):
    ...     alarm.step([1.5, 2.0], years=0.01)
    >>> bool(alarm.alarm)
    True

    Source: Shin, Ramdas and Rinaldo, "E-detectors" (2024).
    """

    __slots__ = ("_fired", "_r", "bets", "columns", "false_alarms_per_year", "streams")

    def __init__(
        self,
        false_alarms_per_year: float,
        bets: int,
        columns: int = 1,
        streams: int | None = None,
    ) -> None:
        self.false_alarms_per_year = _check.inside(
            "false_alarms_per_year", false_alarms_per_year, 0.0, math.inf, "give a rate such as 1"
        )
        self.bets = _check.count("bets", bets)
        self.columns = _check.count("columns", columns)
        self.streams = streams
        shape = (self.bets,) if streams is None else (_check.count("streams", streams), self.bets)
        self._r = np.zeros(shape)
        self._fired = np.zeros(shape[:-1], dtype=bool)

    @property
    def threshold(self) -> float:
        """The statistic at which a column alarms, in years."""
        return self.columns / self.false_alarms_per_year

    def step(self, evalues: ArrayLike, years: float) -> None:
        """Take one e-value for each bet and the time since the last step, in years."""
        years = _check.within("years", years, 0.0, 1e6, "give the time since the last step")
        self._r = (self._r + years / self.bets) * np.asarray(evalues, dtype=np.float64)
        np.minimum(self._r, CEILING, out=self._r)
        self._fired = self._fired | (self._r.sum(axis=-1) >= self.threshold)

    def run(self, evalues: ArrayLike, years: ArrayLike) -> Self:
        """Take a sequence of steps, shape (steps, bets) or (steps, streams, bets): the same bits as
        one `step` after the other, several times faster."""
        each = np.asarray(evalues, dtype=np.float64)
        weights = np.broadcast_to(np.asarray(years, dtype=np.float64), each.shape[:1])
        for extreme in (weights.min(initial=0.0), weights.max(initial=0.0)):
            _check.within("years", float(extreme), 0.0, 1e6, "give the time since the last step")
        size = max(16, CHUNK // (self.streams or 1))
        for at in range(0, len(each), size):
            part, spans = each[at : at + size], weights[at : at + size]
            path = np.empty(np.broadcast_shapes(part.shape, (len(part), *self._r.shape)))
            before, grown = self._r, np.empty_like(self._r)
            with np.errstate(over="ignore", invalid="ignore"):  # what meets the ceiling is gone through again
                for e, w, after in zip(part, (spans / self.bets).tolist(), path, strict=True):
                    np.add(before, w, out=grown)
                    np.multiply(grown, e, out=after)
                    before = after
            if not path.max(initial=0.0) <= CEILING:
                for e, w in zip(part, spans.tolist(), strict=True):
                    self.step(e, w)
                continue
            self._r = path[-1].copy()
            self._fired = self._fired | (path.sum(axis=-1) >= self.threshold).any(axis=0)
        return self

    @property
    def statistic(self) -> Any:
        """The statistic R, in years: a float, or one for each stream."""
        total = self._r.sum(axis=-1)
        return float(total) if self.streams is None else total

    @property
    def alarm(self) -> Any:
        """Whether the column has alarmed since the last `accept`: a bool, or one a stream."""
        return bool(self._fired) if self.streams is None else self._fired.copy()

    def accept(self, which: ArrayLike = True) -> None:
        """Start afresh (where `which` is true), after a new reference was accepted."""
        reset = np.broadcast_to(np.asarray(which, dtype=bool), self._fired.shape)
        self._r = np.where(reset[..., None], 0.0, self._r)
        self._fired = self._fired & ~reset

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {
            "kind": "Alarm",
            "false_alarms_per_year": self.false_alarms_per_year,
            "bets": self.bets,
            "columns": self.columns,
            "streams": self.streams,
            "r": self._r.tolist(),
            "fired": self._fired.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `state()`; it goes on with the same bits."""
        _check.kind(state, "Alarm")
        alarm = cls(
            state["false_alarms_per_year"], state["bets"], state["columns"], state["streams"]
        )
        alarm._r = np.asarray(state["r"], dtype=np.float64)
        alarm._fired = np.asarray(state["fired"], dtype=bool)
        return alarm


class Alarming:
    """What every detector of one stream says of its `Alarm`.

    Null, guarantee, source: those of the detector.
    """

    __slots__ = ("_alarm",)
    _alarm: Alarm

    @property
    def statistic(self) -> float:
        """The statistic R, in years."""
        return float(self._alarm.statistic)

    @property
    def threshold(self) -> float:
        """The statistic at which the detector alarms, in years."""
        return self._alarm.threshold

    @property
    def alarm(self) -> bool:
        """Whether it has alarmed since its reference was taken."""
        return bool(self._alarm.alarm)


class MeanDetector:
    """Alarm when the mean of a metric in [0, 1] (error, 1 - reward, judge loss) rises.

    Null: ``E[x_t | past] <= base + tolerance`` at every step: nothing has changed.

    Guarantee: **E[false alarms in T years] <= false_alarms_per_year * T**, at any traffic.

    Conditions: x in [0, 1]; the time since the last step is known before x; `base` does not lie
    below the true base rate (`upper_limit` gives a one-sided 95 % limit for it). The rows may
    depend on each other only as far as the null allows: a mean that wanders is a change.

    Parameters:
        base: base rate, or an upper limit of it, in [0, 1).
        tolerance: rise that does not matter, in units of x, at least 0; base + tolerance < 1.
        false_alarms_per_year: for all `columns` together, above 0.
        columns: detectors that share the rate.
        streams: None, or the number of parallel streams (for simulation).

    >>> import numpy as np
    >>> rng = np.random.default_rng(4)
    >>> detector = MeanDetector(base=0.10, tolerance=0.0, false_alarms_per_year=1.0)
    >>> for t in range(1, 401):
    ...     detector.update(float(rng.random() < (0.10 if t <= 200 else 0.20)), years=1 / 20_000)
    ...     if detector.alarm:
    ...         break
    >>> t
    392

    Source: Shin, Ramdas and Rinaldo (2024); bets of Waudby-Smith and Ramdas (2024).
    """

    __slots__ = ("_alarm", "_bets", "base", "mean", "tolerance")

    def __init__(
        self,
        base: float,
        tolerance: float,
        false_alarms_per_year: float,
        columns: int = 1,
        *,
        streams: int | None = None,
    ) -> None:
        self.base = _check.within("base", base, 0.0, 1.0, "give the rate while nothing changed")
        self.tolerance = _check.within("tolerance", tolerance, 0.0, 1.0, "give a rise to ignore")
        self.mean = max(self.base + self.tolerance, 1e-6)
        if self.mean >= 1.0:
            raise ArgumentError(
                f"expected base + tolerance below 1, got {self.mean!r}; "
                "a metric that is always bad cannot become worse"
            )
        self._alarm = Alarm(false_alarms_per_year, BETS, columns, streams)
        self._bets = np.geomspace(0.9 / self.mean / SPAN, 0.9 / self.mean, BETS)

    def update(self, x: ArrayLike, years: float) -> None:
        """Take one value in [0, 1] (one for each stream) and the years since the last step."""
        x = np.asarray(x, dtype=np.float64)
        _check_values(x)
        self._alarm.step(1.0 + self._bets * (x[..., None] - self.mean), years)

    def run(self, xs: ArrayLike, years: ArrayLike) -> Self:
        """Take a sequence of values; `years` is one number or one for each step."""
        xs = np.asarray(xs, dtype=np.float64)
        steps = np.broadcast_to(np.asarray(years, dtype=np.float64), xs.shape[:1])
        _check_values(xs)
        for at in range(0, len(xs), CHUNK):
            part = xs[at : at + CHUNK]
            self._alarm.run(1.0 + self._bets * (part[..., None] - self.mean), steps[at : at + CHUNK])
        return self

    @property
    def statistic(self) -> Any:
        """The statistic R, in years: a float, or one for each stream."""
        return self._alarm.statistic

    @property
    def threshold(self) -> float:
        """The statistic at which the detector alarms, in years."""
        return self._alarm.threshold

    @property
    def alarm(self) -> Any:
        """Whether it has alarmed since the last `accept`: a bool, or one for each stream."""
        return self._alarm.alarm

    def accept(self, which: ArrayLike = True) -> None:
        """Start afresh (where `which` is true), after a person or the pipeline accepted."""
        self._alarm.accept(which)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {
            "kind": "MeanDetector",
            "base": self.base,
            "tolerance": self.tolerance,
            "alarm": self._alarm.state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a detector from `state()`; it goes on with the same bits."""
        _check.kind(state, "MeanDetector")
        inner = state["alarm"]
        detector = cls(
            state["base"],
            state["tolerance"],
            inner["false_alarms_per_year"],
            inner["columns"],
            streams=inner["streams"],
        )
        detector._alarm = Alarm.from_state(inner)
        return detector


def _check_values(x: Floats) -> None:
    if not ((x >= 0.0) & (x <= 1.0)).all():
        raise ArgumentError(
            f"expected values in [0, 1], got {x!r}; scale the metric to its declared bounds"
        )


def upper_limit(k: float, n: int, confidence: float = 0.95) -> float:
    """One-sided upper confidence limit of a rate, from k events in n rows (Clopper-Pearson).

    Null: the rate is at least the limit.

    Guarantee: ``P(limit < rate) <= 1 - confidence`` for independent rows.

    Conditions: rows are independent and come from before the monitoring; a k that is not whole
    (the sum of values in [0, 1]) is accepted and conservative.

    Parameters:
        k: events, in [0, n]; n: rows, at least 1; confidence: in (0, 1).

    >>> round(upper_limit(200, 2000), 4), round(upper_limit(0, 100), 4)
    (0.1117, 0.0295)

    Source: Clopper and Pearson, Biometrika (1934).
    """
    from scipy.special import betaincinv  # takes 0.2 s to import

    n = _check.count("n", n)
    k = _check.within("k", k, 0.0, float(n), "count the events among the n rows")
    confidence = _check.level("confidence", confidence)
    return 1.0 if k >= n else float(betaincinv(k + 1.0, n - k, confidence))
