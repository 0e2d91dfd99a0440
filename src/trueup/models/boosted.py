# SPDX-License-Identifier: Apache-2.0
"""The format "xgboost": a booster in XGBoost's own UBJSON file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.errors import MissingDependency, ModelError
from trueup.core.json import Json
from trueup.core.protocols import Prediction
from trueup.models.answers import predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueup.models.manifest import Manifest

BOOSTER = "booster.ubj"
COLUMNS = "columns.npy"


class Boosted:
    """Answers with a booster: probabilities of the labels, or a number."""

    def __init__(self, manifest: Manifest, booster: Any, columns: NDArray[np.int32]) -> None:
        self.manifest = manifest
        self.booster = booster
        self.columns = columns

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        if not inputs:
            return []
        matrix = self.manifest.matrix(inputs)[:, self.columns]
        return predictions(self.manifest, self.numbers(matrix))

    def numbers(self, matrix: Any) -> NDArray[np.float64]:
        """(n, labels) probabilities, or (n, 1) numbers, of the model's own columns."""
        found = np.asarray(self.booster.inplace_predict(matrix), dtype=np.float64)
        found = found.reshape(matrix.shape[0], -1)
        if self.manifest.answers == "label" and len(self.manifest.labels) == 2:
            return np.column_stack([1.0 - found[:, 0], found[:, 0]])
        return found


def save(folder: Path, booster: Any, columns: NDArray[np.int32]) -> None:
    """Write a booster and the columns that it reads."""
    booster.save_model(folder / BOOSTER)
    np.save(folder / COLUMNS, columns.astype(np.int32), allow_pickle=False)


def load(folder: Path, manifest: Manifest) -> Boosted:
    """The predictor in a folder whose digests were checked; raises ModelError."""
    if manifest.features is None or not {BOOSTER, COLUMNS} <= manifest.files.keys():
        raise ModelError(f"expected features, {BOOSTER} and {COLUMNS} in a model of the format xgboost")
    library = xgboost()
    try:
        booster = library.Booster({"nthread": 1})
        booster.load_model(folder / BOOSTER)
        columns = np.load(folder / COLUMNS, allow_pickle=False)
        width = manifest.features.columns
        if columns.ndim != 1 or not np.issubdtype(columns.dtype, np.integer):
            raise ModelError("expected columns as one row of whole numbers")
        if len(columns) and (columns.min() < 0 or columns.max() >= width):
            raise ModelError(f"expected columns below {width}, got {columns.max()}")
        if booster.num_features() != len(columns):
            raise ModelError(f"expected a booster of {len(columns)} columns, got {booster.num_features()}")
    except ModelError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ModelError(
            f"expected a booster that XGBoost can read, got {type(error).__name__}: {first:.200}",
            cure="train again: the model is broken",
        ) from None
    return Boosted(manifest, booster, columns)


def xgboost() -> Any:
    """The library; raises MissingDependency with its cure."""
    try:
        import xgboost as library
    except ImportError:
        raise MissingDependency("xgboost", "classic") from None
    return library
