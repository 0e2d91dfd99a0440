# SPDX-License-Identifier: Apache-2.0
"""The house holds: rooms, floors, licence lines, sizes, and SQL in files of its own.

That imports go down only is checked by `make house`; here, that it checks the floors that are drawn.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "trueup"
LICENCE = "SPDX-License-Identifier: Apache-2.0"
PYTHON = sorted(SRC.rglob("*.py"))
OURS = [
    path for folder in ("src", "tests", "benchmarks", "examples", "docs")
    for ending in ("*.py", "*.sql") for path in sorted((ROOT / folder).rglob(ending))
]
STATEMENT = re.compile(
    r"\bSELECT\b.+\bFROM\b|\bINSERT\s+(OR\s+\w+\s+)?INTO\b|\bUPDATE\s+\w+\s+SET\b|\bDELETE\s+FROM\b|\bCREATE\s+(TABLE|VIEW|INDEX)\b",
    re.DOTALL,
)
# Where SQL stands in a Python file, and why: a file under src/trueup, and the reason.
ALLOWED = {
    "store/sqlite/_database.py": "asked of a file that may be another program's, before any of ours is loaded",
}


def floors() -> dict[str, int]:
    """The rooms that docs/design/house.md draws, with their floors."""
    text = (ROOT / "docs" / "design" / "house.md").read_text("utf-8")
    return {room: int(floor) for floor, room in re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)}


def test_the_rooms_are_those_of_the_drawing() -> None:
    rooms = {path.parent.name for path in SRC.glob("*/__init__.py")}
    assert rooms == set(floors())
    loose = {path.name for path in SRC.glob("*.py")}
    assert loose == {"__init__.py"}, "a module lives in a room"


def test_the_checked_floors_are_the_drawn_ones() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contract = tomllib.load(file)["tool"]["importlinter"]["contracts"][0]
    assert contract["type"] == "layers"
    drawn: dict[int, set[str]] = {}
    for room, floor in floors().items():
        drawn.setdefault(floor, set()).add(room)
    layers = [{name.strip().removeprefix("trueup.") for name in layer.split("|")} for layer in contract["layers"]]
    assert layers == [drawn[floor] for floor in sorted(drawn, reverse=True)]


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "examples", "docs"])
def test_every_file_begins_with_its_licence(folder: str) -> None:
    ours = [path for path in OURS if path.is_relative_to(ROOT / folder)]
    bare = [
        str(path.relative_to(ROOT)) for path in ours
        if path.read_text("utf-8").partition("\n")[0] not in (f"# {LICENCE}", f"-- {LICENCE}")
    ]
    assert bare == []


def test_no_file_is_longer_than_a_person_reads() -> None:
    sizes = {str(path.relative_to(SRC)): path.read_text("utf-8").count("\n") for path in PYTHON}
    assert {name: lines for name, lines in sizes.items() if lines > 600} == {}
    assert sorted(sizes.values())[len(sizes) // 2] <= 150, "the median file has about 120 lines"


def statements(text: str) -> list[str]:
    """SQL in the string literals of a source, docstrings left out."""
    tree = ast.parse(text)
    docs = {
        id(node.body[0].value) for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body and isinstance(node.body[0], ast.Expr)
    }
    texts = [
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]
    texts += [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
        for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
    ]
    return [text for text in texts if STATEMENT.search(text)]


def test_sql_stands_in_sql_files() -> None:
    found = {str(path.relative_to(SRC)): said for path in PYTHON if (said := statements(path.read_text("utf-8")))}
    assert {name: said for name, said in found.items() if name not in ALLOWED} == {}
    assert set(ALLOWED) <= set(found), "an exception that is no longer needed"


RENAMES = {
    "core/files.py": "the one place",
    "store/_files.py": "content by its digest: what is there already stands, and is never replaced",
    "store/_restore.py": "whole folders change places",
    "registry/retention.py": "what goes is taken out of sight first",
    "models/manifest.py": "its text is in the code digest of every model; a model is synced as an artifact",
    "train/lora/checkpoints.py": "its text is in the code digest of every adapter; it syncs on its own",
}


def test_files_are_replaced_in_one_place() -> None:
    """Whole or not at all, synced before and after: `trueup.core.files`."""
    rename = re.compile(r"\bos\.(replace|rename)\(|\.rename\(|\b(draft|part|temporary|made|_part)\.replace\(")
    found = {str(path.relative_to(SRC)) for path in PYTHON if rename.search(path.read_text("utf-8"))}
    assert found == set(RENAMES)


def test_no_room_reads_the_package_above_it() -> None:
    """`trueup` itself imports nearly every room: its names come from where they are (the loops of the lab apart,
    which show what a user writes)."""
    names = re.compile(r"^\s*from trueup import (.+)$", re.MULTILINE)
    rooms = set(floors())
    wrong = {
        str(path.relative_to(SRC)): said for path in PYTHON
        if (said := names.findall(path.read_text("utf-8"))) and not {one.strip() for part in said for one in part.split(",")} <= rooms
    }
    assert {name for name in wrong if not name.startswith("lab/")} == set()


@pytest.mark.parametrize("text", ['x = "SELECT a\\nFROM b"', 'x = f"INSERT OR IGNORE INTO {t} VALUES (1)"', 'x = f"SELECT {a} FROM t"'])
def test_sql_in_python_is_found(text: str) -> None:
    assert statements(text) != []


def test_every_statement_has_a_name_and_a_comment() -> None:
    from trueup.store import sql

    for path in sorted(SRC.rglob("*.sql")):
        if path.parent.name != "migrations":
            assert sql.parse(path.read_text("utf-8"), path.name), path
