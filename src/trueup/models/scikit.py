# SPDX-License-Identifier: Apache-2.0
"""The format "sklearn": linear scikit-learn estimators in one skops file, of known types only."""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.errors import MissingDependency, ModelError
from trueup.core.json import Json
from trueup.core.protocols import Prediction
from trueup.models.answers import predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueup.models.manifest import Manifest

ESTIMATORS = "estimators.skops"
COLUMNS = "columns.npy"
_LARGEST = 4 * 2**30
# All that our own estimators are made of. Trees are left out on purpose: a tree with forged child
# indices makes scikit-learn read outside of its arrays.
_TRUSTED = frozenset({
    "builtins.bool", "builtins.dict", "builtins.float", "builtins.int", "builtins.list",
    "builtins.NoneType", "builtins.str", "builtins.tuple",
    "numpy.ndarray", "numpy.bool", "numpy.float32", "numpy.float64", "numpy.int32", "numpy.int64",
    "sklearn._loss._loss.CyHalfBinomialLoss", "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.linear_model._ridge.Ridge",
    "sklearn.linear_model._stochastic_gradient.SGDClassifier",
    "sklearn.linear_model._stochastic_gradient.SGDRegressor",
    "sklearn.naive_bayes.MultinomialNB",
})


class Scikit:
    """Answers with estimators: one for all labels, one a label against the rest, or one of numbers."""

    def __init__(
        self, manifest: Manifest, estimators: Sequence[Any], columns: NDArray[np.int32] | None
    ) -> None:
        self.manifest = manifest
        self.estimators = list(estimators)
        self.columns = columns
        self._each = manifest.answers == "labels" or len(self.estimators) > 1
        self._linear = _stacked(self.estimators) if self._each else None

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        if not inputs:
            return []
        matrix = self.manifest.matrix(inputs)
        return predictions(self.manifest, self.numbers(matrix))

    def numbers(self, matrix: Any) -> NDArray[np.float64]:
        """(n, labels) probabilities, or (n, 1) numbers, of a feature matrix."""
        if self.columns is not None:
            matrix = matrix[:, self.columns]
        if self.manifest.answers == "number":
            return np.asarray(self.estimators[0].predict(matrix), dtype=np.float64)[:, None]
        if not self._each:
            return np.asarray(self.estimators[0].predict_proba(matrix), dtype=np.float64)
        found = self._of_each(matrix)
        if self.manifest.answers == "label":
            found = np.maximum(found, 1e-12)
            found /= found.sum(axis=1, keepdims=True)
        return found

    def _of_each(self, matrix: Any) -> NDArray[np.float64]:
        """(n, labels) probabilities of each label against the rest."""
        if self._linear is not None:
            from scipy.special import expit

            weights, intercepts = self._linear
            return np.asarray(expit(matrix @ weights + intercepts), dtype=np.float64)
        return np.column_stack([each.predict_proba(matrix)[:, 1] for each in self.estimators])


def _stacked(estimators: Sequence[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The weights of binary logistic estimators side by side: one product instead of one a label."""
    if not all(hasattr(each, "coef_") for each in estimators):
        return None
    weights = np.ascontiguousarray(np.vstack([each.coef_ for each in estimators]).T)
    return weights, np.concatenate([np.ravel(each.intercept_) for each in estimators])


def save(folder: Path, estimators: Sequence[Any], columns: NDArray[np.int32] | None) -> None:
    """Write estimators, so that equal ones give equal bytes."""
    skops = _skops()
    (folder / ESTIMATORS).write_bytes(_canonical(skops.dumps(list(estimators))))
    if columns is not None:
        np.save(folder / COLUMNS, columns.astype(np.int32), allow_pickle=False)


def load(folder: Path, manifest: Manifest) -> Scikit:
    """The predictor in a folder whose digests were checked; raises ModelError."""
    if manifest.features is None or ESTIMATORS not in manifest.files:
        raise ModelError(f"expected features and {ESTIMATORS} in a model of the format sklearn")
    skops = _skops()
    try:
        _audit(folder / ESTIMATORS)
        estimators = skops.load(folder / ESTIMATORS, trusted=[])
        columns = None
        if COLUMNS in manifest.files:
            columns = np.load(folder / COLUMNS, allow_pickle=False)
        made = Scikit(manifest, estimators, columns)
        _fits(made)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"expected estimators that scikit-learn can read (written with "
            f"{manifest.details.get('sklearn', 'an unknown version')}), "
            f"got {type(error).__name__}: {error}",
            cure="train again, or install the version of scikit-learn that wrote it",
        ) from None
    return made


def _fits(made: Scikit) -> None:
    """Compare the shapes of what was read with what the manifest says."""
    manifest, width = made.manifest, made.manifest.features.columns if made.manifest.features else 0
    if made.columns is not None:
        columns = made.columns
        if columns.ndim != 1 or not np.issubdtype(columns.dtype, np.integer):
            raise ModelError("expected columns as one row of whole numbers")
        if len(columns) and (columns.min() < 0 or columns.max() >= width):
            raise ModelError(f"expected columns below {width}, got {columns.max()}")
        width = len(columns)
    each_label = manifest.answers == "labels" or len(made.estimators) > 1
    many = len(manifest.labels) if each_label and manifest.answers != "number" else 1
    if len(made.estimators) != many:
        raise ModelError(f"expected {many} estimators, got {len(made.estimators)}")
    for each in made.estimators:
        if each.n_features_in_ != width:
            raise ModelError(f"expected estimators of {width} columns, got {each.n_features_in_}")
        classes = 2 if each_label else len(manifest.labels)
        if manifest.answers != "number" and list(each.classes_) != list(range(classes)):
            raise ModelError(f"expected the classes 0 to {classes - 1}, got {list(each.classes_)!r:.80}")


def _audit(path: Path) -> None:
    """Refuse a skops file that names any type but ours, before anything is made of it."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
            raise ModelError(f"expected a model below {_LARGEST} bytes once unpacked")
        schema = json.loads(archive.read("schema.json"))
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__class__" in node:
                name = f"{node.get('__module__')}.{node['__class__']}"
                if name not in _TRUSTED:
                    raise ModelError(
                        f"expected only types of our own estimators, got {name}",
                        cure="a model from elsewhere comes in through its own trainer, never as it is",
                    )
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _canonical(data: bytes) -> bytes:
    """The same archive without what changes from run to run: object ids and times."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    schema = files.pop("schema.json").decode()
    places: dict[str, str] = {}
    for found in re.findall(r'"__id__": (\d+)|"file": "(\d+)\.npy"', schema):
        number = found[0] or found[1]
        places.setdefault(number, str(len(places) + 1))
    schema = re.sub(r'"__id__": (\d+)', lambda m: f'"__id__": {places[m[1]]}', schema)
    schema = re.sub(r'"file": "(\d+)\.npy"', lambda m: f'"file": "{places[m[1]]}.npy"', schema)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(_entry("schema.json"), schema)
        renamed = {f"{places[name.removesuffix('.npy')]}.npy": body for name, body in files.items()}
        for name in sorted(renamed):
            archive.writestr(_entry(name), renamed[name])
    return out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


_WALKED = "sklearn.externals.array_api_compat.torch"


def _skops() -> Any:
    """skops. Its import walks all of scikit-learn, and would so import torch wherever that is
    installed: 200 MB and a second for nothing."""
    walked = "torch" not in sys.modules and sys.modules.setdefault(_WALKED, _NONE) is _NONE
    try:
        import skops.io
    except ImportError:
        raise MissingDependency("skops", "loop") from None
    finally:
        if walked:
            sys.modules.pop(_WALKED, None)
    return skops.io


_NONE = ModuleType(_WALKED)
_NONE.__path__ = []
