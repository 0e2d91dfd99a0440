# SPDX-License-Identifier: Apache-2.0
"""Writes docs/parts.md, the reference of every part that a loop file can name, from the code itself.

    python docs/_parts.py
"""

from __future__ import annotations

import dataclasses
import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import trueup
from trueup.core.values import kind_of, kinds

PAGE = Path(__file__).with_name("parts.md")

SECTIONS = {
    "The loop": ("loop", "task", "parameter", "outcome", "risk", "money"),
    "When to train: `look=`, `when=`, `unless=`": ("trigger",),
    "Which rows: `recipe=`": ("recipe", "replay", "curate"),
    "Golden sets: `on=` in a gate": ("golden",),
    "What learns: `trainer=`": ("trainer", "budget", "features", "embedder"),
    "What serves first: `champion=`": ("model",),
    "What is measured: scorers": ("score",),
    "What is measured: metrics of a whole set": ("metric",),
    "What a candidate must pass: `gates=`": ("gate",),
    "The way into production: `release=`": ("stage", "approver", "release", "feature"),
    "Who is told: `alerts=`": ("alert",),
    "Where it is shown: `publish=`": ("publish",),
    "What only alerts: `watch=`": ("watch",),
    "What is compared: monitors and views": ("monitor", "view"),
    "What is kept: `prune`": ("keep",),
    "Imports": ("data",),
    "Secrets": ("secret",),
    "Drills": ("lab",),
}

HEAD = """# Parts

Every part that a loop file can name, with its fields and their defaults. A part is a frozen value: it prints, compares
and hashes, and is written to JSON as `{"kind": ..., field: ...}`. This page is made from the code:
`python docs/_parts.py` writes it.
"""


def parts() -> dict[str, type]:
    """Trueup's own kinds; those of other packages, and of tests, are theirs to document."""
    for module in pkgutil.walk_packages(trueup.__path__, "trueup."):
        import_module(module.name)
    return {kind: cls for kind, cls in kinds().items() if cls.__module__.startswith("trueup.")}


def home(cls: type) -> str:
    """The shortest module that a person imports a part from; one of a room, where it is public."""
    rooms = ["trueup", *(f"trueup.{room.name}" for room in pkgutil.iter_modules(trueup.__path__))]
    for room in rooms:
        module = import_module(room)
        if cls.__name__ in getattr(module, "__all__", ()) and getattr(module, cls.__name__) is cls:
            return room
    return cls.__module__


def render() -> str:
    """The page."""
    found = parts()
    text = [HEAD]
    for title, prefixes in SECTIONS.items():
        text.append(f"## {title}\n")
        for prefix in prefixes:
            text += [_part(found.pop(kind)) for kind in list(found) if kind.partition(".")[0] == prefix]
    if found:
        raise LookupError(f"expected a section in docs/_parts.py for {', '.join(found)}")
    return "\n".join(text)


def _part(cls: type) -> str:
    kind = cls.__kind__  # type: ignore[attr-defined]
    lines = [f"### {cls.__name__}\n", f"`from {home(cls)} import {cls.__name__}` (kind `{kind}`)\n"]
    lines.append(_markdown(inspect.cleandoc(cls.__doc__ or "")) + "\n")
    fields = dataclasses.fields(cls)
    if fields:
        lines += ["| field | type | default |", "|---|---|---|"]
        lines += [f"| `{one.name}` | {_type(one)} | {_default(one)} |" for one in fields]
        lines.append("")
    return "\n".join(lines)


def _markdown(text: str) -> str:
    """A docstring as Markdown: examples fenced, the list of parameters as a list."""
    text = re.sub(r"^(Parameters):\n((?:    .*\n?)+)", _listed, text, flags=re.MULTILINE)
    return re.sub(r"^>>> .*(?:\n.+)*", r"```pycon\n\g<0>\n```", text, flags=re.MULTILINE)


def _listed(found: re.Match[str]) -> str:
    body = re.sub(r"^    (\w+): ", r"- `\1`: ", found[2], flags=re.MULTILINE)
    return f"{found[1]}:\n\n" + re.sub(r"^ {8}", "  ", body, flags=re.MULTILINE)


def _type(field: dataclasses.Field[Any]) -> str:
    return "`" + str(field.type).replace("|", "\\|") + "`"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        made = field.default
    elif field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
    else:
        return "must be given"
    return "`" + _said(made).replace("|", "\\|") + "`"


def _said(made: Any) -> str:
    """A default as a person writes it: only the fields of a value that differ from its own defaults."""
    if hasattr(type(made), "__kind__"):
        assert kind_of(made)
        own = {one.name: one.default for one in dataclasses.fields(made)}
        differs = [f"{name}={_said(given)}" for name, default in own.items() if (given := getattr(made, name)) != default]
        return f"{type(made).__name__}({', '.join(differs)})"
    return repr(made).replace("datetime.", "")


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
