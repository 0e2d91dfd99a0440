# SPDX-License-Identifier: Apache-2.0
"""A trained model is asked a few questions before anybody believes that it is one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from trueup.core.errors import ModelError, TrueupError
from trueup.core.json import dumps
from trueup.core.protocols import Prediction, TrainJob
from trueup.models import Manifest, load, read_manifest
from trueup.train.rows import path_of, read

ASKED = 8


def smoke(folder: Path, job: TrainJob, workdir: Path) -> Manifest:
    """The manifest of a model that loads and answers a few training inputs with sense.

    Raises ModelError with what is nonsense: no or a foreign `model.json`, digests that differ, a
    folder outside of the workdir, another sort of answers, a wrong number of them, NaN.
    """
    if not folder.resolve().is_relative_to(workdir.resolve()):
        raise ModelError(f"expected a model folder in the workdir, got {folder}")
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise ModelError(f"expected a model folder without links, got {path.name}")
    manifest = read_manifest(folder)
    if manifest.answers != job.output:
        raise ModelError(f"expected a model that answers {job.output}, got {manifest.answers}")
    inputs = read(job).inputs
    inputs = inputs[:: max(1, len(inputs) // ASKED)][:ASKED]
    try:
        base = None if job.base is None else path_of(job.base)
        answers = load(folder, trust_code=True, base=base).predict(inputs)
    except ModelError:
        raise
    except TrueupError as error:
        raise ModelError(f"expected a model that loads: {error.message}") from None
    except Exception as error:
        raise ModelError(f"expected answers, got {type(error).__name__}: {error}") from error
    if not isinstance(answers, list) or len(answers) != len(inputs):
        raise ModelError(f"expected {len(inputs)} answers, got {answers!r:.80}")
    for answer in answers:
        _sense(answer, manifest)
    return manifest


def _sense(answer: Any, manifest: Manifest) -> None:
    if not isinstance(answer, Prediction):
        raise ModelError(f"expected Predictions, got {answer!r:.80}")
    scores = answer.scores or {}
    if not all(isinstance(x, int | float) and math.isfinite(x) for x in scores.values()):
        raise ModelError(f"expected finite scores, got {dict(scores)!r:.80}")
    kind, item = manifest.answers, answer.value
    if kind == "number":
        fine = isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item)
    elif kind == "text":
        fine = isinstance(item, str)
    elif kind == "label":
        fine = _known(item, manifest)
    else:
        fine = isinstance(item, list | tuple) and all(_known(each, manifest) for each in item)
    if not fine:
        raise ModelError(f"expected answers that are a {kind}, got {item!r:.80}")


def _known(label: Any, manifest: Manifest) -> bool:
    if not isinstance(label, str | int):
        return False
    return not manifest.labels or dumps(label) in {dumps(each) for each in manifest.labels}
