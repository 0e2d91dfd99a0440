# SPDX-License-Identifier: Apache-2.0
"""Rooms whose modules are loaded when a name of theirs is first asked for, so that light commands start fast."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A package that keeps its public names for what they name: importing `room.run` the module does
    not put it in the place of `run` the function."""

    _homes: Mapping[str, str]

    def __setattr__(self, name: str, found: Any) -> None:
        if not (isinstance(found, ModuleType) and name in self._homes):
            super().__setattr__(name, found)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._homes})


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562): `homes` says in which of its modules each public name is, and
    under which name where that is another one (`module:name`).

    A name that a module shares, such as `run` of `run.py`, is the name's, as it is after
    `from trueup.loop.run import run` in a package that loads all of it.
    """
    room = sys.modules[package]
    room._homes = homes  # type: ignore[attr-defined]
    room.__class__ = _Room

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, other = homes[name].partition(":")
        found = getattr(import_module(f"{package}.{module}"), other or name)
        setattr(room, name, found)
        return found

    return find
