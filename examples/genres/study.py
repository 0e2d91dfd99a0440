# SPDX-License-Identifier: Apache-2.0
"""Four ways to keep a genre model, over the years of a real catalogue, in quality and in cost.

    python examples/genres/study.py

Trained once; every month on the last 12 months; every month on all history; and the loop of
`loop.py`, with its real Decisions. Each month is predicted before it is learned. Writes
`report/report.html` and `report/report.md`; takes some three minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import catalogue  # noqa: E402
import pages  # noqa: E402
import rivals  # noqa: E402

from trueup.core.clock import to_us  # noqa: E402
from trueup.core.json import loads  # noqa: E402
from trueup.core.protocols import Prediction  # noqa: E402
from trueup.data import import_file, propose_mapping  # noqa: E402
from trueup.data import load as load_snapshot  # noqa: E402
from trueup.evaluate import F1  # noqa: E402
from trueup.loop import Loop, load_loop  # noqa: E402
from trueup.store import Ledger  # noqa: E402
from trueup.testing import Simulation  # noqa: E402
from trueup.testing.replay import history, replay  # noqa: E402


def study(
    name: str = "genres-linear", *, since: datetime, until: datetime | None = None, out: Path, quiet: bool = False
) -> pages.Study:
    """Import, replay, compare, write the report; returns what was found."""
    say = (lambda *_: None) if quiet else _say
    began = time.perf_counter()
    loop = load_loop(HERE / "loop.py", name)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        path, real = catalogue.find(home)
        with Ledger.open(home / "past") as past:
            mapping = replace(propose_mapping(path, loop.task, loop.outcomes), input=("title", "description", "type"))
            import_file(past, path, loop.name, mapping, task=loop.task, outcomes=loop.outcomes)
            rows = history(loop, past, until=until)
            with replay(
                loop, past, home / "live", since=since, until=until, base=HERE,
                progress=lambda what, done, total: say(f"replay {what}", done, total),
            ) as made:
                edges = rivals.months(since, made.ledger.clock.now())
                edges.append(made.ledger.clock.now())
                served = _served(loop, made, edges)
        others = rivals.lines(
            loop.trainer, rows, edges, say=lambda done, total: say("training every month", done, total)
        )
    found = pages.Study(
        loop=loop, real=real, edges=tuple(edges), films=len(rows),
        cells={**others, "the loop": served}, decisions=tuple(made.decisions),
        seconds=time.perf_counter() - began,
    )
    pages.write(out, found)
    return found


def _served(loop: Loop, made: Simulation, edges: Sequence[datetime]) -> list[rivals.Cell]:
    """What the loop really answered, month by month, and what its trainings cost.

    The seconds are measured as those of the other lines: its Snapshots are fitted once more, here.
    """
    label = loop.label.name
    table = made.ledger.interactions(loop.name, outcomes=[label]).sort_by("ts")
    columns = zip(*(table[one].to_pylist() for one in ("ts", "candidate", "output", label)), strict=True)
    answered = [(ts, loads(given), loads(said)) for ts, who, given, said in columns if who and given and said]
    cost: dict[int, float] = {}
    for decision in made.decisions:
        snapshot = decision.evidence.get("snapshot")
        if decision.kind in ("install", "candidate", "stop") and snapshot:
            with tempfile.TemporaryDirectory() as folder:
                data = made.ledger.artifacts.path(load_snapshot(made.ledger, snapshot, loop.name).data)
                cost[decision.at] = rivals.fit(loop.trainer, data, Path(folder), loop.seed)[1]
    cells = []
    for start, stop in zip(map(to_us, edges), map(to_us, edges[1:]), strict=False):
        part = [(given, said) for ts, given, said in answered if start <= ts < stop]
        given = F1().score([None] * len(part), [Prediction(one) for one, _ in part], [said for _, said in part])
        cells.append(rivals.Cell(start, tuple(float(one) for one in given), cost.get(start)))  # type: ignore[arg-type]
    return cells


def _say(what: str, done: int, total: int) -> None:
    """One line on a terminal, written over; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r{what:<40} {done:>6,} of {total:,}   ", end="", file=sys.stderr, flush=True)


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loop", default="genres-linear", help="genres-linear, or genres-xgboost (much slower)")
    parser.add_argument("--since", type=_day, default="2017-01-01", help="when the loop goes live")
    parser.add_argument("--until", type=_day, default=None)
    parser.add_argument("--out", type=Path, default=HERE / "report")
    given = parser.parse_args(args)
    found = study(given.loop, since=given.since, until=given.until, out=given.out)
    print(("\r" + " " * 70 + "\r") if sys.stderr.isatty() else "", end="")
    for text in pages.summary_lines(found):
        print(text)
    print(f"{given.out / 'report.html'} ({found.seconds:.0f} s)")


if __name__ == "__main__":
    main()
