# SPDX-License-Identifier: Apache-2.0
"""The process that trains: `python -m trueup.train.worker ORDER.json`, started by `run` only.

It lowers its own priority, dies with the process that started it, and says how far it is as JSON
lines. It leaves `outcome.json` behind: {"status", "reason", "model", "metrics", "facts"}, where
the status is completed, retry, memory, failed or nonsense.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from trueup.core import values
from trueup.core.errors import ModelError, TrainingRetryable, TrueupError
from trueup.core.files import write_whole
from trueup.core.json import dumps, loads
from trueup.core.protocols import Trainer, TrainJob, TrainResult
from trueup.train.fitting import words
from trueup.train.smoke import smoke
from trueup.train.watch import OUTCOME, descendants

_STATUSES = ("completed", "retry", "failed")


class Context:
    """The RunContext of a training in this process."""

    def __init__(self, workdir: Path, pipe: int, checkpoints: Path | None = None, starved: int = 0) -> None:
        self.workdir = workdir
        self.checkpoints = checkpoints or workdir / "checkpoints"
        self.starved = starved
        self._pipe = pipe
        self._stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())

    def report(self, step: int, total: int, **metrics: float) -> None:
        line = dumps({"step": step, "total": total, "metrics": metrics}) + "\n"
        with suppress(OSError):
            os.write(self._pipe, line.encode()[:4096])

    def should_stop(self) -> bool:
        return self._stop.is_set()


def main(path: Path) -> int:
    """Carry out an order; the exit code says nothing that `outcome.json` does not."""
    order = loads(path.read_bytes())
    for pipe in (order["lifeline"], order["progress"]):
        os.set_inheritable(pipe, False)
    threading.Thread(target=_die_with, args=(order["lifeline"],), daemon=True).start()
    with suppress(OSError):
        os.nice(order["nice"])
    workdir = path.parent
    outcome = _outcome(order, workdir)
    write_whole(workdir / OUTCOME, dumps(outcome))
    return 0


def _outcome(order: Mapping[str, Any], workdir: Path) -> dict[str, Any]:
    try:
        job = TrainJob.from_json(order["job"])
        trainer = _trainer(job.trainer, order)
        result: Any = trainer.fit(
            job, Context(workdir, order["progress"], Path(order["checkpoints"]), order["starved"])
        )
        if not isinstance(result, TrainResult) or result.status not in _STATUSES:
            return _said("nonsense", f"expected a TrainResult from the trainer, got {result!r:.80}")
        if result.status != "completed":
            return _said(result.status, result.reason or "the trainer gave no reason")
        if result.model is None:
            return _said("nonsense", "expected a model folder from the trainer, got none")
        smoke(result.model, job, workdir)
        model = result.model.resolve().relative_to(workdir.resolve()).as_posix()
        dumps([dict(result.metrics), dict(result.facts)])
        facts = {**result.facts, "cpu_seconds": round(time.process_time(), 2)}
        return _said("completed", "", model, result.metrics, facts)
    except MemoryError as error:
        return _said("memory", f"out of memory: {error}")
    except TrainingRetryable as error:
        return _said("retry", words(error))
    except (ConnectionError, TimeoutError, socket.gaierror) as error:  # the network was lost
        return _said("retry", f"{type(error).__name__}: {str(error).strip()[:500]}")
    except ModelError as error:
        traceback.print_exc()
        return _said("nonsense", words(error))
    except TrueupError as error:
        return _said("failed", words(error))
    except Exception as error:
        traceback.print_exc()
        return _said("failed", f"{type(error).__name__}: {str(error).strip()[:500]}")


def _said(
    status: str, reason: str, model: str | None = None, metrics: Mapping[str, float] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "status": status, "reason": reason, "model": model, "metrics": dict(metrics or {}),
        "facts": dict(facts or {}),
    }


def _trainer(data: Any, order: Mapping[str, Any]) -> Trainer:
    """The trainer of the job; the module that defines it is imported first, by name or by file."""
    module, file, base = order.get("module"), order.get("file"), order.get("base")
    if module and module not in sys.modules:
        try:
            import_module(module)
        except ImportError:
            if file is None:
                raise
            spec = importlib.util.spec_from_file_location(module, file)
            assert spec is not None
            assert spec.loader is not None
            sys.modules[module] = made = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(made)
    trainer: Trainer = values.from_json(data, Path(base) if base else None)
    return trainer


def _die_with(lifeline: int) -> None:
    """End this process and its children when the other end of the pipe is gone."""
    with suppress(OSError):
        while os.read(lifeline, 64):
            pass
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
