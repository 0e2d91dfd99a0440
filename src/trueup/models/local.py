# SPDX-License-Identifier: Apache-2.0
"""Loading: a model folder becomes a Predictor, once its digests are checked."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from trueup.core.errors import ModelError, Refused, UnknownName
from trueup.core.json import Json
from trueup.core.protocols import Prediction, Predictor
from trueup.core.task import Answers
from trueup.core.values import value
from trueup.models.manifest import NAME, Manifest, read_manifest

# Each module has `load(folder, manifest) -> Predictor`, and is imported when it is needed.
_FORMATS = {
    "sklearn": "trueup.models.scikit",
    "xgboost": "trueup.models.boosted",
    "constant": "trueup.models.constant",
    "function": "trueup.models.function",
    "command": "trueup.models.process",
}
_CODE = frozenset({"function", "command"})


def load(folder: Path | str, *, trust_code: bool = False) -> Predictor:
    """The predictor in a model folder. Nothing is unpickled.

    The formats "function" and "command" run code that the folder names: they are refused unless
    `trust_code` is True, as it may be where the loop file is trusted as well.

    Raises ModelError for a folder without a valid `model.json`, a file whose digest differs, or
    features of another version; UnknownName for an unknown format; Refused for untrusted code.
    """
    folder = Path(folder).resolve()
    manifest = read_manifest(folder)
    if manifest.format not in _FORMATS:
        raise UnknownName("model format", manifest.format, _FORMATS)
    if manifest.format in _CODE and not trust_code:
        raise Refused(
            f"expected a model that is data, got the format {manifest.format!r}, which runs code",
            cure="load it with trust_code=True if you trust where it came from",
        )
    if manifest.features is not None and manifest.features_version != manifest.features.version:
        raise ModelError(
            "expected features of the version that the model was trained with "
            f"({str(manifest.features_version)[:16]}...), got {manifest.features.version[:16]}...",
            cure="train again, or install the version of trueup that trained it",
        )
    made: Predictor = import_module(_FORMATS[manifest.format]).load(folder, manifest)
    return made


@value("model.local")
class LocalModel:
    """A model folder on this machine, as a loop's champion.

    It reads the folder at each call of `predict`; keep `load(model.path)` where many are asked.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        return load(self.path).predict(inputs)

    def write(self, folder: Path, answers: Answers) -> Manifest:
        """Copy the files that the manifest names; raises ModelError where the answers differ."""
        manifest = read_manifest(self.path)
        if manifest.answers != answers:
            raise ModelError(f"expected a model that answers {answers}, got {manifest.answers} in {self.path}")
        for name in (NAME, *manifest.files):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.path / name, folder / name)
        return read_manifest(folder)
