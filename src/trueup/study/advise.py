# SPDX-License-Identifier: Apache-2.0
"""Should this loop retrain at all, how often, on which window, and what does it gain and cost (TRU-08)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.clock import to_us, utc
from trueup.study.bench import Bench
from trueup.study.facts import Answers, Rows
from trueup.study.policy import scorer_of

if TYPE_CHECKING:
    from trueup.loop import Loop
    from trueup.loop.context import Progress
    from trueup.store import Ledger

DAY = 86_400_000_000
WINDOWS = (timedelta(days=7), timedelta(days=30), timedelta(days=90), None)
AGES = (0, 7, 28, 91)
YEAR_SECONDS = 365.25 * 86_400.0
Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Cell:
    """A model of one window and one age (days between its training and the test), on the latest rows.

    `behind` is how far it is behind the freshest model of the same window, answer by answer, with a
    95 % interval in batches (None for the freshest).
    """

    window: str
    age: int
    score: float
    rows: int
    seconds: float
    behind: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do with a loop, and what it rests on.

    `verdict` is one of "retrain", "do not retrain: stable domain", "do not retrain: too expensive",
    "do not retrain yet: too risky without a reliable evaluation", "cannot tell". `every` is in
    days. `gain` is a year's mean gain in the score against never training again, `seconds`, `kwh` and
    `money` a year's cost. `risk` is what a test would spend and whether it can end in time.
    `thresholds` are floors for Falls with the days that they take to see a fall.
    """

    loop: str
    verdict: str
    why: tuple[str, ...]
    every: int | None
    window: str | None
    gain: float
    seconds: float
    kwh: float | None
    money: float | None
    currency: str
    cells: tuple[Cell, ...]
    thresholds: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The advice for people, the verdict first."""
        if self.every is not None:
            first = f"{self.loop}: {self.verdict}, every {self.every} days at most, on a window of {self.window}"
        else:
            first = f"{self.loop}: {self.verdict}"
        out = [first, *(f"  {words}" for words in self.why)]
        out.append("window    age   score   rows   behind the freshest of its window")
        for cell in self.cells:
            behind = "" if cell.behind is None else f"{cell.behind[0]:+.4f} [{cell.behind[1]:+.4f}, {cell.behind[2]:+.4f}]"
            out.append(f"{cell.window:<8}{cell.age:>4} d  {cell.score:.4f} {cell.rows:>6,}   {behind}")
        cost = f"{self.seconds:.0f} s" + (f", {self.kwh:.4g} kWh" if self.kwh is not None else "") + (f", {self.money:.2f} {self.currency}" if self.money is not None else "")
        out.append(f"a year of it: {self.gain:+.4f} in the score against never training again, for {cost}")
        for floor, days in self.thresholds:
            out.append(f"Falls below {floor:.2f}: about {days:.0f} days to see a fall of .05 below it; its rate of false alarms is the one you state, whatever the floor")
        return out


def advise(
    loop: Loop, ledger: Ledger, *, until: datetime | None = None, test: timedelta | None = None,
    windows: Sequence[timedelta | None] = WINDOWS, ages: Sequence[int] = AGES, watts: float | None = None,
    worth: float | None = None, gain: float = 0.01, base: Path | None = None, home: Path | None = None,
    isolate: bool = True, progress: Progress | None = None,
) -> Advice:
    """Train on windows of several lengths that ended at several ages, and score all on the latest rows.

    The latest `test` (a fifth of the past, at most 28 days) is answered by models whose training ended
    0, 7, 28 and 91 days before it. `gain` is the smallest gain of the score that matters to you;
    `worth` what one better answer is worth, in the currency of the loop's price; `watts` what the
    machine draws while it trains.

    Honest answers come first: an evaluation that cannot be relied on (no gate that carries a promise,
    or labels too rare for it to end) advises against automatic retraining; models that do not age by
    `gain` (the upper limit of the interval) against retraining at all; a gain that is worth less
    than it costs as well. Raises DataError where nothing can be trained.
    """
    from trueup.store import Ledger as Store

    with Store.open(home or ledger.home / "backtest" / loop.name, clock=ledger.clock) as scratch:
        bench = Bench(loop, ledger, scratch, base=base, isolate=isolate)
        rows = Rows(loop, bench)
        stop = int(rows.ts[-1]) + 1 if until is None else to_us(utc(until))
        span = min(28 * DAY, (stop - int(rows.ts[0])) // 5) if test is None else test // timedelta(microseconds=1)
        begin = stop - span
        cells, scores = _table(loop, bench, rows, begin, stop, windows, ages, progress)
    return _advice(loop, ledger, cells, scores, rows, begin, stop, watts, worth, gain)


def _table(
    loop: Loop, bench: Bench, rows: Rows, begin: int, stop: int, windows: Sequence[timedelta | None],
    ages: Sequence[int], progress: Progress | None,
) -> tuple[list[Cell], dict[tuple[str, int], Any]]:
    from dataclasses import replace

    from trueup.core.errors import DataError

    scorer, places = scorer_of(loop), rows.between(begin, stop)
    found: list[Cell] = []
    scores: dict[tuple[str, int], Any] = {}
    reasons: list[str] = []
    for done, (window, age) in enumerate((window, age) for window in windows for age in sorted(ages)):
        name = "all" if window is None else f"{window.days} d"
        recipe = replace(loop.recipe, window=window, replay=None if window is None else loop.recipe.replay)
        if progress is not None:
            progress(f"advise: {name}, {age} days old", done, len(windows) * len(ages))
        fit = bench.fit(recipe, begin - age * DAY)
        if fit.model is None:
            reasons.append(fit.reason)
            continue
        given = Answers(rows, bench.model(fit).predict).scores(scorer, range(places.start, places.stop))
        scores[(name, age)] = given
        fresh = scores.get((name, 0))
        behind = None if age == 0 or fresh is None else _difference(fresh - given)
        found.append(Cell(name, age, float(np.nanmean(given)) if np.isfinite(given).any() else 0.0, fit.rows, fit.seconds, behind))
    if not any(cell.age == 0 for cell in found):
        raise DataError(f"expected a model to look at, got none: {reasons[0] if reasons else 'no windows'}", cure="lower min_rows, or import more of the past")
    return found, scores


def _difference(values: Any, batches: int = 20) -> tuple[float, float, float]:
    """Mean of paired differences with a 95 % interval from the means of batches: neighbours may depend."""
    x = values[np.isfinite(values)]
    if x.size < 2 * batches:
        return (float(x.mean()) if x.size else 0.0), -1.0, 1.0
    means = np.array([part.mean() for part in np.array_split(x, batches)])
    half = Z * 1.07 * float(means.std(ddof=1)) / batches**0.5  # 1.07: Student with 19 degrees of freedom
    return float(x.mean()), float(x.mean()) - half, float(x.mean()) + half


def _advice(
    loop: Loop, ledger: Ledger, cells: list[Cell], scores: dict[tuple[str, int], Any], rows: Rows, begin: int, stop: int,
    watts: float | None, worth: float | None, gain: float,
) -> Advice:
    fresh = max((cell for cell in cells if cell.age == 0), key=lambda cell: cell.score)
    aged = [cell for cell in cells if cell.window == fresh.window and cell.behind is not None]
    behind = [cell.behind for cell in aged if cell.behind is not None]
    every = next((max(1, cell.age // 2) for cell in aged if cell.behind is not None and cell.behind[0] >= gain), None)
    oldest = aged[-1] if aged else None
    loss = max(0.0, oldest.behind[0]) if oldest is not None and oldest.behind is not None else 0.0
    a_year = 365.25 / (every or (oldest.age if oldest else 28) or 28)
    seconds = a_year * fresh.seconds
    money = seconds / 3600.0 * loop.price.amount if loop.price else None
    kwh = None if watts is None else seconds * watts / 3.6e6
    requests = len(range(*rows.between(begin, stop).indices(len(rows)))) / ((stop - begin) / 1e6) * YEAR_SECONDS
    earned = None if worth is None else worth * loss * requests
    risky, words = _risk(loop, ledger)
    why = [words]
    if oldest is None or oldest.behind is None:
        verdict = "cannot tell"
        why.append("the past is too short to train a model that is older than the freshest: keep logging")
    elif risky:
        verdict = "do not retrain yet: too risky without a reliable evaluation"
    elif all(high < gain for _, _, high in behind):
        verdict = "do not retrain: stable domain"
        why.append(f"a model of {oldest.age} days is behind by at most {max(high for _, _, high in behind):.4f}, less than the {gain:g} that matters to you")
    elif every is None:
        verdict = "cannot tell"
        why.append(f"ageing by {gain:g} is neither shown nor excluded by these rows: look again with more labels")
    elif earned is not None and money is not None and earned < money:
        verdict = "do not retrain: too expensive"
        why.append(f"a year's better answers are worth {earned:.2f} {loop.price.currency if loop.price else ''}, the trainings cost {money:.2f}")
    else:
        verdict = "retrain"
        why.append(f"half of the first age that costs {gain:g} or more; a model of {oldest.age} days is behind by {loss:.4f}")
    told = verdict == "retrain"
    return Advice(
        loop.name, verdict, tuple(why), every if told else None, fresh.window if told else None, loss, seconds, kwh, money,
        loop.price.currency if loop.price else "", tuple(cells), _thresholds(loop, scores[(fresh.window, 0)], begin, stop),
    )


def _risk(loop: Loop, ledger: Ledger) -> tuple[bool, str]:
    """Whether no evaluation can be relied on, and what a release spends."""
    from trueup.study.forecasting import outlook

    carrier = loop.carrier
    if carrier is None:
        return True, "no stage carries the promise: nothing would stop a worse model; put a Shadow on a label before Full()"
    found = outlook(loop, ledger, days=())
    shadow = found.shadow or {}
    most = carrier.max_time.total_seconds() / 86_400.0
    if shadow.get("days") is None:
        return True, "labels are too rare, or the margin too narrow, for any release to end"
    if shadow["days"] > most:
        return True, f"an equally good model needs {shadow['days']:.0f} days of labels, and a shadow ends after {most:.0f}: it would be refused for want of rows"
    return False, f"a release spends {found.level:.3g} of the promise and takes about {shadow['days']:.0f} days; {found.left:.3g} is left after it"


def _thresholds(loop: Loop, scores: Any, begin: int, stop: int) -> tuple[tuple[float, float], ...]:
    """Floors below the present quality, with the mean days in which a fall to .05 below them is seen (TRG-12)."""
    from trueup.stats import MeanDetector

    x = scores[np.isfinite(scores)]
    if x.size < 50:
        return ()
    daily = x.size / ((stop - begin) / DAY)
    quality = float(x.mean())
    rng, found = np.random.default_rng(loop.seed), []
    for step in (0.02, 0.05, 0.10):
        floor = round(quality - step, 2)
        if not 0.1 < floor < 0.99:
            continue
        detector = MeanDetector(1.0 - floor, 0.0, loop.false_alarms_per_year, streams=100)
        at = np.zeros(100)
        for n in range(1, 3_001):
            detector.update((rng.random(100) < 1.0 - floor + 0.05).astype(float), 1.0 / (365.25 * daily))
            at[(at == 0) & detector.alarm] = n
            if at.all():
                break
        at[at == 0] = 3_000
        found.append((floor, float(at.mean()) / daily))
    return tuple(found)

