# SPDX-License-Identifier: Apache-2.0
"""Encoders: texts become vectors by a transformer on this machine, as sentence-transformers stores it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trueup.core.errors import ArgumentError, DataError, MissingDependency, ModelError
from trueup.core.json import digest
from trueup.core.values import value
from trueup.models.manifest import file_sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

Pooling = Literal["mean", "cls"]
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


@value("embedder.encoder")
class Encoder:
    """A BERT-style encoder in a folder, or a name on the model hub: one vector a text.

    A folder of sentence-transformers brings its pooling, its normalisation and its longest text; a
    plain transformers folder is pooled by the mean over tokens and normalised. Weights are read
    from safetensors only, and no code of the folder runs. `embed` gives (n, d) float32.

    Parameters:
        model: the folder, or a hub name (fetched by transformers where it may).
        batch: texts at a time, at least 1; they are sorted by length first.
        tokens: longest text in tokens (None: what the model says).
        threads: of torch, at least 1: more than the idle cores cost many times one.

    Source: Reimers and Gurevych, EMNLP 2019.
    """

    model: Path | str
    batch: int = 32
    tokens: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("batch", "threads"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"expected {name} of at least 1, got {getattr(self, name)!r}")
        if self.tokens is not None and self.tokens < 2:
            raise ArgumentError(f"expected at least 2 tokens, got {self.tokens!r}")

    @property
    def name(self) -> str:
        """What lineage records: another digest, other numbers."""
        return f"encoder-{Path(self.model).name}-{version(self.model)[:12]}"

    def embed(self, texts: Sequence[str]) -> Rows:
        """An array (n, d) of float32 for n texts; raises DataError for what is no text."""
        for at, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"expected a text in row {at}, got {text!r:.80}")
        run, dimension = _loaded(str(self.model), self.tokens)
        found = np.zeros((len(texts), dimension), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        with _threads(self.threads):
            for start in range(0, len(order), self.batch):
                places = order[start : start + self.batch]
                found[places] = run([texts[at] for at in places])
        return found


def version(model: Path | str) -> str:
    """SHA-256 over the files of a model's folder; of its name where it is no folder."""
    folder = Path(model)
    if not folder.is_dir():
        return digest(str(model))
    return digest([
        [path.relative_to(folder).as_posix(), file_sha256(path)]
        for path in sorted(folder.rglob("*")) if path.suffix in {".json", ".safetensors", ".txt", ".model"}
    ])


@lru_cache(maxsize=2)
def _loaded(model: str, tokens: int | None) -> tuple[Callable[[list[str]], Rows], int]:
    """A function from texts to vectors, and their dimension."""
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ModuleNotFoundError as error:
        raise MissingDependency(error.name or "transformers", "encoder") from None
    pooling, normalise, longest = _settings(Path(model))
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        network = AutoModel.from_pretrained(
            model, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        ).eval()
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"expected an encoder of transformers in {model}: {error}",
            cure="name a folder with config.json, a tokenizer and model.safetensors",
        ) from None
    positions = getattr(network.config, "max_position_embeddings", None)
    length = min(one for one in (tokens, longest, positions, 512) if one)

    def run(texts: list[str]) -> Rows:
        with torch.inference_mode():
            given = tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt")
            states = network(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled = states[:, 0] if pooling == "cls" else (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            made = torch.nn.functional.normalize(pooled, dim=1) if normalise else pooled
            rows: Rows = made.numpy()
            return rows

    return run, int(network.config.hidden_size)


def _settings(folder: Path) -> tuple[Pooling, bool, int | None]:
    """Pooling, whether vectors are normalised, and the longest text, as sentence-transformers says."""
    modules = _read(folder / "modules.json")
    if modules is None:
        return "mean", True, None
    kinds = {str(one.get("type", "")).rpartition(".")[2]: str(one.get("path", "")) for one in modules}
    pooling: Any = "mean"
    if "Pooling" in kinds:
        said = _read(folder / kinds["Pooling"] / "config.json") or {}
        chosen = [name for key, name in _POOLINGS.items() if said.get(key)] or [said.get("pooling_mode", "mean")]
        pooling = chosen[0]
    unknown = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if unknown or pooling not in ("mean", "cls"):
        raise ModelError(
            f"expected a transformer, a pooling by mean or cls, and a normalisation in {folder}, "
            f"got {', '.join(sorted(unknown)) or pooling}",
        )
    longest = (_read(folder / "sentence_bert_config.json") or {}).get("max_seq_length")
    return pooling, "Normalize" in kinds, longest


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError:
        return None
    except ValueError as error:
        raise ModelError(f"expected JSON in {path}: {error}") from None


class _threads:
    """torch's threads for a while: as many as were asked for, then as before."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __enter__(self) -> None:
        import torch

        self._before = torch.get_num_threads()
        torch.set_num_threads(self._threads)

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_num_threads(self._before)
