# SPDX-License-Identifier: Apache-2.0
"""Loop files: Python that a person trusts, loaded by path."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source, module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from trueup.core.errors import DefinitionError, NotFound, TrueupError, UnknownName
from trueup.loop._nearest import suggestion
from trueup.loop.definition import Loop

_OURS: set[str] = set()
"""Names of loop files that were loaded: another folder's `loop.py` may take the place of one."""
_BESIDE: dict[Path, dict[str, tuple[Path, tuple[int, int] | None]]] = {}
"""Of each loop file the modules in its folder that it imported: their files, and their stamps then."""


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
    spec = spec_from_file_location(name, path, loader=_Fresh(name, str(path)))
    if spec is None or spec.loader is None:
        raise DefinitionError(f"expected a Python file, got {path.name}", cure="call it loop.py")
    module = module_from_spec(spec)
    kept = _BESIDE.get(path, {})
    old = _forget_changed(path)
    known = set(sys.modules)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        _BESIDE[path] = {**kept, **_beside(path, set(sys.modules) - known)}
        sys.modules.update(old)
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
    _BESIDE[path] = {**_BESIDE.get(path, {}), **_beside(path, set(sys.modules) - known - {name})}
    return module


class _Fresh(SourceFileLoader):
    """Compiles what the file says now: cached bytecode knows its source's second and size only."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def stamps(path: Path) -> dict[Path, tuple[int, int] | None]:
    """A loop file, and the modules of its folder that it imports, as they lie on the disk now: another
    answer than before says that it is to be read again."""
    path = path.resolve()
    return {one: _stamp(one) for one in (path, *(file for file, _ in _BESIDE.get(path, {}).values()))}


def _beside(path: Path, names: set[str]) -> dict[str, tuple[Path, tuple[int, int] | None]]:
    """Which of some modules lie in the loop file's folder: a person edits them together."""
    found = {}
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or not (one := Path(file).resolve()).is_relative_to(path.parent):
            continue
        if "site-packages" not in one.parts and name.partition(".")[0] != "trueup":
            found[name] = (one, _stamp(one))
    return found


def _forget_changed(path: Path) -> dict[str, ModuleType]:
    """Where a module beside the loop file has changed, have all of them imported anew: they may
    import each other. What is taken out comes back."""
    beside = _BESIDE.get(path, {})
    if all(_stamp(file) == stamp for file, stamp in beside.values()):
        return {}
    for file, _ in beside.values():
        with suppress(OSError):
            Path(cache_from_source(str(file))).unlink()
    del _BESIDE[path]
    return {name: sys.modules.pop(name) for name in beside if name in sys.modules}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size


def load_beside(home: Path) -> list[Path]:
    """Load the loop files beside a home, for the parts that they define; those that were loaded."""
    return load_folder(home.parent)


def load_folder(folder: Path) -> list[Path]:
    """Load the loop files of a folder, for the functions and the parts that they define; those that were loaded."""
    found = []
    for path in sorted({*folder.glob("loop.py"), *folder.glob("*_loop.py")}):
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
