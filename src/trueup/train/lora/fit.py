# SPDX-License-Identifier: Apache-2.0
"""A training job of a language model, from its rows to a model folder."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core import values
from trueup.core.errors import DataError
from trueup.core.json import digest
from trueup.core.protocols import RunContext, TrainJob, TrainResult
from trueup.models import causal
from trueup.train import fitting
from trueup.train.lora import checkpoints, weights
from trueup.train.lora.data import examples
from trueup.train.lora.loop import Training, out_of_memory, padded
from trueup.train.rows import read

if TYPE_CHECKING:
    from trueup.train.lora.config import Lora


def fit(trainer: Lora, job: TrainJob, context: RunContext) -> TrainResult:
    """Train within the context: from the newest checkpoint of the same job, where there is one.

    Raises MemoryError where memory runs out, whatever torch calls it, and fewer rows are no help.
    """
    try:
        return _fit(trainer, job, context)
    except RuntimeError as error:
        if out_of_memory(error):
            raise MemoryError(f"{type(error).__name__}: {str(error).strip()[:300]}") from error
        raise


def _fit(trainer: Lora, job: TrainJob, context: RunContext) -> TrainResult:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    began = time.process_time()
    fitting.check_answers(job, trainer.capabilities)
    torch.set_num_threads(trainer.threads)
    rows = read(job)
    torch.manual_seed(job.seed)
    made = weights.opened(trainer, job)
    torch.set_num_threads(trainer.threads)
    room = made.opened.room(made.prompt) + made.prompt.max_new_tokens
    found = examples(rows, made.opened.asked(made.prompt), room)
    bfloat16 = causal.dtype_of(trainer.precision) == torch.bfloat16
    training = Training(
        trainer, made.opened.model, made.trained, found, job.seed,
        starved=getattr(context, "starved", 0), bfloat16=bfloat16,
    )
    mark = _mark(trainer, job, made)
    folder: Path = getattr(context, "checkpoints", context.workdir / "checkpoints")
    resumed = _resume(training, folder, mark)

    def write(state: Training) -> None:
        tensors, said = state.state()
        checkpoints.write(folder, state.step, tensors, {**said, "mark": mark})

    opened = time.process_time()
    if not training.run(context, write):
        raise fitting.Stopped
    cpu = {"open": round(opened - began, 2), "steps": round(time.process_time() - opened, 2)}
    loss = float(training.loss_sum) / training.steps
    if not math.isfinite(loss):
        raise DataError(
            f"expected a loss that is a number, got {loss}",
            cure="lower the learning_rate, or clip the gradients",
        )
    model = context.workdir / "model"
    weights.save(made, model, trainer)
    return TrainResult("completed", model, {"loss": loss, "rows": float(len(found))}, {**_facts(training, made, resumed, bfloat16), "cpu": cpu})


def _mark(trainer: Lora, job: TrainJob, made: weights.Weights) -> str:
    """What a checkpoint must have been made from, to be gone on from."""
    import torch

    return digest({
        "trainer": values.to_json(trainer), "data": job.data.sha256, "seed": job.seed, "base": made.base,
        "init": job.init.sha256 if job.init else None, "torch": torch.__version__,
        "device": made.opened.model.device.type, "code": fitting.code_of(trainer),
    })


def _resume(training: Training, folder: Path, mark: str) -> int | None:
    """Go on from the newest whole checkpoint; its step, or None."""
    found = checkpoints.newest(folder, mark)
    if found is None:
        return None
    training.take_up(*found)
    return training.step


def _facts(training: Training, made: weights.Weights, resumed: int | None, bfloat16: bool) -> dict[str, Any]:
    from importlib.metadata import version

    tokens = list(padded(training))
    wide, real = sum(one for one, _ in tokens), sum(one for _, one in tokens)
    return {
        "rows": len(training.found), "steps": training.steps, "tokens": real, "padding": round(wide / real, 4),
        "effective_batch": training.whole, "rows_at_a_time": training.micro,
        "halved": training.micro < training.trainer.batch, "out_of_memory": training.short,
        "cut": training.found.cut, "resumed": resumed,
        "base": made.base, "base_tree": made.tree,
        "trained": sum(one.numel() for one in made.trained.values()),
        "parameters": sum(one.numel() for one in made.opened.model.parameters()),
        "device": training.device.type, "bfloat16": bfloat16, "threads": training.trainer.threads,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
    }
