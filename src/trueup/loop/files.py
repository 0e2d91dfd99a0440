# SPDX-License-Identifier: Apache-2.0
"""Loop files: Python that a person trusts, loaded by path."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from trueup.core.errors import DefinitionError, NotFound, TrueupError, UnknownName
from trueup.loop._nearest import suggestion
from trueup.loop.definition import Loop

_OURS: set[str] = set()
"""Names of loop files that were loaded: another folder's `loop.py` may take the place of one."""


def load_loops(path: Path) -> dict[str, Loop]:
    """The loops that a file defines at module level, by name.

    The file's folder is importable while its functions are (they are stored as `module:function`).
    Raises DefinitionError with the line where the file raised.
    """
    path = path.resolve()
    if path.is_dir():
        path = path / "loop.py"
    if not path.is_file():
        raise NotFound(f"expected a loop file, got {path}", cure="trueup init classify DIR writes one")
    found: dict[str, Loop] = {}
    for one in vars(_module(path)).values():
        if isinstance(one, Loop) and found.setdefault(one.name, one) != one:
            raise DefinitionError(
                f"expected loops of different names in {path.name}, got two loops called {one.name!r}",
                cure="replace(loop, name=...) makes another one",
            )
    if not found:
        raise DefinitionError(
            f"expected a Loop at module level of {path.name}, got none", cure="write loop = Loop(...)"
        )
    return found


def _module(path: Path) -> ModuleType:
    """The file, imported under its own name; one that fails leaves no half of a module behind."""
    name, before = path.stem, sys.modules.get(path.stem)
    if name in sys.stdlib_module_names or (before is not None and name not in _OURS):
        file = getattr(before, "__file__", None)
        if file is None or Path(file).resolve() != path:
            raise DefinitionError(
                f"expected a loop file whose name is no other module's, got {path.name}", cure="call it loop.py"
            )
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"expected a Python file, got {path.name}", cure="call it loop.py")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        where = _where(path, error)
        if isinstance(error, TrueupError):  # its class, its code and its cure stay
            error.message = f"{where}: {error.message}"
            error.args = (error.message,)
            raise error from None
        raise DefinitionError(
            f"{where}: the loop file raised {type(error).__name__}: {error}", cure=suggestion(error)
        ) from error
    _OURS.add(name)
    return module


def load_beside(home: Path) -> list[Path]:
    """Load the loop files beside a home, for the parts that they define; those that were loaded."""
    found = []
    for path in sorted({*home.parent.glob("loop.py"), *home.parent.glob("*_loop.py")}):
        with suppress(TrueupError):
            load_loops(path)
            found.append(path)
    return found


def load_loop(path: Path, name: str | None = None) -> Loop:
    """The file's only loop, or the one with this name."""
    found = load_loops(path)
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name is None:
        raise DefinitionError(
            f"{path.name} holds {len(found)} loops", cure=f"--loop {' or '.join(sorted(found))}"
        )
    if name not in found:
        raise UnknownName("loop", name, found)
    return found[name]


def _where(path: Path, error: BaseException) -> str:
    """`loop.py:12`: the last line of the file itself in the error's traceback."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path.name}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"{path.name}:{lines[-1]}" if lines else path.name
