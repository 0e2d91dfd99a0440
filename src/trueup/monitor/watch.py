# SPDX-License-Identifier: Apache-2.0
"""Watching: monitors begin with a reference, observe batches, and say what they found."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError, DataError
from trueup.core.values import value
from trueup.monitor.found import Found
from trueup.monitor.memory import Width, periods, width_of
from trueup.monitor.rows import Batches, Rows, Sample, halves, sample
from trueup.monitor.views import Answers, Fitted, View
from trueup.stats import WitnessDetector, embedding_shift, median_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

YEAR_US = 365.25 * 86_400e6
LEAST, RECENT = 40, 200  # rows of a reference half; tested rows behind an effect
NOISE = 0.5


@dataclass(frozen=True, slots=True)
class Terms:
    """What a monitor runs under: the share of the rate, the columns that share it, cuts and seed."""

    false_alarms_per_year: float = 1.0
    columns: int = 1
    batches: Batches = field(default_factory=Batches)
    seed: int = 0


class Watch(Protocol):
    """A monitor at work. `width` is what it takes at a step: so many runs, or a "day" or "week"."""

    width: int | str

    def observe(self, rows: Sample, years: float) -> None:
        """The next batch, and the time since the last one."""
        ...

    @property
    def found(self) -> Found: ...


@runtime_checkable
class Monitor(Protocol):
    """A value that can begin to watch: pure given its rows, so that a finding can be recomputed."""

    @property
    def name(self) -> str: ...

    @property
    def per_unit(self) -> bool:
        """Whether rows must be exchangeable, so that a unit's rows are capped first."""
        ...

    def begin(self, reference: Sample, terms: Terms) -> Watch: ...


@value("monitor.rows")
class RowDrift:
    """Rows that change in distribution, seen through a view; any batch size.

    Half of the reference (by unit) makes direction and covariance, the other half is the pool; the
    test is `trueup.stats.WitnessDetector`. Guarantee: **E[false alarms in T years] <= rate * T**
    while rows, cut by `Batches`, are exchangeable; where the reference shows that neighbours
    resemble each other, batches are whole days or weeks, and where that does not help no rate is
    stated. A drift
    that is slow against the pool's growth is absorbed: pair it with a monitor of outcomes.
    """

    view: View

    @property
    def name(self) -> str:
        return self.view.name

    @property
    def per_unit(self) -> bool:
        return True

    def begin(self, reference: Sample, terms: Terms) -> Watch:
        return _RowWatch(self.view, reference, terms)


class _RowWatch:
    def __init__(self, view: View, reference: Sample, terms: Terms) -> None:
        self._view, self._terms = view, terms
        train, pool = halves(reference, terms.seed)
        if min(len(train), len(pool)) < LEAST:
            raise DataError(
                f"expected at least {LEAST} reference rows in each half, got {len(train)} and {len(pool)}",
                cure="give a longer reference, or fewer rows a unit",
            )
        self._look: Fitted = view.fit(train)
        base, rest = self._look(train), self._look(pool)
        self._noise = median_distance(base) < 1e-3
        order = np.argsort(pool.place, kind="stable")
        self._wide: Width = width_of(
            rest[order], pool.runs(terms.batches.rows)[order], None if pool.known is None else pool.known[order],
            terms.columns,
        )  # fmt: skip
        self._base, self._pool = self._with_noise(base, train), self._with_noise(rest, pool)
        self._detector = WitnessDetector(
            self._base, self._pool, terms.false_alarms_per_year, columns=terms.columns,
            features=view.features, seed=terms.seed,
        )  # fmt: skip
        self._rng = np.random.default_rng(terms.seed)
        self.width = self._wide.of
        self._rows = self._steps = 0
        self._at: int | None = None
        self._recent: list[tuple[NDArray[np.float32], float, float]] = []

    def observe(self, rows: Sample, years: float) -> None:
        if len(rows) < 2:
            return
        if 0 < self._wide.rows < len(rows):
            rows = rows.take(np.arange(self._wide.rows) * len(rows) // self._wide.rows)
        matrix = self._with_noise(self._look(rows), rows)
        self._detector.update(matrix, years, self._rng)
        self._rows, self._steps = self._rows + len(rows), self._steps + 1
        if self._detector.alarm and self._at is None:
            self._at = int(rows.known[-1]) if rows.known is not None else None
        self._recent.append((matrix, self._detector.auc, self._detector.shift))
        while len(self._recent) > 1 and sum(len(one) for one, _, _ in self._recent[1:]) >= 2 * RECENT:
            del self._recent[0]

    @property
    def found(self) -> Found:
        effect, shift = self._effect()
        return Found(
            self._view.name, "rows", self._detector.alarm, self._wide.rated, self._detector.statistic,
            self._detector.threshold, effect, "auc", shift, self._rows, self._steps, self.width,
            self._wide.correlation, self._terms.columns, self._at, self._wide.note,
        )  # fmt: skip

    def _effect(self) -> tuple[float, float]:
        """How far the last rows lie from the reference: from the pool that grew, or, where that
        has absorbed a change already, from the reference alone."""
        if not self._recent:
            return 0.5, 0.0
        sizes = [len(one) for one, _, _ in self._recent]
        found = [float(np.average([one[at] for one in self._recent], weights=sizes)) for at in (1, 2)]
        last = np.concatenate([one for one, _, _ in self._recent])
        if self._detector.alarm and len(last) >= 16:
            alone = embedding_shift(
                np.concatenate([self._base, self._pool]), last, np.random.default_rng(self._terms.seed),
                features=self._view.features,
            )  # fmt: skip
            if alone.auc > found[0]:
                found = [alone.auc, alone.shift]
        return found[0], found[1]

    def _with_noise(self, matrix: NDArray[np.float32], rows: Sample) -> NDArray[np.float32]:
        """A column of noise where more than half of all pairs are equal: there the usual bandwidth
        is none. Independent of everything, so that exchangeable rows stay so."""
        if not self._noise:
            return matrix
        start = int(rows.place[0]) if len(rows) else 0
        rng = np.random.default_rng([self._terms.seed & (2**63 - 1), start, len(rows)])
        return np.column_stack([matrix, NOISE * rng.standard_normal(len(rows))]).astype(np.float32)


def watch(
    monitors: Sequence[Monitor | View], reference: Rows, current: Rows, *, since: datetime | None = None,
    false_alarms_per_year: float = 1.0, batches: Batches | None = None, seed: int = 0,
) -> tuple[Found, ...]:
    """What monitors find in `current` against `reference`; the same rows give the same finding.

    More rows at the end add batches and change none before them, so that looking again and again
    is looking once. The rate is that of all monitors together. `since` is when the watching began
    (None: with the first row). Without times no rate can be stated: raises ArgumentError.
    """
    batches = batches or Batches()
    asked = [RowDrift(one) if isinstance(one, View) else one for one in monitors]
    if not asked:
        raise ArgumentError("expected at least one monitor or view, got none")
    phases = batches.season.phases if batches.season else 1
    terms = Terms(false_alarms_per_year, len(asked) * phases, batches, seed)
    cut = {
        kind: (
            sample(reference, batches if kind else replace(batches, per_unit=0), most=batches.reference * phases if kind else None),
            sample(current, batches if kind else replace(batches, per_unit=0)),
        )
        for kind in {one.per_unit for one in asked}
    }  # fmt: skip
    if any(new.known is None or (batches.season is not None and old.known is None) for old, new in cut.values()):
        raise ArgumentError("expected rows with times (known, received or ts): a rate is a number a year")
    parts = {kind: _phases(old, new, batches) for kind, (old, new) in cut.items()}
    return tuple(_watch(one, parts[one.per_unit], terms, since) for one in asked)


@dataclass(frozen=True, slots=True)
class _Part:
    """A reference and a stream, all of it or one phase; the stream's steps are cut once a width."""

    old: Sample
    new: Sample
    steps: dict[int | str, list[Sample]] = field(default_factory=dict)


def _phases(old: Sample, new: Sample, batches: Batches) -> list[_Part]:
    season = batches.season
    if season is None:
        return [_Part(old, new)]
    assert old.known is not None
    assert new.known is not None
    before, after = season.phase(old.known), season.phase(new.known)
    return [_Part(_only(old, before == at), _only(new, after == at)) for at in range(season.phases)]


def _watch(monitor: Monitor, parts: Sequence[_Part], terms: Terms, since: datetime | None) -> Found:
    found = [_run(monitor, part, terms, since) for part in parts]
    return found[0] if len(found) == 1 else _together(monitor.name, found)


def _run(monitor: Monitor, part: _Part, terms: Terms, since: datetime | None) -> Found:
    if isinstance(getattr(monitor, "view", None), Answers):
        part = _Part(_answered(part.old), _answered(part.new))
    try:
        at_work = monitor.begin(part.old, terms)
    except DataError as error:
        return Found(
            monitor.name, "rows" if monitor.per_unit else "score", False, False, 0.0, terms.columns / terms.false_alarms_per_year, 0.5,
            columns=terms.columns, note=error.message,
        )  # fmt: skip
    try:
        _observe(at_work, part, terms, since)
    except DataError as error:
        return replace(at_work.found, rated=False, note=error.message)
    return at_work.found


def _observe(at_work: Watch, part: _Part, terms: Terms, since: datetime | None) -> None:
    new = part.new
    assert new.known is not None
    last = to_us(since) if since is not None else int(new.known[0]) if len(new) else 0
    if at_work.width not in part.steps:
        part.steps[at_work.width] = list(_steps(new, terms.batches, at_work.width))
    for batch in part.steps[at_work.width]:
        assert batch.known is not None
        now = int(batch.known[-1])
        at_work.observe(batch, max(now - last, 0) / YEAR_US)
        last = max(now, last)


def _steps(rows: Sample, batches: Batches, width: int | str) -> Iterator[Sample]:
    """Whole days or weeks; or whole runs, `width` of them or more at a time: a fifth of what was
    seen, up to `most` rows."""
    if isinstance(width, str):
        assert rows.known is not None
        at = periods(rows.known, width)
        cuts = np.flatnonzero(np.diff(at)) + 1
        yield from (rows.take(slice(first, last)) for first, last in itertools.pairwise(cuts.tolist()))
        return
    runs = rows.runs(batches.rows)
    whole, done = rows.total // batches.rows, 0
    while True:
        most = max(1, batches.most // (batches.rows * width))
        take = width * min(most, max(1, done // (5 * width)))
        if done + take > whole:
            return
        first, last = np.searchsorted(runs, [done, done + take])
        done += take
        if last > first:
            yield rows.take(slice(int(first), int(last)))


def _only(rows: Sample, mask: NDArray[np.bool_]) -> Sample:
    """The rows of one phase, with places of their own: one after the other."""
    part = rows.take(mask)
    return replace(part, place=np.arange(len(part), dtype=np.int64), total=len(part))


def _answered(rows: Sample) -> Sample:
    """For a monitor of answers: the rows that have one."""
    mask = np.array([answer is not None for answer in rows.answers] or np.zeros(len(rows)), dtype=bool)
    return rows.take(mask)


def _together(name: str, found: Sequence[Found]) -> Found:
    """One finding of all phases: the one that shows the most stands for all."""
    top = max(found, key=lambda one: (one.alarm, one.evidence))
    notes = sorted({one.note for one in found if one.note and not one.rated})
    moments = [one.at for one in found if one.at is not None]
    return replace(
        top, name=name, rated=all(one.rated for one in found), rows=sum(one.rows for one in found),
        batches=sum(one.batches for one in found), at=min(moments, default=None), note="; ".join(notes),
    )  # fmt: skip
