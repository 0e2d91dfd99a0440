# SPDX-License-Identifier: Apache-2.0
"""Backtest: what each policy would have done on a loop's own past, and how it would have gone (TRU-07)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.clock import from_us, to_us, utc
from trueup.core.errors import DataError
from trueup.core.protocols import Finding, Scorer
from trueup.study.bench import Bench
from trueup.study.facts import Answers, Champion, PastFacts, Rows
from trueup.study.policy import Policy, policies, scorer_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueup.loop import Loop
    from trueup.loop.context import Progress
    from trueup.store import Ledger

YEAR = 365.25 * 86_400e6
DATA_ONLY = ("trigger.rows", "trigger.cron", "trigger.cooldown", "trigger.nothing_new", "money.spend")


@dataclass(frozen=True, slots=True)
class Training:
    """One training of a policy: when (microseconds since 1970), why, on how many rows, in what time.

    `model` is False where it gave none, and `reason` says so; `key` is shared by equal trainings.
    """

    at: int
    key: str
    reason: str
    rows: int
    seconds: float
    money: float
    model: bool = True


@dataclass(frozen=True, slots=True)
class Life:
    """What a policy would have been: its trainings, its score in each period, and what it cost.

    `scores` and `counts` are a mean and a number of labelled answers a period (None: no label, or
    no model yet); `quality` is the mean over all labelled answers. `looks` counts looks. `unrated`
    says why an alarm of it has no stated rate, where it has none.
    """

    policy: str
    trainings: tuple[Training, ...]
    scores: tuple[float | None, ...]
    counts: tuple[int, ...]
    quality: float
    answered: int
    looks: int
    unrated: str = ""
    failed: int = 0

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return sum(one.seconds for one in self.trainings)

    @property
    def money(self) -> float:
        """What the trainings would have cost, in the currency of the loop's price."""
        return sum(one.money for one in self.trainings)

    def to_json(self) -> dict[str, Any]:
        return {
            "policy": self.policy, "quality": self.quality, "answered": self.answered,
            "trainings": len(self.trainings), "seconds": self.seconds, "money": self.money, "looks": self.looks,
            "scores": list(self.scores), "counts": list(self.counts), "unrated": self.unrated,
            "failed": self.failed, "each": [asdict(one) for one in self.trainings],
        }


@dataclass(frozen=True, slots=True)
class Backtest:
    """What every policy would have been between two moments, in order of the table.

    `edges` are the periods' beginnings and the end of the last; `delay` is the median time from a
    request to its label, in seconds; `same` the score of "the same as the last label that was
    known" by period and over all (None where answers are no labels). `made` trainings were run
    now, `shared` were there already.
    """

    loop: str
    scorer: str
    edges: tuple[datetime, ...]
    lives: tuple[Life, ...]
    delay: float
    labelled: float
    currency: str
    made: int
    shared: int
    same: tuple[tuple[float | None, ...], float] | None = None
    policies: tuple[Policy, ...] = field(default=(), repr=False)

    def frontier(self) -> tuple[str, ...]:
        """Policies that no other beats in quality at no more seconds of training."""
        best, found = -1.0, []
        for life in sorted(self.lives, key=lambda one: (one.seconds, -one.quality)):
            if life.quality > best:
                best = life.quality
                found.append(life.policy)
        return tuple(found)

    def life(self, policy: str) -> Life:
        """The life of a policy, by its name."""
        return next(one for one in self.lives if one.policy == policy)

    def proposal(self, tolerance: float = 0.005) -> str:
        """The cheapest policy whose quality is within `tolerance` of the best."""
        most = max(one.quality for one in self.lives)
        near = [one for one in self.lives if one.quality >= most - tolerance]
        return min(near, key=lambda one: (one.seconds, len(one.trainings), -one.quality)).policy

    def to_json(self) -> dict[str, Any]:
        return {
            "loop": self.loop, "scorer": self.scorer, "edges": [edge.isoformat() for edge in self.edges],
            "label_delay_seconds": self.delay, "labelled": self.labelled, "currency": self.currency,
            "trainings_made": self.made, "trainings_shared": self.shared, "frontier": list(self.frontier()),
            "proposal": self.proposal(), "same_as_last_label": self.same and self.same[1],
            "lives": [life.to_json() for life in self.lives],
        }


def backtest(
    loop: Loop, ledger: Ledger, ways: Sequence[Policy] | None = None, *, since: datetime | None = None,
    until: datetime | None = None, base: Path | None = None, home: Path | None = None,
    isolate: bool = True, progress: Progress | None = None, period: timedelta | None = None,
    scorer: Scorer | None = None,
) -> Backtest:
    """Live through a loop's logged past under several policies (the loop's own and "never", without).

    At each moment of the loop's schedule between `since` and `until` (the first and the last
    logged input, without) a policy's triggers look at what they would have known: labels from the
    moment at which they became known, answers of the model that would have been live. What it then
    trains serves at once, until the next training: gates and releases are left out (`trueup run
    --replay` lives through those). The first model of a policy is what can be trained at `since`.
    Policies share equal trainings, and a backtest that is run again, killed or not, trains nothing
    twice; models and datasets lie in `home` (`<home of the ledger>/backtest/<loop>`). Nothing is
    written to the ledger.

    Raises DataError where there is nothing to look at, Refused for a policy that no past can tell.
    """
    from trueup.store import Ledger as Store

    ways = list(ways) if ways is not None else policies(loop)
    where = home or ledger.home / "backtest" / loop.name
    with Store.open(where, clock=ledger.clock) as scratch:
        bench = Bench(loop, ledger, scratch, base=base, isolate=isolate)
        past = _Past(loop, bench, since, until, period, scorer)
        lives = []
        total = len(ways) * len(past.looks)
        for at, way in enumerate(ways):
            told = _teller(progress, way.name, at * len(past.looks), total)
            lives.append(past.live(way, told))
        return Backtest(
            loop.name, past.scorer.name, tuple(from_us(edge) for edge in past.edges), tuple(lives), past.delay(),
            past.labelled(), loop.price.currency if loop.price else "", bench.made, bench.shared, past.same(), tuple(ways),
        )


def dry(loop: Loop, ledger: Ledger, ways: Sequence[Policy], *, since: datetime | None = None,
        until: datetime | None = None, home: Path | None = None) -> list[tuple[str, int, bool]]:
    """(policy, trainings, whether the number is exact or the most that there can be); trains nothing.

    What depends on counts and the calendar alone is counted; alarms depend on models that are not
    there yet.
    """
    from trueup.store import Ledger as Store

    with Store.open(home or ledger.home / "backtest" / loop.name, clock=ledger.clock) as scratch:
        past = _Past(loop, Bench(loop, ledger, scratch), since, until, None, None)
        return [(way.name, *past.count(way)) for way in ways]


def _teller(progress: Progress | None, name: str, begun: int, total: int) -> Callable[[int], None]:
    def told(done: int) -> None:
        if progress is not None:
            progress(f"backtest: {name}", begun + done, total)

    return told


class _Past:
    """The logged past between two moments, cut into looks and periods."""

    def __init__(
        self, loop: Loop, bench: Bench, since: datetime | None, until: datetime | None,
        period: timedelta | None, scorer: Scorer | None,
    ) -> None:
        self.loop, self.bench = loop, bench
        self.scorer: Scorer = scorer or scorer_of(loop)
        self.rows = Rows(loop, bench)
        if not len(self.rows):
            raise DataError(f"expected logged inputs of {loop.name}, got none", cure="trueup import FILE brings the past in")
        last = int(self.rows.ts[-1]) + 1
        self.stop = last if until is None else min(last, to_us(utc(until)))
        self.start = int(self.rows.ts[0]) if since is None else to_us(utc(since))
        places = self.rows.between(self.start, self.stop)
        if places.start >= places.stop:
            raise DataError(
                f"expected logged inputs of {loop.name} from {from_us(self.start):%Y-%m-%d} to {from_us(self.stop):%Y-%m-%d}, got none",
                cure="--since and --until choose the part of the past that is lived through again",
            )
        self.looks = [self.start, *self._schedule()]
        self.edges = _edges(self.start, self.stop, period)

    def _schedule(self) -> list[int]:
        found, at = [], self.loop.look.next(from_us(self.start))
        while to_us(at) < self.stop:
            found.append(to_us(at))
            at = self.loop.look.next(at)
        return found

    def live(self, way: Policy, told: Callable[[int], None]) -> Life:
        """One policy, from the first look to the last."""
        loop = way.of(self.loop)
        champion: Champion | None = None
        trained: int | None = None
        accepted: dict[str, int] = {}
        costs: list[tuple[int, float, str]] = []
        made: list[Training] = []
        spans: list[Champion] = []
        unrated, failed = "", 0
        for done, now in enumerate(self.looks):
            facts = PastFacts(loop, self.bench, self.rows, champion, now=now, trained=trained, accepted=accepted, costs=costs)
            reason, fired, said = self._look(loop, facts, champion is None)
            unrated = unrated or said
            if reason is not None:
                training, model = self._train(loop, champion, now, reason, made)
                made.append(training)
                failed += model is None
                if training.model or training.seconds:
                    trained = now
                    costs.append((now, training.money, loop.price.currency if loop.price else ""))
                    accepted.update(dict.fromkeys(fired, now))
                if model is not None:
                    if champion is not None:
                        champion.upto = now
                    champion = model
                    spans.append(model)
            told(done + 1)
        return self._told(way, spans, [one for one in made if one.seconds or one.model], unrated, failed)

    def _look(self, loop: Loop, facts: PastFacts, bare: bool) -> tuple[str | None, list[str], str]:
        """Why it trains (None: it rests), the detectors that alarmed, and why one has no stated rate."""
        if bare:
            rows = facts.rows()
            return (f"no model yet, {rows:,} labelled rows" if rows >= loop.recipe.min_rows else None), [], ""
        if any(part.look(facts).holds for part in loop.unless):  # asked first: alarms take longer
            return None, [], ""
        found: list[tuple[Any, Finding]] = [(part, part.look(facts)) for part in loop.when]
        unrated = next((str(one.evidence["no stated rate"]) for _, one in found if one.evidence.get("no stated rate")), "")
        unrated = unrated or next(
            (f"{column['name']}: {column['note']}" for _, one in found for column in one.evidence.get("found", ()) if not column["rated"]), ""
        )
        held = [(part, one) for part, one in found if one.holds]
        if not held:
            return None, [], unrated
        fired = [part.detector for part, _ in held if hasattr(part, "detector")]
        return "; ".join(one.reason for _, one in held), fired, unrated

    def _train(
        self, loop: Loop, champion: Champion | None, now: int, reason: str, made: list[Training]
    ) -> tuple[Training, Champion | None]:
        fit = self.bench.fit(loop.recipe, now, champion.fit if champion else None)
        price = loop.price.amount * fit.seconds / 3600.0 if loop.price else 0.0
        if fit.model is None:
            return Training(now, fit.key, f"{reason}; no model: {fit.reason}", fit.rows, fit.seconds, price, False), None
        found = Training(now, fit.key, reason, fit.rows, fit.seconds, price)
        same = next((one for one in (champion,) if one is not None and one.fit.key == fit.key), None)
        model = self.bench.model(fit)
        answers = same.answers if same else Answers(self.rows, model.predict)
        return found, Champion(fit, now, answers)

    def _told(
        self, way: Policy, spans: list[Champion], made: list[Training], unrated: str, failed: int
    ) -> Life:
        first = self.rows.between(self.start, self.stop)
        scores = np.full(first.stop - first.start, np.nan)
        for at, model in enumerate(spans):
            stop = spans[at + 1].since if at + 1 < len(spans) else self.stop
            places = self.rows.between(model.since, stop)
            span = range(places.start, places.stop)
            scores[places.start - first.start : places.stop - first.start] = model.answers.scores(self.scorer, span)
        by_period = self._by_period(scores)
        known = scores[np.isfinite(scores)]
        return Life(
            way.name, tuple(made), tuple(mean for mean, _ in by_period), tuple(n for _, n in by_period),
            float(known.mean()) if known.size else 0.0, int(known.size), len(self.looks), unrated, failed,
        )

    def _by_period(self, scores: NDArray[np.float64]) -> list[tuple[float | None, int]]:
        first, found = self.rows.between(self.start, self.stop).start, []
        for low, high in zip(self.edges, self.edges[1:], strict=False):
            places = self.rows.between(low, high)
            part = scores[places.start - first : places.stop - first]
            part = part[np.isfinite(part)]
            found.append((float(part.mean()) if part.size else None, int(part.size)))
        return found

    def same(self) -> tuple[tuple[float | None, ...], float] | None:
        """The line that costs nothing: the answer is the last label that was known of an earlier input."""
        from trueup.core.protocols import Prediction

        if self.loop.task.answers != "label":
            return None
        places = self.rows.between(self.start, self.stop)
        order = np.argsort(self.rows.known, kind="stable")
        known = self.rows.known[order]
        last = np.searchsorted(known, self.rows.ts[places], "right") - 1
        while (own := (last >= 0) & (self.rows.ts[order[last]] >= self.rows.ts[places])).any():
            last[own] -= 1  # known at once: its own label, or that of another input of the same moment
        span = range(places.start, places.stop)
        given = {at: Prediction(self.rows.labels[order[k]]) if k >= 0 else None for at, k in zip(span, last, strict=True)}
        answers = Answers(self.rows, lambda _: [], given)
        scores = answers.scores(self.scorer, span)
        finite = scores[np.isfinite(scores)]
        return tuple(mean for mean, _ in self._by_period(scores)), float(finite.mean()) if finite.size else 0.0

    def count(self, way: Policy) -> tuple[int, bool]:
        """Trainings of a policy, counted without training; or the most that there can be."""
        from trueup.core.values import kind_of

        loop = way.of(self.loop)
        exact = all(kind_of(part) in DATA_ONLY for part in (*way.when, *way.unless))
        cooldown = [part for part in way.unless if kind_of(part) == "trigger.cooldown"]
        trained: int | None = None
        n = 0
        for now in self.looks:
            facts = PastFacts(loop, self.bench, self.rows, None, now=now, trained=trained, accepted={})
            if trained is None:
                fires = facts.rows() >= loop.recipe.min_rows
            elif exact:
                fires = any(part.look(facts).holds for part in way.when) and not any(part.look(facts).holds for part in way.unless)
            else:
                fires = not any(part.look(facts).holds for part in cooldown)
            if fires:
                n, trained = n + 1, now
        return n, exact

    def delay(self) -> float:
        """Median seconds from a request to its label."""
        places = self.rows.between(self.start, self.stop)
        known, ts = self.rows.known[places], self.rows.ts[places]
        there = known < np.iinfo(np.int64).max
        return float(np.median((known - ts)[there])) / 1e6 if there.any() else 0.0

    def labelled(self) -> float:
        """The share of inputs that ever got a label."""
        places = self.rows.between(self.start, self.stop)
        return float((self.rows.known[places] < np.iinfo(np.int64).max).mean())


def _edges(start: int, stop: int, period: timedelta | None) -> list[int]:
    """About thirty periods of a day, a week, four weeks or a quarter; or those that were asked for."""
    day = 86_400_000_000
    if period is not None:
        width = period // timedelta(microseconds=1)
    else:
        span = (stop - start) / day
        width = next((days for days in (1, 7, 28, 91) if span / days <= 40), 364) * day
    found = list(range(start, stop, width))
    return [*found, stop]
