# SPDX-License-Identifier: Apache-2.0
"""The table of capabilities is true: what is there is shown by a test, and typed as the table says."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import trueup

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "capabilities.md").read_text("utf-8")


class Row(NamedTuple):
    id: str
    what: str
    how: str

    @property
    def there(self) -> bool:
        return not self.how.startswith("not yet")


ROWS = [
    Row(*(cell.strip() for cell in line.strip("|").split(" | ")))
    for line in TABLE.splitlines() if re.match(r"\| [A-Z]+-\d+b? \|", line)
]
THERE = [row for row in ROWS if row.there]
PREFIXES = "|".join(sorted({row.id.partition("-")[0] for row in ROWS}))
# In a text as `TRG-01`, in the name of a test as `trg_01`.
ID = re.compile(rf"(?<![A-Za-z])({PREFIXES})[-_](\d+b?)(?!\d)", re.IGNORECASE)


def named() -> dict[str, set[str]]:
    """The ids that stand in tests, with the files that name them."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path == Path(__file__):
            continue
        for prefix, number in ID.findall(path.read_text("utf-8")):
            found.setdefault(f"{prefix.upper()}-{number}", set()).add(path.name)
    return found


NAMED = named()


def test_the_table_has_every_row_once_and_in_three_cells() -> None:
    ids = [row.id for row in ROWS]
    assert len(ids) == len(set(ids)) > 100
    assert len(re.findall(r"^\| [A-Z]+-\d+", TABLE, re.MULTILINE)) == len(ROWS)


@pytest.mark.parametrize("row", THERE, ids=lambda row: row.id)
def test_what_is_there_is_shown_by_a_test(row: Row) -> None:
    assert row.id in NAMED, f"write {row.id} into the docstring of the test that shows it, or 'not yet' into the table"


def test_every_id_in_a_test_stands_in_the_table() -> None:
    known = {row.id for row in ROWS}
    assert {name: files for name, files in NAMED.items() if name not in known} == {}


def test_every_id_in_the_changelog_is_there() -> None:
    there = {row.id for row in THERE}
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert sorted({f"{prefix}-{number}" for prefix, number in ID.findall(text)} - there) == []


# -- what one types --------------------------------------------------------------------------------


def public() -> dict[str, Any]:
    """Every public name of every room."""
    found: dict[str, Any] = {}
    for room in ["trueup", *(f"trueup.{one.name}" for one in pkgutil.iter_modules(trueup.__path__))]:
        module = importlib.import_module(room)
        found |= {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    return found


PUBLIC = public()
OBJECTS = {"client": PUBLIC["Client"], **PUBLIC}


def parsed(code: str) -> ast.AST | None:
    """A span of code as Python: an expression, or arguments such as `when=[...]`; None for neither."""
    for text in (code, f"_({code})"):
        try:
            return ast.parse(text, mode="eval")
        except SyntaxError:
            continue
    return None


def wrong(code: str) -> list[str]:
    """Calls, fields and arguments of a loop that a span of code names and that there are not."""
    tree = parsed(code)
    said = []
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in OBJECTS:
            if not hasattr(OBJECTS[node.value.id], node.attr):
                said.append(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Call):
            function = node.func
            target: Any = None
            if isinstance(function, ast.Name):
                target = PUBLIC["Loop"] if function.id == "_" else PUBLIC.get(function.id)
                said += [] if target is not None else [function.id]
            elif isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                target = getattr(OBJECTS.get(function.value.id), function.attr, None)
            taken = inspect.signature(target).parameters if target is not None else {}
            said += [f"{word.arg}=" for word in node.keywords if target is not None and word.arg not in taken]
    return said


@pytest.mark.parametrize("row", THERE, ids=lambda row: row.id)
def test_what_one_types_is_there(row: Row) -> None:
    codes = re.findall(r"`([^`]+)`", row.how)
    assert [fault for code in codes if not code.startswith("trueup ") for fault in wrong(code)] == []


@pytest.mark.parametrize(
    "code", ["when=[Rowz(10)]", "Recipe(windows=3)", "client.chose", "whenn=[Rows(1)]", "Outcome.boolean('x', low=1)"]
)
def test_what_there_is_not_is_found(code: str) -> None:
    assert wrong(code) != []
