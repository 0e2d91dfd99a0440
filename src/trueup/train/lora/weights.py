# SPDX-License-Identifier: Apache-2.0
"""The weights that are trained: opened, started anew or from an older model, and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core import values
from trueup.core.errors import DataError, ModelError
from trueup.core.protocols import TrainJob
from trueup.core.references import Ref
from trueup.models import Manifest, Prompt, adapter, causal, read_manifest
from trueup.models.prompts import prompt_from
from trueup.train.fitting import code_of
from trueup.train.rows import path_of

if TYPE_CHECKING:
    import torch

    from trueup.train.lora.config import Lora

_OWN, _OLD = "default", "old"
_CURE = "train from scratch: another base, prompt, rank or set of modules cannot go on from an old adapter"


@dataclass
class Weights:
    """A model in memory with the parameters that are trained, by name.

    `base` and `tree` are the digests of the base's manifest and folder; `peft` is None where all
    weights are trained, `old` the frozen adapter beside the new one.
    """

    opened: causal.Opened
    prompt: Prompt
    base: str
    tree: str
    trained: dict[str, torch.nn.Parameter]
    peft: Any = None
    old: tuple[dict[str, Any], dict[str, Any]] | None = None


def opened(trainer: Lora, job: TrainJob) -> Weights:
    """The model to train: its base, whose digests are checked, and where the job goes on, its start."""
    ref, manifest = _base(job)
    init = None if job.init is None else read_manifest(path_of(job.init))
    root = read_manifest(path_of(job.base)) if job.base is not None else manifest
    prompt = trainer.prompt or prompt_from(root.details.get("prompt"))
    whole = trainer.full
    found = causal.open_folder(path_of(ref), dtype=None if not whole else _float32())
    if not whole and trainer.precision != "auto":
        found.model.to(causal.dtype_of(trainer.precision))
    kept = trainer.full or trainer.merge  # a whole model remembers the base that its lineage began with
    tree = job.base if kept and job.base is not None else ref
    made = Weights(found, prompt, (root if kept else manifest).digest(), tree.sha256, {})
    if whole:
        found.model.requires_grad_(True)
        made.trained = dict(found.model.named_parameters())
    else:
        with adapter.quiet():
            _adapt(made, trainer, job, init, manifest.digest())
    if trainer.checkpointing:
        with adapter.quiet():
            found.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return made


def _float32() -> Any:
    import torch

    return torch.float32


def _base(job: TrainJob) -> tuple[Ref, Manifest]:
    """The folder whose weights are the start: the model to go on from where it is a whole one."""
    init = None if job.init is None else read_manifest(path_of(job.init))
    ref = job.init if init is not None and init.format == causal.FORMAT else job.base
    if ref is None:
        raise DataError(
            "expected a base model to train an adapter on, got none",
            cure="write Lora(LocalModel(folder)), or give the loop a language model as champion",
        )
    manifest = read_manifest(path_of(ref))
    if manifest.format != causal.FORMAT:
        raise DataError(f"expected a whole language model as base, got the format {manifest.format}", cure=_CURE)
    return ref, manifest


def _adapt(made: Weights, trainer: Lora, job: TrainJob, init: Manifest | None, base: str) -> None:
    """Put the adapter on the base: a new one, the older one, or a new one beside the older one."""
    from peft import PeftModel, set_peft_model_state_dict

    targets = trainer.targets if isinstance(trainer.targets, str) else list(trainer.targets)
    sizes: dict[str, Any] = {"r": trainer.r, "lora_alpha": trainer.alpha, "target_modules": targets}
    config = adapter.lora_config(sizes, lora_dropout=trainer.dropout)
    try:
        made.peft = PeftModel(made.opened.model, config, adapter_name=_OWN)
    except ValueError as error:
        raise DataError(f"expected targets that the model has, got {str(error).strip()[:300]}") from None
    if init is not None and init.format == adapter.FORMAT and job.init is not None:
        if adapter.base_of(init)[0] != base:
            raise DataError("expected an adapter of the same base to go on from, got one of another base", cure=_CURE)
        tensors, old = adapter.tensors_of(path_of(job.init)), adapter.sizes_of(path_of(job.init))
        if trainer.stack:
            made.peft.add_adapter(_OLD, adapter.lora_config(old, lora_dropout=0.0))
            made.peft.base_model.set_adapter([_OLD, _OWN])
            made.old = (old, tensors)
        name = _OLD if trainer.stack else _OWN
        _fill(set_peft_model_state_dict, made.peft, tensors, name)
    for key, parameter in made.peft.named_parameters():
        parameter.requires_grad_(f".{_OWN}." in key)
    made.trained = {key: one for key, one in made.peft.named_parameters() if one.requires_grad}


def _fill(put: Any, model: Any, tensors: dict[str, Any], name: str) -> None:
    try:
        wrong = put(model, tensors, adapter_name=name).unexpected_keys
    except RuntimeError as error:
        raise DataError(f"expected an adapter of the same shape to go on from, got {str(error)[:200]}", cure=_CURE) from None
    places = sum(f".{name}." in key for key, _ in model.named_parameters())
    if wrong or places != len(tensors):
        raise DataError(
            f"expected an adapter of the same modules to go on from, got {len(tensors)} tensors for {places} places",
            cure=_CURE,
        )


def save(made: Weights, folder: Path, trainer: Lora) -> Manifest:
    """Write the trained model: an adapter that names its base, or a whole model."""
    code = code_of(trainer)
    model = made.opened.model
    if made.peft is None or trainer.merge:
        if made.peft is not None:
            with adapter.quiet():
                model = made.peft.merge_and_unload()
        model = model.to(causal.dtype_of(trainer.precision))
        return causal.save(folder, model, made.opened.tokenizer, made.prompt, code, base=made.base, base_tree=made.tree)
    from peft import get_peft_model_state_dict

    tensors = get_peft_model_state_dict(made.peft, adapter_name=_OWN)
    config = made.peft.peft_config[_OWN]
    sizes: dict[str, Any] = {"r": trainer.r, "lora_alpha": trainer.alpha, "target_modules": sorted(config.target_modules)}
    if made.old is not None:
        sizes, tensors = stacked(made.old, (sizes, tensors))
    return adapter.save(
        folder, sizes, tensors, made.prompt, base=made.base, tree=made.tree, code=code,
        lora={"r": sizes["r"], "alpha": float(sizes["lora_alpha"]), "targets": values.to_json(trainer.shape()["targets"])},
    )


def stacked(
    old: tuple[Mapping[str, Any], Mapping[str, Any]], new: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two adapters as one whose rank is their sum: exactly the sum of what they add to the weights.

    With `s = alpha / r` an adapter adds ``s B A``; the sum of two is ``s2 [s1/s2 B1, B2] [A1; A2]``.
    """
    import torch

    (first, a), (second, b) = old, new
    if set(a) != set(b):
        raise ModelError("expected two adapters of the same modules to stack, got different ones")
    scale1, scale2 = (float(one["lora_alpha"]) / one["r"] for one in (first, second))
    made = {}
    for name in a:
        left, right = a[name].to(b[name]), b[name]
        if ".lora_B." in name:
            made[name] = torch.cat([left * (scale1 / scale2), right], dim=1)
        else:
            made[name] = torch.cat([left, right], dim=0)
    r = int(first["r"]) + int(second["r"])
    return {**second, "r": r, "lora_alpha": scale2 * r}, made
