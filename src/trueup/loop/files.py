# SPDX-License-Identifier: Apache-2.0
"""Loop files: Python that a person trusts, loaded by path."""

from __future__ import annotations

import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from trueup.core.errors import DefinitionError, NotFound, TrueupError, UnknownName
from trueup.loop.definition import Loop


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
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except TrueupError as error:
        raise type(error)(f"{_where(path)}: {error.message}", cure=error.cure) if not isinstance(
            error, UnknownName
        ) else DefinitionError(f"{_where(path)}: {error.message}", cure=error.cure) from None
    except Exception as error:
        raise DefinitionError(
            f"{_where(path)}: the loop file raised {type(error).__name__}: {error}"
        ) from error
    found = {one.name: one for one in vars(module).values() if isinstance(one, Loop)}
    if not found:
        raise DefinitionError(f"expected a Loop at module level of {path.name}, got none")
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


def _where(path: Path) -> str:
    """`loop.py:12`: the last line of the file itself in the present traceback."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"{path.name}:{lines[-1]}" if lines else path.name
