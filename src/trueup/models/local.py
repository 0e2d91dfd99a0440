# SPDX-License-Identifier: Apache-2.0
"""Loading: a model folder becomes a Predictor, once its digests are checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from trueup.core.errors import ModelError, Refused, UnknownName
from trueup.core.json import Json
from trueup.core.protocols import Prediction, Predictor
from trueup.core.task import Answers
from trueup.core.values import resolve, value
from trueup.models.hub import fetched, is_hub_id, model_files
from trueup.models.manifest import NAME, Manifest, read_manifest
from trueup.models.prompts import Prompt

# Each module has `load(folder, manifest) -> Predictor`, and is imported when it is needed.
_FORMATS = {
    "sklearn": "trueup.models.scikit",
    "xgboost": "trueup.models.boosted",
    "constant": "trueup.models.constant",
    "function": "trueup.models.function",
    "command": "trueup.models.process",
    "causal": "trueup.models.causal",
    "adapter": "trueup.models.adapter",
}
_CODE = frozenset({"function", "command"})


def load(folder: Path | str, *, trust_code: bool = False, base: Path | str | None = None) -> Predictor:
    """The predictor in a model folder. Nothing is unpickled.

    The formats "function" and "command", and one of a trainer's own (`module:function`, a function
    of the folder and its manifest that gives a Predictor), run code that the folder names: they are
    refused unless `trust_code` is True, as it may be where the loop file is trusted as well. An adapter finds its
    base among the artifacts that it lies in itself; elsewhere `base` says the base's folder.

    Raises ModelError for a folder without a valid `model.json`, a file whose digest differs,
    features of another version, or an adapter without its own base; UnknownName for an unknown
    format; Refused for untrusted code.
    """
    folder = Path(folder).resolve()
    manifest = read_manifest(folder)
    own = ":" in manifest.format
    if not own and manifest.format not in _FORMATS:
        raise UnknownName("model format", manifest.format, _FORMATS)
    if (own or manifest.format in _CODE) and not trust_code:
        raise Refused(
            f"expected a model that is data, got the format {manifest.format!r}, which runs code",
            cure="load it with trust_code=True if you trust where it came from",
        )
    if manifest.features is not None and manifest.features_at is None:
        raise ModelError(
            "expected features of the version that the model was trained with "
            f"({str(manifest.features_version)[:16]}...), got {manifest.features.version[:16]}...",
            cure="train again, or install the version of trueup that trained it",
        )
    read = resolve(manifest.format) if own else import_module(_FORMATS[manifest.format]).load
    more = {} if manifest.format != "adapter" or base is None else {"base": Path(base).resolve()}
    made: Predictor = read(folder, manifest, **more)
    return made


@value("model.local")
class LocalModel:
    """A model on this machine, as a loop's champion: `path` is a model folder of ours, the folder of
    a causal language model of transformers (safetensors and a tokenizer), or the id of such a model
    on the hub (`owner/name`, at `revision`).

    `prompt` says how a language model is asked (None: by its own chat template, see Prompt). It
    reads the folder at each call of `predict`; keep `load(model.path)` where many are asked.
    """

    path: Path | str
    prompt: Prompt | None = None
    revision: str | None = None

    def __post_init__(self) -> None:
        if not is_hub_id(self.path):
            object.__setattr__(self, "path", Path(self.path))

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        folder = self.folder()
        if (folder / NAME).is_file() and self.prompt is None:
            return load(folder).predict(inputs)
        with tempfile.TemporaryDirectory() as copy:
            self.write(Path(copy), "text")
            return load(copy).predict(inputs)

    def problems(self, prompt: Prompt | None = None) -> list[str]:
        """Why it could not be trained or asked, with `prompt` or its own, as far as its files on this machine
        tell without being opened; for a model of the hub, nothing."""
        from trueup.models.causal import problems

        if isinstance(self.path, str) or (self.path / NAME).is_file():
            return []
        return problems(self.path, prompt or self.prompt or Prompt())

    def folder(self) -> Path:
        """Where the files lie; a model of the hub is downloaded once, into the hub's cache."""
        return fetched(self.path, self.revision) if isinstance(self.path, str) else self.path

    def write(self, folder: Path, answers: Answers) -> Manifest:
        """Copy the files that the manifest names; raises ModelError where the answers differ."""
        own = self.folder()
        if not (own / NAME).is_file():
            return self._write_causal(own, folder, answers)
        manifest = read_manifest(own)
        if manifest.answers != answers:
            raise ModelError(f"expected a model that answers {answers}, got {manifest.answers} in {own}")
        for name in (NAME, *manifest.files):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(own / name, folder / name)
        if self.prompt is not None and manifest.format == "causal":
            from trueup.models.causal import describe

            return describe(folder, self.prompt, manifest.code)
        return read_manifest(folder)

    def _write_causal(self, own: Path, folder: Path, answers: Answers) -> Manifest:
        from trueup.models.causal import describe

        if answers != "text":
            raise ModelError(f"expected a model that answers {answers}, got a language model in {own}")
        files = model_files(own)
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            shutil.copyfile(path, folder / path.name)
        return describe(folder, self.prompt or Prompt())
