# SPDX-License-Identifier: Apache-2.0
"""Nothing public is undocumented: names, values and their fields, commands and their options."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import itertools
import pkgutil
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

import trueup
from trueup.cli._main import trueup as commands

ROOT = Path(__file__).resolve().parents[2]
ROOMS = [f"trueup.{room.name}" for room in pkgutil.iter_modules(trueup.__path__)]


def script(name: str) -> ModuleType:
    """A script of the docs folder, as a module."""
    spec = spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PARTS: Any = script("_parts")


def told(name: str) -> set[str]:
    """The names that a module's source explains with a text right after their assignment."""
    body = ast.parse(inspect.getsource(importlib.import_module(name))).body
    found = set()
    for said, text in itertools.pairwise(body):
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            targets = said.targets if isinstance(said, ast.Assign) else [getattr(said, "target", None)]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def sources(room: str) -> list[str]:
    """The modules of a room."""
    path = importlib.import_module(room).__path__
    return [room, *(module.name for module in pkgutil.walk_packages(path, f"{room}."))]


@pytest.mark.parametrize("room", ["trueup", *ROOMS])
def test_public_names_have_a_docstring(room: str) -> None:
    module = importlib.import_module(room)
    assert (module.__doc__ or "").strip(), f"{room} has no purpose in its first line"
    named = set() if room == "trueup" else {name for source in sources(room) for name in told(source)}
    bare = []
    for name in getattr(module, "__all__", ()):
        found = getattr(module, name)
        own = (found.__doc__ or "") if inspect.isclass(found) or inspect.isroutine(found) else ""
        made = own.startswith(f"{name}(")  # dataclasses write a signature where there is no text
        if (not own.strip() or made) and name not in named:
            bare.append(name)
    assert bare == [], f"{room}: write a docstring for {', '.join(bare)}"


@pytest.mark.parametrize("room", ["trueup", *ROOMS])
def test_what_all_names_is_there_and_sorted_once(room: str) -> None:
    module = importlib.import_module(room)
    names = list(getattr(module, "__all__", ()))
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(module, name)] == []


def test_every_part_is_imported_from_a_room() -> None:
    hidden = [kind for kind, part in PARTS.parts().items() if PARTS.home(part) not in ("trueup", *ROOMS)]
    assert hidden == [], "name them in the __all__ of their room"


@pytest.mark.parametrize("kind", PARTS.parts())
def test_every_field_of_a_part_is_explained(kind: str) -> None:
    part = PARTS.parts()[kind]
    assert [
        field.name for field in dataclasses.fields(part) if not re.search(rf"\b{field.name}\b", part.__doc__ or "")
    ] == []


def test_the_page_of_parts_is_that_of_the_code() -> None:
    page = ROOT / "docs" / "parts.md"
    assert page.read_text("utf-8") == PARTS.render(), "run: python docs/_parts.py"


def test_every_kind_stands_on_the_page_of_parts() -> None:
    text = (ROOT / "docs" / "parts.md").read_text("utf-8")
    assert [kind for kind in PARTS.parts() if f"(kind `{kind}`)" not in text] == []


def walk(command: click.Command, name: str, context: click.Context | None = None) -> list[tuple[str, click.Command]]:
    """A command and all below it, with the words that call them."""
    here = click.Context(command, parent=context, info_name=name.rpartition(" ")[2])
    found = [(name, command)]
    if isinstance(command, click.Group):
        for word in command.list_commands(here):
            below = command.get_command(here, word)
            assert below is not None
            found += walk(below, f"{name} {word}", here)
    return found


COMMANDS = dict(walk(commands, "trueup"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = COMMANDS[name]
    assert (command.help or "").strip()
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_every_command_stands_in_a_group_of_the_help() -> None:
    from trueup.cli._main import _COMMANDS, _GROUPS

    assert sorted(_COMMANDS) == sorted(name for names in _GROUPS.values() for name in names)


EXAMPLES = [
    name for room in ROOMS if room != "trueup.stats" for name in sources(room)
    if ">>>" in inspect.getsource(importlib.import_module(name))
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
