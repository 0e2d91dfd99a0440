# SPDX-License-Identifier: Apache-2.0
"""The format "constant": the same answer to everything, as a first champion or a line to beat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueup.core import values
from trueup.core.errors import ArgumentError, ModelError
from trueup.core.json import Json, dumps
from trueup.core.protocols import Prediction
from trueup.core.task import Answers
from trueup.core.values import value
from trueup.models.manifest import Manifest, write_manifest


@value("model.constant")
class ConstantModel:
    """Answers `answer` to every input, with `scores` where given.

    >>> ConstantModel("Dramas").predict(["a film", "another"])[1].value
    'Dramas'
    """

    answer: Any
    scores: Any = None

    def __post_init__(self) -> None:
        scores = {} if self.scores is None else self.scores
        if any(not isinstance(x, int | float) or not math.isfinite(x) for x in dict(scores).values()):
            raise ArgumentError(f"expected finite scores by label, got {self.scores!r:.80}")
        dumps(values.to_json(self.answer))

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        answer = values.to_json(self.answer)
        scores = None if self.scores is None else {str(k): float(v) for k, v in self.scores.items()}
        return [Prediction(answer, scores) for _ in inputs]

    def write(self, folder: Path, answers: Answers) -> Manifest:
        """Write a model folder."""
        folder.mkdir(parents=True, exist_ok=True)
        answer = values.to_json(self.answer)
        labels = answer if answers == "labels" else [answer] if answers == "label" else []
        details = {"answer": answer, "scores": values.to_json(self.scores)}
        return write_manifest(folder, format="constant", answers=answers, labels=labels, details=details)


def load(folder: Path, manifest: Manifest) -> ConstantModel:  # noqa: ARG001
    """The predictor; raises ModelError."""
    try:
        return ConstantModel(manifest.details["answer"], manifest.details.get("scores"))
    except (KeyError, TypeError, ValueError, AttributeError, ArgumentError) as error:
        raise ModelError(f"expected an answer and scores in the details: {error}") from None
