# SPDX-License-Identifier: Apache-2.0
"""What our own trainers share: plain failures, known parameters, the columns that a model reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.errors import (
    ArgumentError,
    DataError,
    DefinitionError,
    TrainingRetryable,
    TrueupError,
    UnknownName,
)
from trueup.core.protocols import Capabilities, RunContext, TrainJob, TrainResult
from trueup.models import Features, Manifest, read_manifest
from trueup.models.answers import name_of
from trueup.train import code
from trueup.train.rows import path_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Stopped(Exception):
    """The run was asked to stop."""


def plainly(fit: Callable[[], TrainResult]) -> TrainResult:
    """Run a fit; what it raises on purpose becomes a result with a plain reason."""
    try:
        return fit()
    except Stopped:
        return TrainResult("retry", reason="asked to stop before the training was done")
    except TrainingRetryable as error:
        return TrainResult("retry", reason=words(error))
    except TrueupError as error:
        return TrainResult("failed", reason=words(error))


def words(error: TrueupError) -> str:
    """An error on one line, with its cure."""
    return f"{error.message}; cure: {error.cure}" if error.cure else error.message


def check_params(kind: str, params: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise UnknownName with the nearest name for a parameter that does not exist."""
    for name in params:
        if name not in known:
            raise UnknownName(f"parameter of {kind}", str(name), known)


def check_threshold(threshold: float | None) -> None:
    """Raise ArgumentError for a threshold outside [0, 1]."""
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise ArgumentError(f"expected a threshold in [0, 1] or None, got {threshold!r}")


def check_answers(job: TrainJob, can: Capabilities) -> None:
    """Raise ArgumentError where the job's output is not among the trainer's."""
    if job.output not in can.outputs:
        raise ArgumentError(f"expected an output among {', '.join(can.outputs)}, got {job.output!r}")


def check_fields(features: Features, inputs: Sequence[Any]) -> None:
    """Raise UnknownName, with the nearest name, for a field of `features` that no input has."""
    names = {name for item in inputs if isinstance(item, Mapping) for name in item}
    for field in features.fields:
        if field not in names:
            raise UnknownName("field of the inputs", field, names)


def seen(matrix: Any, least: int, always_from: int) -> NDArray[np.int32]:
    """The columns that at least `least` rows have; those from `always_from` on need one row only."""
    rows = np.bincount(matrix.indices, minlength=matrix.shape[1])
    need = np.full(matrix.shape[1], least)
    need[always_from:] = 1
    columns = np.flatnonzero(rows >= need).astype(np.int32)
    if not len(columns):
        raise DataError(
            f"expected at least one feature that {least} rows share, got none",
            cure="name the fields of the input in Features, or bring more rows",
        )
    return columns


def check_start(start: str, every: timedelta | None) -> None:
    """Raise for a start other than scratch and champion, or a rebase_every that does nothing."""
    if start not in ("scratch", "champion"):
        raise ArgumentError(f"expected start scratch or champion, got {start!r}")
    if every is not None and (every <= timedelta(0) or start == "scratch"):
        raise DefinitionError(f"expected rebase_every above 0 beside start='champion', got {every!r} and {start!r}")


def hinders(manifest: Manifest, kind: str, features: Any) -> str | None:
    """Why a model cannot be gone on from, in words; None where it can."""
    if manifest.format != kind:
        return f"another sort of model: the champion is {manifest.format}, the trainer makes {kind}"
    if manifest.features_version != features.version:
        return "other features than the champion's"
    return None


def going_on(job: TrainJob, kind: str, features: Any) -> tuple[Path, Manifest]:
    """The model that the job goes on from; raises DataError where it cannot."""
    assert job.init is not None
    folder = path_of(job.init)
    manifest = read_manifest(folder)
    cure = "train from scratch: new features, labels or another trainer cannot go on from an old model"
    if manifest.format != kind or manifest.answers != job.output:
        raise DataError(
            f"expected a model of the format {kind} for {job.output} to go on from, "
            f"got {manifest.format} for {manifest.answers}", cure=cure,
        )
    if manifest.features_version != features.version:
        raise DataError("expected a model with the same features to go on from, got other features", cure=cure)
    return folder, manifest


def same_labels(job: TrainJob, old: Sequence[Any], new: Sequence[Any]) -> None:
    """Raise DataError where rows carry labels that the model to go on from does not know."""
    if unknown := sorted({name_of(label) for label in new} - {name_of(label) for label in old}):
        raise DataError(
            f"expected only labels that the model to go on from knows, got {unknown[:5]} in {job.loop}",
            cure="train from scratch, so that the new labels get their place",
        )


def step(context: RunContext, done: int, total: int) -> None:
    """Say how far the fit is, and stop where that was asked for."""
    context.report(done, total)
    if context.should_stop():
        raise Stopped


def code_of(trainer: Any) -> str:
    """The digest of the code that makes the model."""
    return code.of(type(trainer))
