# SPDX-License-Identifier: Apache-2.0
"""The code that makes a model: a trainer's own module, and what it imports of its own package.

A model is remembered, and a checkpoint gone on from, by the digest of the code that made it. The
modules are found in their sources, without importing them: a trainer's heavy parts stay unloaded.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from trueup.core import values
from trueup.core.json import digest, sha256

OURS = ("trueup.train", "trueup.models")
"""Where our own trainers compute; what lies below (errors, JSON) makes no model."""


def of(trainer: type) -> str:
    """SHA-256 of the sources that a class of trainers computes with: its module and all that this
    module imports, wherever the import stands, within its own package (for ours: the rooms `train`
    and `models`). A class in a module without a package, or without a source, counts alone."""
    return packaged(trainer.__module__) or values.source_digest(trainer)


@cache
def packaged(module: str) -> str | None:
    """The digest of a module's sources; None for one outside a package."""
    found = sources(module)
    return digest([[name, sha256(text)] for name, text in sorted(found.items())]) if found else None


def sources(module: str) -> dict[str, str]:
    """The names and sources of a module and of those that it imports within its package; empty for
    one outside a package."""
    package = module.partition(".")[0]
    root = getattr(sys.modules.get(package), "__path__", None)
    if package == module or root is None:
        return {}
    rooms = OURS if package == "trueup" else (package,)
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name, [Path(each) for each in root])
        if name in found or path is None:
            continue
        found[name] = path.read_text(encoding="utf-8")
        waiting += [
            one for one in _imported(found[name], name, package=path.name == "__init__.py")
            if any(one.startswith(f"{room}.") for room in rooms)
        ]
    return found


def _file(name: str, roots: list[Path]) -> Path | None:
    """The source of a module below the folders of its package, if there is one."""
    for root in roots:
        place = root.joinpath(*name.split(".")[1:])
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return path
    return None


def _imported(source: str, name: str, *, package: bool) -> Iterator[str]:
    """The names that a source imports, each as a module and as something in one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".")
            above = parts[: len(parts) - node.level + package] if node.level else []
            where = ".".join([*above, *([node.module] if node.module else [])])
            yield where
            yield from (f"{where}.{alias.name}" for alias in node.names)
