# SPDX-License-Identifier: Apache-2.0
"""When to retrain on an electricity market: triggers against schedules, on the same past.

    python examples/elec2/study.py
    python examples/elec2/study.py --starts 10

Every policy is lived through with the model that would have been live at each moment, trained on
labels known then. Writes `report/report.html`, `report/report.md` and its charts; takes some three
minutes at first, and seconds after that: trainings are kept in `.backtest` beside this file.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import market  # noqa: E402
import pages  # noqa: E402

from trueup import Loop  # noqa: E402
from trueup.core.clock import ManualClock  # noqa: E402
from trueup.data import import_file, propose_mapping  # noqa: E402
from trueup.evaluate import Accuracy  # noqa: E402
from trueup.loop import load_loop  # noqa: E402
from trueup.store import Ledger  # noqa: E402
from trueup.study import Backtest, Policy, backtest  # noqa: E402
from trueup.triggers import Cooldown, Cron, Drift, Rows, Worsens  # noqa: E402

DAY = timedelta(days=1)
WEEK = 336  # half-hours
MARKET = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")


def ways(recipe: object, *, all_of_them: bool = True) -> list[Policy]:
    """Schedules, and triggers that may train as often as the four-weekly one and no more."""
    found = [Policy("trained once", (), (), recipe)]  # type: ignore[arg-type]
    schedules = {"every 26 weeks": 26, "every 4 weeks": 4, "every 2 weeks": 2, "every week": 1}
    for name, weeks in schedules.items() if all_of_them else (("every 4 weeks", 4),):
        found.append(Policy(name, (Rows(weeks * WEEK),), (), recipe))  # type: ignore[arg-type]
    four = (Cooldown(28 * DAY),)
    metric, drift = Worsens(Accuracy()), Drift(MARKET)
    triggers = {"metric": (metric,), "drift": (drift,), "metric or drift": (metric, drift)}
    for name, when in list(triggers.items())[: None if all_of_them else 2]:
        found.append(Policy(f"{name}, at most every 4 weeks", when, four, recipe))  # type: ignore[arg-type]
    if all_of_them:
        found.append(Policy("metric, as often as it alarms", (metric,), (), recipe))  # type: ignore[arg-type]
    return found


def study(out: Path, *, rows: int | None = None, everything: bool = True, keep: Path | None = None, quiet: bool = False) -> pages.Study:
    """Import, backtest, write the report; returns what was found."""
    began = time.perf_counter()
    loop = load_loop(HERE / "loop.py")
    with imported(loop, rows) as (ledger, real, folder):
        found = backtest(
            loop, ledger, ways(loop.recipe, all_of_them=everything), since=market.START + 28 * DAY, base=HERE, isolate=False,
            home=keep or folder / "backtest", period=28 * DAY, progress=None if quiet else _say,
        )
    made = pages.Study(found, real, time.perf_counter() - began)
    pages.write(out, made)
    return made


def starts(n: int, *, rows: int | None = None, keep: Path | None = None, quiet: bool = False) -> Iterator[Backtest]:
    """The schedule and the metric trigger from `n` starting days, spread over four weeks, with looks a
    week apart from each: how much of a difference is the luck of where one begins."""
    loop = load_loop(HERE / "loop.py")
    with imported(loop, rows) as (ledger, _, folder):
        for at in range(n):
            since = market.START + timedelta(days=28 + round(28 * at / n))
            weekly = replace(loop, look=Cron(f"0 0 * * {since.isoweekday() % 7}"))
            pair = [one for one in ways(loop.recipe, all_of_them=False) if one.name in (pages.SCHEDULE, pages.METRIC)]
            yield backtest(
                weekly, ledger, pair, since=since, base=HERE, isolate=False, home=keep or folder / "backtest", period=28 * DAY,
                progress=None if quiet else _say,
            )


@contextmanager
def imported(loop: Loop, rows: int | None) -> Iterator[tuple[Ledger, bool, Path]]:
    """The market in a ledger of its own: the ledger, whether the market is real, and a folder that goes with it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, real = market.find(folder, rows)
        with Ledger.open(folder / "home", clock=ManualClock(market.START + 2_000 * DAY)) as ledger:
            mapping = replace(
                propose_mapping(path, loop.task, loop.outcomes), input=loop.trainer.fields, ts="asked", known="known", unit=None,  # type: ignore[attr-defined]
            )
            import_file(ledger, path, loop.name, mapping, task=loop.task, outcomes=loop.outcomes)
            yield ledger, real, folder


def _say(what: str, done: int, total: int) -> None:
    """One line on a terminal, written over; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r{what:<60} {done:>6,} of {total:,}   ", end="", file=sys.stderr, flush=True)


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=None, help="only so many half-hours")
    parser.add_argument("--short", action="store_true", help="only the four-weekly schedule and the triggers")
    parser.add_argument("--out", type=Path, default=HERE / "report")
    parser.add_argument("--keep", type=Path, default=HERE / ".backtest", help="where trainings are kept")
    parser.add_argument("--starts", type=int, default=None, help="compare the two from so many starting days instead")
    given = parser.parse_args(args)
    if given.starts:
        pairs = []
        for at, found in enumerate(starts(given.starts, rows=given.rows, keep=given.keep), 1):
            pairs.append(pages.pair(found))
            print(f"start {at}: {pages.of_pair(*pairs[-1])}", flush=True)
        print("\n".join(pages.of_starts(pairs)))
        return
    made = study(given.out, rows=given.rows, everything=not given.short, keep=given.keep)
    print(("\r" + " " * 90 + "\r") if sys.stderr.isatty() else "", end="")
    for text in pages.lines_of(made):
        print(text)
    print(f"{given.out / 'report.html'} ({made.seconds:.0f} s)")


if __name__ == "__main__":
    main()
