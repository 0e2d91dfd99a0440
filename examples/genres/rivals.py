# SPDX-License-Identifier: Apache-2.0
"""The other ways to keep a model: trained once, or every month; with the same trainer and scorer."""

import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trueup.core.clock import to_us
from trueup.core.json import dumps
from trueup.core.protocols import Predictor, TrainJob
from trueup.core.references import Ref
from trueup.core.values import from_json, to_json
from trueup.evaluate import F1
from trueup.models import load
from trueup.testing.replay import Logged


@dataclass(frozen=True)
class Cell:
    """A month of a line: F1 of each film in it, and the seconds of one core that its training took
    (None where none took place). `start` is microseconds since 1970."""

    start: int
    scores: tuple[float, ...]
    seconds: float | None


class Context:
    """Where a training works; nobody watches."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir

    def report(self, step: int, total: int, **metrics: float) -> None: ...

    def should_stop(self) -> bool:
        return False


def fit(trainer: Any, path: Path, folder: Path, seed: int = 0) -> tuple[Predictor, float]:
    """Train on a file of rows; the model, and the seconds of one core that it took."""
    job = TrainJob("genres", to_json(trainer), Ref(str(path), ""), "labels", seed=seed)
    began = time.process_time()
    result = trainer.fit(job, Context(folder))
    if result.model is None:
        raise SystemExit(f"the training failed: {result.reason}")
    return load(result.model), time.process_time() - began


def scores(predictor: Predictor, rows: Sequence[Logged]) -> tuple[float, ...]:
    """F1 of each film."""
    inputs = [row.input for row in rows]
    given = F1().score(inputs, predictor.predict(inputs), [row.labels[0][1] for row in rows])
    return tuple(float(score) for score in given)  # type: ignore[arg-type]


def months(start: datetime, stop: datetime) -> list[datetime]:
    """The first of each month in [start, stop)."""
    found = []
    at = start
    while at < stop:
        found.append(at)
        at = at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
    return found


def lines(trainer: Any, rows: Sequence[Logged], edges: Sequence[datetime], *, say: Any) -> dict[str, list[Cell]]:
    """The three other lines; each month is predicted before it is learned.

    `edges` are the months' beginnings and the end of the last; `say(done, total)` is told.
    """
    starts = [to_us(edge) for edge in edges]
    tasks: list[tuple[str, int, int, int]] = []
    for at, start in enumerate(starts[:-1]):
        year_ago = to_us(edges[at].replace(year=edges[at].year - 1))
        tasks += [("12 months", year_ago, start, starts[at + 1]), ("all history", 0, start, starts[at + 1])]
    tasks.append(("once", 0, starts[0], starts[-1]))
    tasks.sort(key=lambda task: -task[2])  # the long ones first
    found: dict[str, list[Cell]] = {"once": [], "12 months": [], "all history": []}
    workers = min(4, os.cpu_count() or 1)
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(to_json(trainer), list(rows))
    )
    with pool:
        for done, (name, cells) in enumerate(pool.map(_line, tasks), 1):
            found[name] += cells
            say(done, len(tasks))
    by_month = {cell.start: cell for cell in found["all history"]}
    once = found["once"][0]
    found["once"] = []
    place = 0
    for start in starts[:-1]:
        size = len(by_month[start].scores)
        part = once.scores[place : place + size]
        found["once"].append(Cell(start, part, once.seconds if start == starts[0] else None))
        place += size
    return {name: sorted(cells, key=lambda cell: cell.start) for name, cells in found.items()}


_TRAINER: Any = None
_ROWS: list[Logged] = []


def _begin(trainer: Any, rows: list[Logged]) -> None:
    global _TRAINER, _ROWS
    import trueup.train  # noqa: F401  the trainers' kinds are registered there

    _TRAINER, _ROWS = from_json(trainer), rows


def _line(task: tuple[str, int, int, int]) -> tuple[str, list[Cell]]:
    """Train on [since, start), answer [start, stop)."""
    name, since, start, stop = task
    known = [row for row in _ROWS if since <= row.ts < start]
    fresh = [row for row in _ROWS if start <= row.ts < stop]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(pa.table({
            "input": [dumps(row.input) for row in known],
            "target": [dumps(row.labels[0][1]) for row in known], "weight": [1.0] * len(known),
        }), path)
        model, seconds = fit(_TRAINER, path, Path(folder))
        return name, [Cell(start, scores(model, fresh), seconds)]
