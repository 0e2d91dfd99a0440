# SPDX-License-Identifier: Apache-2.0
"""The loop files that the service keeps, read again when they change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trueup.core.errors import DefinitionError, TrueupError
from trueup.loop import Loop, load_loops
from trueup.loop.files import stamps


@dataclass(slots=True)
class Source:
    """A loop file, the last good loops that it gave, and what is wrong with it now."""

    path: Path
    loops: dict[str, Loop] = field(default_factory=dict)
    broken: str | None = None
    _stamps: Any = None

    @property
    def base(self) -> Path:
        return self.path.parent

    def changed(self) -> bool:
        """Whether the file, or a module beside it that it imports, is another one than was last read."""
        return bool(stamps(self.path) != self._stamps)

    def read(self) -> None:
        """Read the file; where it is broken, say why in `broken`, and keep the last good loops."""
        before = stamps(self.path)  # what changes while it is read is read again
        try:
            found = load_loops(self.path)
            problems = [f"{loop.name}: {one}" for loop in found.values() for one in loop.check() if one.severe]
            if problems:
                raise DefinitionError("\n".join(problems))
        except TrueupError as error:
            self.broken = error.message
        else:
            self.loops, self.broken = found, None
        self._stamps = stamps(self.path) | before


def sources(files: list[Path]) -> list[Source]:
    """The files, each read once; raises DefinitionError for what cannot be kept together."""
    found: dict[str, Source] = {}
    names: dict[str, Path] = {}
    for file in files:
        path = (file / "loop.py" if file.is_dir() else file).resolve()
        source = Source(path)
        if path.stem in found:
            if found[path.stem].path == path:
                continue
            raise DefinitionError(
                f"expected loop files of different names, got {found[path.stem].path} and {path}",
                cure="call one of them films_loop.py: functions are stored as module:function",
            )
        source.read()
        if source.broken is not None:
            raise DefinitionError(source.broken, cure=f"trueup check {file} says the same")
        for name in source.loops:
            if name in names:
                raise DefinitionError(f"expected loops of different names, got {name!r} in {names[name]} and {path}")
            names[name] = path
        found[path.stem] = source
    return list(found.values())
