# SPDX-License-Identifier: Apache-2.0
"""The format "causal": a whole causal language model of transformers, with its tokenizer.

Nothing in a folder runs: weights are safetensors, `trust_remote_code` is never on, and how an
answer is generated is said here, not by the folder's own generation settings: of these only the tokens
that end an answer count.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trueup.core import values
from trueup.core.errors import DataError, MissingDependency, ModelError
from trueup.core.json import Json, loads
from trueup.core.protocols import Prediction
from trueup.models.manifest import Manifest, write_manifest
from trueup.models.prompts import Asked, Prompt, prompt_from

if TYPE_CHECKING:
    import torch

FORMAT = "causal"
BATCH = 32
SMALL = 50_000_000
"""Parameters below which more threads than one only spin."""

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass
class Opened:
    """A model and its tokenizer in memory, with the lock that whoever generates with it holds."""

    model: Any
    tokenizer: Any
    ends: tuple[int, ...]
    places: int
    lock: threading.RLock = field(default_factory=threading.RLock)

    def asked(self, prompt: Prompt) -> Asked:
        """The prompt on this model's tokenizer."""
        return Asked(prompt, self.tokenizer, self.ends, self.model.get_input_embeddings().weight.shape[0])

    def room(self, prompt: Prompt) -> int:
        """The tokens that a question may have beside its answer; raises ModelError where there are none."""
        most = min(prompt.max_length, self.places)
        if prompt.max_new_tokens >= most:
            raise _no_room(prompt, most)
        return most - prompt.max_new_tokens


def device() -> torch.device:
    """Where to compute: the first GPU, or else the processor."""
    import torch

    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def dtype_of(precision: Precision) -> torch.dtype:
    """bfloat16 where it is asked for, or where a GPU does it natively; else float32."""
    import torch

    if precision == "auto":
        good = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if good else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def open_folder(folder: Path, *, dtype: torch.dtype | None = None) -> Opened:
    """The model and tokenizer in a folder of data; raises ModelError for what transformers refuses."""
    _needed()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, dtype=dtype or dtype_of("auto"), **safe
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
    except Exception as error:  # transformers raises many kinds for a folder that is no model
        raise ModelError(
            f"expected a causal language model with its tokenizer, got {type(error).__name__}: {str(error).strip()[:300]}"
        ) from None
    model = model.to(device()).eval()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads_for(sum(one.numel() for one in model.parameters())))
    places = int(getattr(model.config, "max_position_embeddings", None) or 2**31)
    return Opened(model, tokenizer, _ends(model, tokenizer), places)


def _no_room(prompt: Prompt, most: int) -> ModelError:
    return ModelError(
        f"expected a place for the question beside {prompt.max_new_tokens} new tokens, got none in {most}",
        cure="give the model a Prompt with fewer max_new_tokens",
    )


def problems(folder: Path, prompt: Prompt) -> list[str]:
    """Why the model in a folder could not be trained or asked with this prompt, read from its JSON alone.

    An answer that leaves no place for the question; tokens of the tokenizer that the model has no
    embeddings for. Nothing is said of files that are missing or no JSON: opening them tells.
    """
    config, tokenizer = _json_of(folder / "config.json"), _json_of(folder / "tokenizer.json")
    config = {**config, **(config.get("text_config") or {})}
    found = []
    places = next((config[name] for name in ("max_position_embeddings", "n_positions", "max_seq_len") if isinstance(config.get(name), int)), None)
    most = prompt.max_length if places is None else min(prompt.max_length, places)
    if prompt.max_new_tokens >= most:
        found.append(str(_no_room(prompt, most)))
    known = config.get("vocab_size")
    added = tokenizer.get("added_tokens") or []
    if isinstance(known, int):
        beyond = [one["content"] for one in added if isinstance(one.get("id"), int) and one["id"] >= known and not one.get("special")]
        if beyond:
            found.append(
                f"expected embeddings for all tokens of the tokenizer, got none for {', '.join(map(repr, beyond[:3]))}: call "
                "model.resize_token_embeddings(len(tokenizer)), and save both again"
            )
    return found


def _json_of(path: Path) -> dict[str, Any]:
    try:
        found = loads(path.read_bytes())
    except (OSError, DataError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _own_settings(model: Any) -> Iterator[None]:
    """Generate as though the folder had no settings: where ours say nothing, transformers fills in its own
    defaults, and not the folder's. They are put back, so that they are saved with the model."""
    from transformers import GenerationConfig

    folders = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = folders


def threads_for(parameters: int) -> int:
    """Threads for a model of this size: one for a small one, else the cores that this process may use."""
    return 1 if parameters < SMALL else max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)


def _ends(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end an answer, the tokenizer's own first."""
    said = [tokenizer.eos_token_id]
    for config in (getattr(model, "generation_config", None), model.config):
        more = getattr(config, "eos_token_id", None)
        said += more if isinstance(more, list) else [more]
    found = tuple(dict.fromkeys(one for one in said if isinstance(one, int)))
    if not found:
        raise ModelError(
            "expected a token that ends an answer, got none in the tokenizer and the configuration",
            cure="set tokenizer.eos_token, and save the tokenizer again",
        )
    return found


class Causal:
    """Answers with text: greedy, in batches of questions of like length."""

    def __init__(self, opened: Opened, prompt: Prompt) -> None:
        self.opened, self.prompt = opened, prompt

    def predict(self, inputs: Sequence[Json]) -> list[Prediction]:
        if not inputs:
            return []
        asked = self.opened.asked(self.prompt)
        questions = asked.questions(list(inputs))
        room = self.opened.room(self.prompt)
        questions = [ids[-room:] for ids in questions]
        order = sorted(range(len(questions)), key=lambda at: len(questions[at]))
        answers: list[str] = [""] * len(questions)
        with self.opened.lock, self._active():
            for start in range(0, len(order), BATCH):
                places = order[start : start + BATCH]
                for at, text in zip(places, self._answer([questions[at] for at in places]), strict=True):
                    answers[at] = text
        return [Prediction(text) for text in answers]

    def _active(self) -> AbstractContextManager[Any]:
        """What must hold while this model generates."""
        return nullcontext()

    def _answer(self, questions: list[list[int]]) -> list[str]:
        import torch
        from transformers import GenerationConfig

        opened = self.opened
        width = max(len(ids) for ids in questions)
        pad = opened.ends[0]
        ids = torch.full((len(questions), width), pad, dtype=torch.long)
        mask = torch.zeros((len(questions), width), dtype=torch.long)
        for row, one in enumerate(questions):
            ids[row, width - len(one) :] = torch.tensor(one, dtype=torch.long)
            mask[row, width - len(one) :] = 1
        settings = GenerationConfig(
            do_sample=False, num_beams=1, max_new_tokens=self.prompt.max_new_tokens, use_cache=True,
            eos_token_id=list(opened.ends), pad_token_id=pad,
        )
        where = opened.model.device
        with torch.inference_mode(), _own_settings(opened.model):
            made = opened.model.generate(
                input_ids=ids.to(where), attention_mask=mask.to(where), generation_config=settings
            )
        texts: list[str] = opened.tokenizer.batch_decode(made[:, width:].tolist(), skip_special_tokens=True)
        return [text.strip() for text in texts]


def save(folder: Path, model: Any, tokenizer: Any, prompt: Prompt, code: str = "", **details: Any) -> Manifest:
    """Write a whole model folder, as safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return describe(folder, prompt, code, **details)


def describe(folder: Path, prompt: Prompt, code: str = "", **details: Any) -> Manifest:
    """Write the manifest over a folder's files."""
    return write_manifest(
        folder, format=FORMAT, answers="text", code=code, details={"prompt": values.to_json(prompt), **details}
    )


def load(folder: Path, manifest: Manifest) -> Causal:
    """The predictor in a folder whose digests were checked; models of one digest share their memory."""
    from trueup.models.bases import shared

    prompt = prompt_from(manifest.details.get("prompt"))
    if manifest.answers != "text":
        raise ModelError(f"expected a language model that answers text, got {manifest.answers}")
    return shared(folder, manifest).plain(prompt)


@cache
def _needed() -> None:
    from importlib.util import find_spec

    for package in ("torch", "transformers", "safetensors"):
        if find_spec(package) is None:
            raise MissingDependency(package, "lora")
