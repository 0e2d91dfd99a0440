# SPDX-License-Identifier: Apache-2.0
"""A model that only learns from clicks on its own predictions: it collapses, and what mends it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.lab.drills._drill import Drill, installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trueup.lab.tell import Teller
    from trueup.plot import Chart

    Floats = NDArray[np.float64]

KINDS = ("commuters", "parents", "students")
ITEMS = ("news", "cooking", "games", "music", "travel", "sport")
BELIEVED = (0.30, 0.15, 0.15, 0.15, 0.15, 0.15)     # what the first model thinks of the items, for everybody
PSEUDO = 10.0                                       # requests that this belief counts as
EPSILON, CAP = 0.25, 30.0
WEEKS, WEEKLY = 12, 600
START = datetime(2026, 1, 5, tzinfo=UTC)


def _truth() -> Floats:
    """How often each kind of reader clicks on each item: every kind has a favourite of its own."""
    import numpy as np

    rates = np.full((len(KINDS), len(ITEMS)), 0.12)
    rates[:, 0] = 0.25
    for kind, item in enumerate((1, 2, 3)):
        rates[kind, item] = 0.60
    return rates


@dataclass
class Told:
    """A loop by week: clicks a request, items shown as the best, and estimates of each item's appeal."""

    clicks: list[float] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    plain: list[Floats] = field(default_factory=list)
    weighted: list[Floats] = field(default_factory=list)
    errors: list[Floats] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)
    refusal: str = ""


class _Reader:
    """A loop whose model learns clicks by kind and item, from its own log alone."""

    def __init__(self, home: Path, epsilon: float, seed: int) -> None:
        import numpy as np

        from trueup.client import connect
        from trueup.core.clock import ManualClock
        from trueup.core.ids import Ids
        from trueup.store import Ledger

        self.clock = ManualClock(START)
        self.ledger = Ledger.open(home, clock=self.clock)
        installed(self.ledger, "reader", ITEMS[0])
        self.client = connect("reader", home, clock=self.clock, ids=Ids(self.clock, seed), acknowledge="enqueue")
        self.epsilon, self.rng = epsilon, np.random.default_rng([seed, int(epsilon > 0)])
        self.model = np.tile(np.array(BELIEVED), (len(KINDS), 1))

    def close(self) -> None:
        self.client.close()
        self.ledger.close()

    def week(self, requests: int) -> float:
        """Serve so many requests: the best item, or an explored one; the share that was clicked."""
        import numpy as np

        from trueup.client import explore

        truth, clicks = _truth(), 0
        for _ in range(requests):
            self.clock.advance(timedelta(days=7) / requests)
            kind = int(self.rng.integers(len(KINDS)))
            choice = self.client.choose(f"u{int(self.rng.integers(10**9))}")
            ranked = [int(item) for item in np.argsort(-self.model[kind], kind="stable")]
            shown = explore(choice.id, ranked, epsilon=self.epsilon)
            row = {"kind": KINDS[kind], "item": ITEMS[shown.answer]}
            self.client.log(choice, row, row["item"], propensity=shown.propensity)
            clicked = bool(self.rng.random() < truth[kind, shown.answer])
            self.client.feedback(choice.id, "click", clicked)
            clicks += clicked
        self.client.flush()
        return clicks / requests

    def learn(self, told: Told) -> None:
        """Build this week's two Snapshots, learn from the plain one, estimate from both."""
        import numpy as np

        from trueup.core.clock import to_us
        from trueup.curate import ImportanceWeights
        from trueup.data import Recipe, build

        def snapshot(*steps: Any) -> Any:
            recipe = Recipe(window=None, min_rows=100, curate=steps)
            return build(
                recipe, self.ledger, loop="reader", target="click", cut=self.ledger.cut(), now_us=to_us(self.clock.now()),
            )

        plain, weighted = snapshot(), snapshot(ImportanceWeights(cap=CAP))
        kinds, items, clicked, weight = _columns(plain.snapshot.rows())
        shape = (len(KINDS), len(ITEMS))
        n, hits = np.zeros(shape), np.zeros(shape)
        np.add.at(n, (kinds, items), 1.0)
        np.add.at(hits, (kinds, items), clicked)
        self.model = (hits + PSEUDO * np.array(BELIEVED)) / (n + PSEUDO)
        told.plain.append(_appeal(items, clicked, weight)[0])
        told.refusal = weighted.refusal or ""
        if weighted.snapshot is not None:
            _, items, clicked, weight = _columns(weighted.snapshot.rows())
            mean, error = _appeal(items, clicked, weight)
            told.weighted.append(mean)
            told.errors.append(error)
            told.facts = weighted.funnel.steps[-1].facts or next(
                step.facts for step in weighted.funnel.steps if step.name == "importance_weights"
            )
        told.shown.append(len(set(self.model.argmax(axis=1).tolist())))


def _columns(rows: Any) -> tuple[Any, Any, Floats, Floats]:
    import numpy as np

    from trueup.core.json import loads

    inputs = [loads(one) for one in rows["input"].to_pylist()]
    return (
        np.array([KINDS.index(one["kind"]) for one in inputs]), np.array([ITEMS.index(one["item"]) for one in inputs]),
        np.array([float(loads(one)) for one in rows["target"].to_pylist()]), np.asarray(rows["weight"].to_numpy()),
    )


def _appeal(items: Any, clicked: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """How often people click on each item, by the rows as they are weighted, and the standard error."""
    import numpy as np

    def total(values: Floats) -> Floats:
        return np.bincount(items, weights=values, minlength=len(ITEMS)).astype(np.float64)

    mass = np.maximum(total(weight), 1e-12)
    mean = total(weight * clicked) / mass
    spread = np.sqrt(total((weight * (clicked - mean[items])) ** 2)) / mass
    return mean, spread


def _live(teller: Teller, home: Path, epsilon: float, seed: int, weeks: int, weekly: int) -> Told:
    told = Told()
    with closing(_Reader(home, epsilon, seed)) as reader:
        for week in range(weeks):
            teller.progress(f"{home.name}, week {week + 1} of {weeks}", 0, 0)
            told.clicks.append(reader.week(weekly))
            reader.learn(told)
    return told


def _run(teller: Teller, seed: int, weeks: int = WEEKS, weekly: int = WEEKLY) -> None:
    truth = _truth()
    appeal, best = truth.mean(axis=0), float(truth.max(axis=1).mean())
    home = teller.account.home
    with teller.scene("It learns from clicks on its own predictions"):
        echo = _live(teller, home / "echo", 0.0, seed, weeks, weekly)
        last = sum(echo.clicks[-3:]) / 3
        teller.say(f"{weeks} weeks of {weekly} requests; the first model believes in {ITEMS[0]}, for everybody")
        teller.expect(
            echo.shown[-1] == 1 and last < 0.6 * best,
            f"it shows {ITEMS[0]} to everybody for ever: {last:.3f} clicks a request, where {best:.3f} can be had",
            "a collapse to one item, far below what can be had",
        )
        wrong = float(max(abs(echo.plain[-1] - appeal)))
        teller.say(f"it has learned nothing of the others: its rows put their appeal wrong by up to {wrong:.2f}")
        teller.expect(
            bool(echo.weighted) and float(abs(echo.weighted[-1] - echo.plain[-1]).max()) < 1e-9,
            "weights alone change nothing: every row was shown for sure, and what is never shown has no row to weight",
            "weights of 1",
        )
        teller.account.scenes[-1].facts.update(clicks=echo.clicks, error=wrong)
    with teller.scene(f"It explores: {EPSILON:.0%} of the requests draw any item, and the probability is logged"):
        open_ = _live(teller, home / "exploring", EPSILON, seed, weeks, weekly)
        last = sum(open_.clicks[-3:]) / 3
        could = (1.0 - EPSILON) * best + EPSILON * float(truth.mean())
        teller.expect(
            last > 0.9 * could and open_.shown[-1] == len(KINDS),
            f"every kind of reader gets its favourite: {last:.3f} clicks a request, of {could:.3f} that can be had while exploring",
            "a model that finds what people like",
        )
        teller.account.scenes[-1].facts["clicks"] = open_.clicks
    with teller.scene("What people like, from its rows with weights and without"):
        _estimates(teller, open_, appeal)
    page = _page(home, echo, open_, appeal, best)
    with teller.scene("The plot"):
        teller.say(str(page))
        teller.account.scenes[-1].facts["page"] = str(page)


def _estimates(teller: Teller, told: Told, appeal: Floats) -> None:
    import numpy as np

    if not told.weighted:
        teller.expect(False, told.refusal, "weights that the rows can carry")
        return
    plain, weighted, error = told.plain[-1], told.weighted[-1], told.errors[-1]
    for at, item in enumerate(ITEMS):
        teller.say(f"{item:<10}true {appeal[at]:.3f}   rows as they are {plain[at]:.3f}   weighted {weighted[at]:.3f} (± {error[at]:.3f})", indent=2)
    teller.say(f"of the weights: {', '.join(f'{name} {value:g}' for name, value in told.facts.items())}")
    far = np.abs(weighted - appeal) / np.maximum(error, 1e-9)
    teller.expect(
        bool((far < 4.5).all()), f"weighted, every item lies within {far.max():.1f} standard errors of the truth",
        "weighted estimates without bias",
    )
    favourites = [1, 2, 3]
    off = float((plain - appeal)[favourites].mean())
    teller.expect(
        off > 0.08 and abs(float((weighted - appeal)[favourites].mean())) < off / 2,
        f"as they are, the rows overrate what is shown to those who like it, by {off:.2f}; weighted by "
        f"{float((weighted - appeal)[favourites].mean()):+.2f}",
        "rows that are biased without weights, and less so with them",
    )
    teller.account.scenes[-1].facts.update(plain=plain.tolist(), weighted=weighted.tolist(), truth=appeal.tolist(), error=error.tolist())


def _page(home: Path, echo: Told, open_: Told, appeal: Floats, best: float) -> Path:
    from trueup.plot import Bound, Section, Series, lines, save

    def weeks(values: Sequence[float]) -> list[tuple[float, float]]:
        return [(float(week + 1), float(value)) for week, value in enumerate(values)]

    def errors(estimates: Sequence[Floats]) -> list[tuple[float, float]]:
        return weeks([float(abs(one - appeal).max()) for one in estimates])

    clicks = lines(
        [Series("exploring", weeks(open_.clicks)), Series("its own echo", weeks(echo.clicks))],
        title="Clicks a request", x_label="week", unit="%", zero=True, bounds=[Bound(best, "can be had", "ok")],
        desc="A model that only shows what it believes in never learns better.",
    )
    wrong = lines(
        [
            Series("exploring, weighted", errors(open_.weighted)), Series("its own echo", errors(echo.plain)),
            Series("exploring, no weights", errors(open_.plain)),
        ],
        title="How far off the appeal of an item is, at worst", x_label="week", zero=True,
        desc="Exploration brings the rows, the weights take the bias out.",
    )
    sections = [
        Section("What it earns", [clicks]), Section("What it knows", [wrong]),
        *([Section("What it knows of each item", [_bars(open_, appeal)])] if open_.weighted else []),
    ]
    return save(home, "A feedback loop, and what mends it", sections, "feedback-loop")[0]


def _bars(told: Told, appeal: Floats) -> Chart:
    from trueup.plot import Bar, bars

    found = []
    for at, item in enumerate(ITEMS):
        mean, error = float(told.weighted[-1][at]), 1.96 * float(told.errors[-1][at])
        found += [
            Bar(item, float(appeal[at]), series="true"),
            Bar(item, mean, (max(mean - error, 0.0), mean + error), series="weighted"),
            Bar(item, float(told.plain[-1][at]), series="rows as they are"),
        ]
    return bars(found, title="The appeal of each item to everybody, at the end", unit="%")


DRILL = Drill(
    name="feedback-loop",
    id="DRL-01",
    failure="a model learns from nothing but the clicks on its own predictions, and ends in its own echo",
    seen="without exploration it collapses to what it believed at first; with exploration and weights it finds what people like, and the estimate has no bias",
    run=_run,
    takes=("weeks", "weekly"),
)
