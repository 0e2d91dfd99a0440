# SPDX-License-Identifier: Apache-2.0
"""The nearest name to one that a loop file misspelt, where Python's error says which it was."""

from __future__ import annotations

import builtins
import difflib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable
from typing import Any

_KEY = re.compile(r"(?P<call>[\w.]+)\(\) got an unexpected keyword argument '(?P<name>\w+)'")
_IMPORT = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'")


def suggestion(error: BaseException) -> str:
    """A cure such as "did you mean 'Rows'?", or no words."""
    name, known = _asked(error)
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5) if name else []
    return f"did you mean {near[0]!r}?" if near else ""


def _asked(error: BaseException) -> tuple[str, Iterable[str]]:
    """The name that was not there, and those that are."""
    names = _names(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        package, _, name = error.name.rpartition(".")
        return name, [found.name for found in pkgutil.iter_modules(getattr(sys.modules.get(package), "__path__", []))]
    if isinstance(error, ImportError) and (match := _IMPORT.search(str(error))):
        return match["name"], dir(sys.modules.get(match["module"]))
    if isinstance(error, AttributeError) and error.name:
        return error.name, dir(error.obj)
    if isinstance(error, NameError) and error.name:
        return error.name, [*names, *dir(builtins)]
    if isinstance(error, TypeError) and (match := _KEY.search(str(error))):
        return match["name"], _keys(match["call"], names)
    return "", ()


def _names(error: BaseException) -> dict[str, Any]:
    """What could be named where the error was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return {} if trace is None else {**trace.tb_frame.f_globals, **trace.tb_frame.f_locals}


def _keys(call: str, names: dict[str, Any]) -> Iterable[str]:
    """The keys of `Loop.__init__` or `Outcome.of_input`, as the file names them."""
    found: Any = None
    for at, part in enumerate(call.removesuffix(".__init__").split(".")):
        found = names.get(part) if at == 0 else getattr(found, part, None)
    try:
        return list(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        return ()
