# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: all that the next step depends on, in one safetensors file that is whole or not there.

A file is named by its step and by its own digest, written beside its name, synced, and renamed; a
torn, foreign or damaged one is passed over, and the one before it is taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from trueup.core.errors import TrueupError
from trueup.core.json import dumps, loads
from trueup.models.manifest import file_sha256

_NAME = re.compile(r"step-(\d{9})-([0-9a-f]{64})\.safetensors")
KEEP = 2


def write(folder: Path, step: int, tensors: Mapping[str, Any], said: Mapping[str, Any]) -> Path:
    """Write a checkpoint, and take older ones away but for the one before it."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".writing-{os.getpid()}"
    save_file({name: one.detach().cpu().contiguous() for name, one in tensors.items()}, temporary, {"said": dumps(dict(said))})
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    final = folder / f"step-{step:09d}-{file_sha256(temporary)}.safetensors"
    os.replace(temporary, final)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    for old in _files(folder)[KEEP:]:
        with suppress(OSError):
            old.unlink()
    return final


def newest(folder: Path, mark: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The tensors and words of the newest whole checkpoint that bears this mark, or None."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    for path in _files(folder):
        try:
            match = _NAME.fullmatch(path.name)
            if match is None or file_sha256(path) != match[2]:
                continue
            with safe_open(path, "pt") as file:
                said = loads((file.metadata() or {})["said"])
            if said["mark"] == mark:
                return load_file(path), said
        except (OSError, SafetensorError, TrueupError, KeyError, TypeError):
            continue
    return None


def _files(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted((path for path in folder.glob("step-*.safetensors")), key=lambda path: path.name, reverse=True)
