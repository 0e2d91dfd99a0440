# SPDX-License-Identifier: Apache-2.0
"""Models that come from elsewhere: what is looked at before anything of them is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from trueup.core.errors import ModelError, Refused
from trueup.models.local import _CODE
from trueup.models.manifest import NAME, Manifest, read_manifest

DATA = frozenset({".json", ".skops", ".npy", ".safetensors", ".ubj", ".txt", ".md", ".jinja"})
"""Kinds of files that are read as data: none of them is unpickled or run."""


def checked_data(folder: Path, into: Path) -> Manifest:
    """Copy the files that a foreign folder's manifest names to `into`, which is made; its manifest.

    What else lies in the folder stays behind. Raises ModelError where there is no valid manifest,
    a digest differs, or a named file is of a kind that is not plain data (a pickle, a `.bin`,
    Python); Refused for the formats "function" and "command", which run code.
    """
    manifest = read_manifest(folder)
    if manifest.format in _CODE:
        raise Refused(
            f"expected a model that is data, got the format {manifest.format!r}, which runs code",
            cure="a model that is code comes in through the loop file, which is trusted, never from a registry",
        )
    odd = sorted(name for name in manifest.files if PurePosixPath(name).suffix.lower() not in DATA)
    if odd:
        raise ModelError(
            f"expected files that are read as data ({', '.join(sorted(DATA))}), got {', '.join(odd[:5])}",
            cure="save the weights as safetensors or skops",
        )
    shutil.rmtree(into, ignore_errors=True)
    for name in (NAME, *manifest.files):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, into / name)
    return read_manifest(into)
