# SPDX-License-Identifier: Apache-2.0
"""Where the files of a language model lie: a folder, or a repository of the model hub."""

from __future__ import annotations

import re
from pathlib import Path

from trueup.core.errors import ModelError, TrainingRetryable

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_NAMES = (
    "config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
    "tokenizer.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
_OLD = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def is_hub_id(name: object) -> bool:
    """Whether a text is the id of a repository (`owner/name`) and no folder that is there."""
    return isinstance(name, str) and bool(_ID.fullmatch(name)) and not Path(name).exists()


def fetched(name: str, revision: str | None) -> Path:
    """The folder of a repository's files, downloaded once into the hub's own cache.

    The hub's environment is obeyed: `HF_HUB_OFFLINE=1` reads the cache only, `HF_ENDPOINT`,
    `HF_TOKEN` and `HF_HOME` as everywhere. Only weights in safetensors, configurations and
    tokenizers are taken: no code, no pickle. Raises ModelError where it is not there, and
    TrainingRetryable where the network failed.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_NAMES)))
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(f"expected a repository {name} on the model hub, got none: {str(error)[:200]}") from None
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"expected {name} in the hub's cache, which is all that can be read now: {str(error)[:200]}",
            cure="download it once with a network, or give a folder",
        ) from None
    except OSError as error:
        raise TrainingRetryable(f"expected to reach the model hub for {name}: {error}") from None


def model_files(folder: Path) -> list[Path]:
    """The files of a model that are data; raises ModelError where weights in safetensors are missing."""
    found = sorted({path for name in _NAMES for path in folder.glob(name) if path.is_file()})
    names = {path.name for path in found}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        old = sorted(path.name for path in folder.glob("*") if path.suffix in _OLD)
        raise ModelError(
            f"expected a language model in {folder}: config.json, weights as *.safetensors and a tokenizer, "
            f"got {old or sorted(names) or 'none of them'}",
            cure="save it with model.save_pretrained(folder) and tokenizer.save_pretrained(folder)",
        )
    return found
