# SPDX-License-Identifier: Apache-2.0
"""The A/A button: the champion against itself, through whole releases."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.json import dumps
from trueup.lab.drills._drill import Drill, installed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueup.lab.drills._releases import Against, Played
    from trueup.lab.tell import Teller
    from trueup.loop import Loop
    from trueup.store import Ledger

RELEASES, MOST = 400, 1_000
UNITS, CLICKS, ERRORS = 4_000, 0.3, 0.03
START = datetime(2026, 1, 1, tzinfo=UTC)
FORMS = ("ab", "bandit", "contextual", "interleave")
ITEMS = ("north", "south", "east", "west", "centre")
SURE = 0.99      # of the intervals that the checks go by; 95 % ones are shown


def _run(
    teller: Teller, seed: int, releases: int = RELEASES, loop: tuple[Loop, Ledger, Path] | None = None, form: str = "ab"
) -> None:
    from contextlib import closing

    from trueup.lab.drills._releases import against
    from trueup.loop.context import Context

    if loop is not None:
        definition, ledger, base = loop
        terms = Context(definition, ledger, base=base).terms()
        _play(teller, against(ledger, terms, seed=seed, most=MOST), releases)
        return
    with closing(_toy(teller.account.home, seed, form)) as ledger:
        _play(teller, against(ledger, _terms(form), seed=seed, most=MOST), releases)


def _play(teller: Teller, world: Against, releases: int) -> None:
    names = [type(stage).__name__ for stage, _ in world.stages]
    with teller.scene(f"{releases:,} releases of the champion against itself"):
        teller.say(
            f"{' -> '.join(names) or 'no stage'}; {len(world.traffic):,} units of the log, drawn anew by the router's hash "
            "in each release; the stages' own parameters, tests and verdicts, looked at after every unit."
        )
        for stage, parameters in world.stages:
            if margin := parameters.get("margin"):
                teller.say(
                    f"{type(stage).__name__} accepts a loss of up to {margin:g}: an equal challenger is meant to pass "
                    "there, so the challenger's outcomes are made worse by exactly that."
                )
        if any(type(stage).__name__ == "Bandit" for stage, _ in world.stages):
            teller.say("A bandit's probabilities are renewed 20 times in each release, from the units before.")
        if world.left_out:
            teller.say(f"not simulated: {', '.join(world.left_out)}")
        played = []
        for number in range(releases):
            played.append(world.one(number))
            teller.count("release", number + 1, releases)
        counts = Counter(one.verdict for one in played)
        teller.say(", ".join(f"{verdict} {n:,}" for verdict, n in counts.most_common()))
        teller.account.scenes[-1].facts["verdicts"] = dict(counts)
    with teller.scene("Claimed, and seen"):
        _hold(teller, world, played)
    with teller.scene("The same units, and a z-test"):
        _control(teller, world, played)


def _hold(teller: Teller, world: Against, played: Sequence[Played]) -> None:
    """Each promise of the release against its rate, with an exact binomial interval."""
    risk = world.terms.risk
    gates = {type(stage).__name__ for stage, _ in world.stages} - {"Canary"}
    if gates:
        _rate(teller, "wrong promotions", sum(one.verdict == "PROMOTE" for one in played), len(played), risk.wrong_promotion)
    if {type(stage).__name__ for stage, _ in world.stages} - {"Shadow"}:
        _rate(teller, "needless rollbacks", sum(one.verdict == "ROLLBACK" for one in played), len(played), risk.needless_rollback)
        draws = sum(type(stage).__name__ != "Shadow" for stage, _ in world.stages)
        _rate(teller, "INVALID without a cause", sum(one.verdict == "INVALID" for one in played), len(played), 0.002 * draws)


def _rate(teller: Teller, what: str, hits: int, n: int, claim: float) -> None:
    low, high = interval(hits, n)
    line = f"{what}: claimed at most {claim:.3g}, seen {hits} of {n:,} = {hits / n:.3f}, 95 % interval [{low:.3f}, {high:.3f}]"
    teller.account.scenes[-1].facts[what] = {"claimed": claim, "hits": hits, "n": n, "interval": [low, high]}
    teller.expect(interval(hits, n, SURE)[0] <= claim, line, f"a rate that {claim:.3g} does not contradict")


def _control(teller: Teller, world: Against, played: Sequence[Played]) -> None:
    from trueup.lab.drills._releases import LOOKS

    levels: dict[str, float] = {type(stage).__name__: parameters.get("level", 0.0) for stage, parameters in world.stages}
    told = {name: [one.z[name] for one in played if name in one.z] for name in levels}
    if not any(told.values()):
        teller.say("No experiment among the stages that were reached: there is nothing to show a z-test on.")
        return
    for name, tests in told.items():
        if not tests:
            continue
        level = levels[name]
        once, peeked = sum(first for first, _ in tests), sum(any_ for _, any_ in tests)
        low, high = interval(peeked, len(tests))
        teller.say(f"{name}: looked at once, at its end, it errs in {once} of {len(tests):,} = {once / len(tests):.3f} at {level:g}")
        teller.account.scenes[-1].facts[f"z-test of {name}"] = {"once": once, "peeked": peeked, "n": len(tests), "level": level}
        teller.expect(
            low > level,
            f"{name}: looked at {LOOKS} times, a z-test at {level:g} finds a difference in {peeked} of {len(tests):,} = "
            f"{peeked / len(tests):.3f}, 95 % interval [{low:.3f}, {high:.3f}]: these releases can tell a wrong test from a right one",
            f"a peeked z-test that errs more often than {level:g} in {name}: else these releases show nothing",
        )


def interval(hits: int, n: int, sure: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval of a rate (Clopper and Pearson, 1934)."""
    from scipy.special import betaincinv

    tail = (1.0 - sure) / 2.0
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1.0 - tail)) if hits < n else 1.0
    return low, high


def _click() -> Any:
    from trueup.core.task import Outcome

    return Outcome.boolean("click", within=timedelta(hours=1), absent=False)


def _terms(form: str = "ab") -> Any:
    from trueup.core.task import Outcome
    from trueup.release import AB, Bandit, Canary, Feature, Full, Interleave, Risk, Terms

    hour, day = timedelta(hours=1), timedelta(days=1)
    click, opened = _click(), Outcome("opened", "label")
    times: dict[str, Any] = {"units": MOST, "min_time": day, "max_time": 14 * day}
    gates: dict[str, Any] = {
        "ab": AB(click, no_worse_by=0.0, detect=0.05, **times),
        "bandit": Bandit(click, no_worse_by=0.0, detect=0.05, **times),
        "contextual": Bandit(click, policy="lints", features=[Feature("age", 0, 100)], no_worse_by=0.0, detect=0.05, **times),
        "interleave": Interleave("opened", **times),
    }
    return Terms(
        loop="aa", digest="0" * 64, risk=Risk(), outcomes=(click, opened), predictor=lambda _: None, margin=0.0,  # type: ignore[arg-type,return-value]
        stages=(Canary(0.05, 0.25, 0.5, step=hour, units=MOST), gates[form], Full()),
    )


def _toy(home: Path, seed: int, form: str = "ab") -> Ledger:
    """A ledger with a champion and the log of its clicks, errors and seconds; for a contextual bandit
    clicks depend on an age, and for an interleaving answers are rankings of which items are opened."""
    import numpy as np

    from trueup.core.clock import ManualClock, to_us
    from trueup.core.events import Event, outcome
    from trueup.store import Ledger

    clock = ManualClock(START)
    ledger = Ledger.open(home, clock=clock)
    champion = installed(ledger, "aa", "a")
    rng = np.random.default_rng(seed)
    clicked, erred = rng.random(UNITS) < CLICKS, rng.random(UNITS) < ERRORS
    seconds = rng.lognormal(-2.0, 0.5, UNITS)
    ages = rng.integers(0, 101, UNITS)
    if form == "contextual":
        clicked = rng.random(UNITS) < CLICKS * ages / 50.0
    opens = rng.random((UNITS, len(ITEMS))) < 0.5 / (1.0 + np.arange(len(ITEMS)))  # the higher, the more often
    events = []
    for at in range(UNITS):
        ts, ident = to_us(START) + at * 1_000_000, f"aa-{at}"
        answer = dumps(list(ITEMS)) if form == "interleave" else '"a"'
        events.append(Event(
            ident, "aa", "interaction", ts, ts, unit=f"u{at}", choice=ident, arm="champion", candidate=champion,
            input=dumps({"age": int(ages[at])}), output=None if erred[at] else answer, error="failed" if erred[at] else None,
            seconds=float(seconds[at]),
        ))
        events.append(outcome("aa", ident, "click", bool(clicked[at] and not erred[at]), ts=ts, received=ts))
        if form == "interleave" and not erred[at]:
            events += [
                outcome("aa", ident, "opened", item, ts=ts, received=ts, key=item)
                for item, seen in zip(ITEMS, opens[at], strict=True) if seen
            ]
    ledger.append(events)
    clock.advance(timedelta(days=1))
    return ledger


DRILL = Drill(
    name="aa",
    id="DRL-11",
    failure="a release finds a difference where there is none: the champion is released against itself, again and again",
    seen="it is promoted and rolled back no more often than the levels say, on units on which a peeked z-test errs",
    run=_run,
    takes=("releases", "loop", "form"),
)
