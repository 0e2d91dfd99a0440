# SPDX-License-Identifier: Apache-2.0
"""Any program as a trainer: job.json in, result.json out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import dumps, loads
from trueup.core.protocols import Capabilities, RunContext, TrainJob, TrainResult
from trueup.core.values import value
from trueup.train import fitting
from trueup.train.rows import path_of

TRY_AGAIN = 75
_OUTPUTS = ("label", "labels", "number", "text")
_LARGEST = 16 * 2**20


@value("trainer.command")
class Command:
    """Trains with the program `argv` (texts and paths), which runs in an empty folder of its own.

    It finds there `job.json`: the job, with the local paths `data` (Parquet: input, target,
    weight, part), `init` (a model folder, or null), and `params`. It writes a model folder with a
    valid `model.json`, and `result.json`: `{"model": "model", "metrics": {...}, "facts": {...}}`.

    Exit 0 means done, 75 "try again", anything else failed. A line on its standard output like
    `{"step": 3, "total": 10}` says how far it is; the rest of its output is kept for the report.
    What it can do is declared here: `outputs`, `stateful`, `weights`. Time and memory are limited
    by the job's budget, its children included. `threads` is told to the usual libraries of numbers
    in its environment.
    """

    argv: tuple[Any, ...]
    outputs: tuple[str, ...] = ("label", "labels", "number", "text")
    stateful: bool = False
    weights: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1

    def __post_init__(self) -> None:
        argv = self.argv
        if not isinstance(argv, tuple) or not argv or not all(isinstance(part, str | Path) for part in argv):
            raise ArgumentError(
                f"expected argv as a list of texts and paths, got {argv!r:.80}",
                cure='write Command(["python", HERE / "train.py"])',
            )
        if not self.outputs or any(output not in _OUTPUTS for output in self.outputs):
            raise ArgumentError(f"expected outputs among {_OUTPUTS}, got {self.outputs!r}")
        if not isinstance(self.threads, int) or self.threads < 1:
            raise ArgumentError(f"expected threads of at least 1, got {self.threads!r}")

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(self.outputs, stateful=self.stateful, weights=self.weights)

    def fit(self, job: TrainJob, context: RunContext) -> TrainResult:
        """Run the program; what it does wrong is a result, not an exception."""
        return fitting.plainly(lambda: self._fit(job, context))

    def _fit(self, job: TrainJob, context: RunContext) -> TrainResult:
        fitting.check_answers(job, self.capabilities)
        folder = context.workdir / "command"
        folder.mkdir(parents=True)
        said = job.to_json() | {
            "data": str(path_of(job.data)), "init": str(path_of(job.init)) if job.init else None,
            "params": dict(self.params),
        }
        (folder / "job.json").write_text(dumps(said), encoding="utf-8")
        argv = [str(part) for part in self.argv]
        name = Path(argv[0]).name
        try:
            process = subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except OSError as error:
            return TrainResult("failed", reason=f"expected a program {argv[0]} that runs: {error}")
        assert process.stdout is not None
        for line in iter(lambda: process.stdout.readline(65_536), b""):  # type: ignore[union-attr]
            _listen(line, context)
        code = process.wait()
        if code == TRY_AGAIN:
            return TrainResult("retry", reason=f"{name} asked to be tried again (exit 75)")
        if code < 0:
            return TrainResult("retry", reason=f"{name} was killed by signal {-code}")
        if code:
            return TrainResult("failed", reason=f"expected exit 0 from {name}, got {code}")
        return _result(folder, name)


def _listen(line: bytes, context: RunContext) -> None:
    if line.startswith(b"{"):
        try:
            data = loads(line)
            metrics = {k: float(v) for k, v in data.items() if k not in ("step", "total")}
            context.report(int(data["step"]), int(data["total"]), **metrics)
            return
        except (DataError, KeyError, TypeError, ValueError):
            pass
    sys.stderr.write(line.decode(errors="replace"))


def _result(folder: Path, name: str) -> TrainResult:
    path = folder / "result.json"
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"expected a result.json below {_LARGEST} bytes")
        data = loads(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected a result.json from {name}, got none: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("model"), str):
        raise DataError(f'expected {{"model": "folder", ...}} in the result.json of {name}, got {data!r:.80}')
    metrics, facts = data.get("metrics", {}), data.get("facts", {})
    if not isinstance(metrics, dict) or not all(isinstance(x, int | float) for x in metrics.values()):
        raise DataError(f"expected metrics as numbers by name from {name}, got {metrics!r:.80}")
    if not isinstance(facts, dict):
        raise DataError(f"expected facts by name from {name}, got {facts!r:.80}")
    return TrainResult(
        "completed", folder / data["model"], {key: float(x) for key, x in metrics.items()}, facts
    )
