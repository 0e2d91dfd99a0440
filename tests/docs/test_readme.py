# SPDX-License-Identifier: Apache-2.0
"""The README and the pages do what they say: blocks run, commands and names exist, links lead somewhere.

A block of Python that cannot run by itself carries a line `<!-- fragment: why -->` above its fence.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from trueup.cli._main import trueup as commands
from trueup.core.clock import to_us
from trueup.loop import load_loop, run
from trueup.models import ConstantModel
from trueup.store import Ledger

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]

FENCE = re.compile(r"(?P<mark><!-- fragment:[^\n]*-->\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
SESSION = """
import doctest, importlib, pkgutil, trueup
names = {{}}
for room in pkgutil.iter_modules(trueup.__path__):
    module = importlib.import_module("trueup." + room.name)
    names |= {{name: getattr(module, name) for name in getattr(module, "__all__", ())}}
test = doctest.DocTestParser().get_doctest({text!r}, names, "page", "page", 0)
raise SystemExit(doctest.DocTestRunner().run(test).failed)
"""
LINK = re.compile(r"\]\(([^)\s]+)\)")
DOTTED = re.compile(r"trueup(?:\.\w+)+")


class Block(NamedTuple):
    page: str
    number: int
    language: str
    text: str
    fragment: bool


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    name = page.relative_to(ROOT).as_posix()
    return [
        Block(name, number, found["language"], found["text"], found["mark"] is not None)
        for number, found in enumerate(FENCE.finditer(page.read_text("utf-8")))
    ]


README = [block for block in blocks(ROOT / "README.md") if block.language == "python"]


# -- Python ---------------------------------------------------------------------------------------


def typed(line: str, folder: Path) -> str:
    """What a command line prints; it must succeed."""
    code = "import sys; from trueup.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, *shlex.split(line)[1:]], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's loop file, beside a golden file of 900 items, 150 of each genre."""
    made = tmp_path_factory.mktemp("films")
    (made / "loop.py").write_text(README[0].text, "utf-8")
    (made / "golden").mkdir()
    genres = ["Dramas", "Comedies", "Documentaries", "Thrillers", "Children", "Horror"]
    items = [
        {"input": f"the plot of film {number}, one of many", "target": genres[number % 6], "genre": genres[number % 6]}
        for number in range(900)
    ]
    (made / "golden" / "core.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
    return made


def test_the_readme_has_a_loop_file_and_the_three_calls_of_an_application() -> None:
    assert len(README) == 2, "a new block of Python in the README needs a test here"


def test_the_loop_file_of_the_readme_can_work(folder: Path) -> None:
    assert "films can work" in typed("trueup check loop.py", folder)


def test_the_calls_of_the_readme_reach_the_ledger(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FBK-05: three calls, and the ledger holds a request, its answer and its outcome."""
    loop = dataclasses.replace(load_loop(folder / "loop.py"), champion=ConstantModel("Comedies"))
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path))
    with Ledger.open(tmp_path) as ledger:
        made = run(loop, ledger, base=folder)
        assert made[0].verdict == "PROMOTE"
        names = {"user_id": "ada", "description": "two lovers meet in the rain"}
        exec(compile(README[1].text, "README.md", "exec"), names)
        names["client"].close()  # type: ignore[attr-defined]
        row = ledger.interactions("films", outcomes=["genre"]).to_pylist()[0]
        assert (row["unit"], row["input"], row["output"], row["genre"]) == (
            "ada", '"two lovers meet in the rain"', '"Comedies"', '"Dramas"'
        )
        assert row["candidate"] == made[0].subject
        assert row["ts"] <= to_us(ledger.clock.now())


@pytest.mark.parametrize("page", PAGES[1:], ids=IDS[1:])
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.fragment or block.language not in ("python", "py", "pycon"):
            continue
        text = block.text if block.language != "pycon" else SESSION.format(text=block.text)
        (tmp_path / "block.py").write_text(text, "utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", "block.py"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"block {block.number} of {block.page}\n{done.stderr}"


def test_the_readme_leads_from_a_file_of_ones_own_to_a_first_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ING-02, TRG-06: the lines of "With your own data", typed as they stand."""
    monkeypatch.delenv("TRUEUP_HOME", raising=False)
    plots = {"sea": "a ship, a sailor and the storm", "war": "a soldier, a general and the front"}
    rows = [f"user-{n % 90},{plots[kind].replace(',', '')} {n},{kind}" for n in range(150) for kind in plots]
    (tmp_path / "history.csv").write_text("\n".join(["user_id,plot,label", *rows]) + "\n", "utf-8")
    text = (ROOT / "README.md").read_text("utf-8").split("## With your own data")[1].split("\n## ")[0]
    lines = [line.split("#")[0].strip() for line in text.splitlines() if line.startswith(("trueup ", "cd "))]
    assert len(lines) == 6
    folder, said = tmp_path, [""]
    for line in lines:
        if line.startswith("cd "):
            folder /= line.removeprefix("cd ")
        else:
            asked = re.findall(r"trueup approve (c-\w+)", said[-1].splitlines()[-1] if said[-1] else "")
            said.append(typed(line.replace("CANDIDATE", *asked) if "CANDIDATE" in line else line, folder))
    assert "PASS" in said[3]
    assert "the shadow needs about" in said[-1]


# -- commands and names ---------------------------------------------------------------------------


def lines_of(page: Path) -> list[str]:
    """Every `trueup ...` that a page tells its reader to type; rows that say "not yet" are left out."""
    text = page.read_text("utf-8")
    found = [
        line.split("#")[0] for block in blocks(page) if block.language in ("sh", "bash", "console")
        for line in block.text.splitlines()
    ]
    prose = "\n".join(line for line in FENCE.sub("", text).splitlines() if "| not yet" not in line)
    found += CODE.findall(prose)
    return [line.strip().removeprefix("$ ") for line in found if re.match(r"\s*(\$ )?trueup( |$)", line)]


def wrong(line: str) -> str | None:
    """What is wrong with a command line: a command, option or argument that there is not."""
    words = [word for word in shlex.split(line) if word not in ("...", "…")][1:]
    # click keeps the help option that it made first: it must be the one that the commands have
    context = click.Context(commands, info_name="trueup", **commands.context_settings)
    command: click.Command = commands
    while isinstance(command, click.Group):
        try:
            _, words, _ = command.make_parser(context).parse_args(words)
        except click.UsageError as error:
            return f"{line}: {error.format_message()}"
        if not words:
            return None
        found = command.get_command(context, words[0])
        if found is None:
            return f"{line}: no command {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    try:
        _, left, _ = command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return f"{line}: {error.format_message()}"
    return f"{line}: {left} too many" if left else None


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    assert [said for line in lines_of(page) if (said := wrong(line)) is not None] == []


@pytest.mark.parametrize("line", ["trueup runn", "trueup run --noww", "trueup why a b", "trueup snapshot lst"])
def test_a_command_that_there_is_not_is_found(line: str) -> None:
    assert wrong(line) is not None


def test_the_readme_names_its_commands() -> None:
    assert {"trueup demo", "trueup status", "trueup why ID"} <= set(lines_of(ROOT / "README.md"))


def exists(name: str) -> bool:
    """Whether a dotted name leads to a module or to something within one."""
    parts = name.split(".")
    for at in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:at]))
        except ImportError:
            continue
        for part in parts[at:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_dotted_names_of_a_page_exist(page: Path) -> None:
    groups = {"trueup.values"}  # entry-point groups are named like modules
    names = {name for code in CODE.findall(page.read_text("utf-8")) for name in DOTTED.findall(code)}
    assert [name for name in sorted(names - groups) if not exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    prose = CODE.sub("", FENCE.sub("", page.read_text("utf-8")))
    links = [link.split("#")[0] for link in LINK.findall(prose) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []
