# SPDX-License-Identifier: Apache-2.0
"""The format "adapter": a LoRA on a frozen base, which the manifest names by its digest.

`adapter_config.json` and `adapter_model.safetensors` are those of peft, so that other servers read
them; of the configuration only the sizes are believed here, since some of its keys name code.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trueup.core import values
from trueup.core.errors import MissingDependency, ModelError, TrueupError
from trueup.core.json import dumps, loads
from trueup.core.references import Ref
from trueup.models.causal import Causal
from trueup.models.manifest import Manifest, write_manifest
from trueup.models.prompts import Prompt, prompt_from

FORMAT = "adapter"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_SIZES = ("r", "lora_alpha", "target_modules", "use_rslora")
_LARGEST = 2**20


def save(
    folder: Path, sizes: Mapping[str, Any], tensors: Mapping[str, Any], prompt: Prompt, *, base: str, tree: str,
    code: str = "", **details: Any,
) -> Manifest:
    """Write an adapter: its sizes (r, lora_alpha, target_modules), its tensors, and its base's digests."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none", "lora_dropout": 0.0, "fan_in_fan_out": False,
        "inference_mode": True, "base_model_name_or_path": f"sha256:{base}",
        **dict(sizes), "target_modules": sorted(sizes["target_modules"]),
    }
    (folder / CONFIG).write_text(dumps(said) + "\n", encoding="utf-8")
    save_file({name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}, folder / WEIGHTS, {"format": "pt"})
    return write_manifest(
        folder, format=FORMAT, answers="text", code=code,
        details={"base": base, "base_tree": tree, "prompt": values.to_json(prompt), **details},
    )


def sizes_of(folder: Path) -> dict[str, Any]:
    """What an adapter's configuration says about its sizes; raises ModelError for another kind."""
    path = folder / CONFIG
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelError(f"expected a small {CONFIG}, got {path.stat().st_size} bytes")
        data = loads(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"expected {CONFIG} in the adapter: {error}") from None
    except ModelError:
        raise
    except TrueupError as error:
        raise ModelError(f"expected JSON in {CONFIG}: {error.message}") from None
    if not isinstance(data, dict) or data.get("peft_type") != "LORA" or data.get("bias", "none") != "none" or data.get("use_dora"):
        raise ModelError("expected a plain LoRA without biases, got another kind of adapter")
    found = {name: data[name] for name in _SIZES if name in data}
    targets = found.get("target_modules")
    good = (
        isinstance(found.get("r"), int) and 0 < found["r"] <= 65_536
        and isinstance(found.get("lora_alpha"), int | float)
        and isinstance(targets, list) and bool(targets) and all(isinstance(one, str) for one in targets)
    )
    if not good or not isinstance(found.get("use_rslora", False), bool):
        raise ModelError(f"expected r, lora_alpha and target_modules in {CONFIG}, got {found!r:.120}")
    return found


def tensors_of(folder: Path) -> dict[str, Any]:
    """The adapter's tensors, by peft's names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, Any] = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"expected {WEIGHTS} in the adapter: {error}") from None
    return found


def lora_config(sizes: Mapping[str, Any], **more: Any) -> Any:
    """peft's configuration of these sizes."""
    from importlib.util import find_spec

    if find_spec("peft") is None:
        raise MissingDependency("peft", "lora")
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", bias="none", **{**sizes, **more})


@contextmanager
def quiet() -> Iterator[None]:
    """peft reads names of transformers that are on their way out, and is warned about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(peft|transformers)\b.*")
        yield


def base_of(manifest: Manifest) -> tuple[str, str]:
    """The digests of an adapter's base: of its manifest, and of its folder among the artifacts."""
    found = manifest.details.get("base"), manifest.details.get("base_tree")
    for one in found:
        if not isinstance(one, str) or len(one) != 64 or set(one) - set("0123456789abcdef"):
            raise ModelError(f"expected the digests of the base in the adapter's details, got {one!r:.80}")
    return str(found[0]), str(found[1])


def tree_of(manifest: Manifest) -> Ref | None:
    """Where the base of an adapter, or of a whole model that was trained from one, lies among the
    artifacts; None for a model that is a base itself."""
    if "base_tree" not in manifest.details:
        return None
    tree = base_of(manifest)[1]
    return Ref(f"artifacts/{tree[:2]}/{tree}", tree)


def load(folder: Path, manifest: Manifest, base: Path | None = None) -> Causal:
    """The predictor: the base of this digest, shared in this process, with the adapter on it."""
    from trueup.models.bases import find, held, shared

    if not {CONFIG, WEIGHTS} <= manifest.files.keys() or manifest.answers != "text":
        raise ModelError(f"expected {CONFIG} and {WEIGHTS} in a model of the format adapter")
    prompt = prompt_from(manifest.details.get("prompt"))
    digest, tree = base_of(manifest)
    config = lora_config(sizes_of(folder), lora_dropout=0.0)
    found = None if base is not None else held(digest)
    if found is None:
        found = shared(*find(digest, tree, folder, base))
    return found.adapted(config, tensors_of(folder), prompt)
