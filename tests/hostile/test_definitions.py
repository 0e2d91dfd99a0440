# SPDX-License-Identifier: Apache-2.0
"""Loop files that cannot work: each is refused with its place and its cure, and nothing is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trueup.core.errors import ArgumentError, DefinitionError, TrueupError, UnknownName, UserError
from trueup.core.values import from_json
from trueup.loop import load_loop

# What is wrong, the line's change, the class, and words of the message and of the cure.
FAULTS: list[tuple[str, str, str, type[TrueupError], tuple[str, ...]]] = [
    ("an unknown key", "    seed=1,", "    sede=1,", DefinitionError, ("loop.py:", "'sede'", "did you mean 'seed'?")),
    ("an unknown key of a part", "min_rows=20", "min_row=20", DefinitionError, ("loop.py:", "'min_row'", "'min_rows'")),
    ("an unknown trigger", "when=[Rows(30)]", "when=[Row(30)]", DefinitionError,
     ("loop.py:", "NameError", "'Row'", "did you mean 'Rows'?")),
    ("an unknown trigger to import", "import Cron, Rows", "import Cron, Row", DefinitionError,
     ("loop.py:@", "'Row'", "did you mean 'Rows'?")),
    ("an unknown attribute", "Outcome.of_input(", "Outcome.of_inputs(", DefinitionError,
     ("loop.py:", "of_inputs", "did you mean 'of_input'?")),
    ("a room that does not exist", "from trueup.triggers", "from trueup.trigger", DefinitionError,
     ("loop.py:@", "No module named 'trueup.trigger'")),
    ("a name that is not there", "from trueup import Loop,", "from trueup import Lop, Loop,", DefinitionError,
     ("loop.py:@", "'Lop'", "did you mean 'Loop'?")),
    ("an error of its own", "HOUR = timedelta(hours=1)", "HOUR = 1 / 0", DefinitionError,
     ("loop.py:@", "ZeroDivisionError: division by zero")),
    ("an end of its own", "HOUR = timedelta(hours=1)", "raise SystemExit(0)", DefinitionError,
     ("loop.py:@", "SystemExit")),
    ("a syntax error", "when=[Rows(30)]", "when=[Rows(30)", DefinitionError, ("loop.py:", "SyntaxError")),
    ("a lambda as a stage", "release=[", "release=[lambda scene: 'PASS',", DefinitionError,
     ("loop.py:", "function at module level", "lambda", "def at the top level")),
    ("a lambda as a scorer", "AtLeast(Accuracy()", "AtLeast(Custom(lambda i, a, t: 1.0)", DefinitionError,
     ("loop.py:", "function at module level", "lambda", "def at the top level")),
    ("no such mode", "    seed=1,", "    mode='watch',", DefinitionError, ("loop.py:", "observe, propose or act", "'watch'")),
    ("a schedule that is none", 'Cron("hourly")', 'Cron("now and then")', ArgumentError, ("loop.py:", "expected a schedule", "now and then")),
    ("rows below one", "Rows(30)", "Rows(0)", ArgumentError, ("loop.py:", "at least 1 row", "got 0")),
    ("NaN as a floor", "AtLeast(Accuracy(), 0.2", "AtLeast(Accuracy(), float('nan')", ArgumentError, ("loop.py:", "finite floor", "nan")),
    ("a class as the trigger", "when=[Rows(30)]", "when=[Rows]", DefinitionError, ("loop.py:", "when", "write Rows(...)")),
    ("a class as the trainer", 'trainer=Command(["sh", HERE / "train.sh", HERE / "models" / "plant"])', "trainer=Command",
     DefinitionError, ("loop.py:", "trainer", "write Command(...)")),
    ("a class as a gate", "gates=[AtLeast(Accuracy(), 0.2, on=core)]", "gates=[AtLeast]", DefinitionError, ("gates", "write AtLeast(...)")),
    ("a class as a scorer", "AtLeast(Accuracy(), 0.2", "AtLeast(Accuracy, 0.2", DefinitionError, ("loop.py:", "expected a value in", "write Accuracy(...)")),
    ("a class as a shadow's scorer", "Shadow(Accuracy(),", "Shadow(Accuracy,", DefinitionError, ("loop.py:", "expected a value in", "write Accuracy(...)")),
    ("a class as the recipe", "recipe=Recipe(window=None, min_rows=20)", "recipe=Recipe", DefinitionError, ("recipe", "write Recipe(...)")),
    ("a class as the risk", 'risk=Risk(per="release")', "risk=Risk", DefinitionError, ("risk", "write Risk(...)")),
    ("a class as the schedule", 'look=Cron("hourly")', "look=Cron", DefinitionError, ("look", "write Cron(...)")),
    ("a class as the champion", 'champion=ConstantModel("animal")', "champion=ConstantModel", DefinitionError,
     ("champion", "write ConstantModel(...)")),
    ("a class as the task", 'task=Task("sentence", "kind", "user")', "task=Task", DefinitionError, ("task", "write Task(...)")),
    ("an outcome by its name", 'outcomes=[Outcome.of_input("kind", within=HOUR)]', 'outcomes=["kind"]', DefinitionError,
     ("outcomes", "'kind'")),
    ("one trigger without a list", "when=[Rows(30)]", "when=Rows(30)", DefinitionError, ("when", "[Rows(n=30)]")),
    ("a golden set without a file", '"golden.jsonl"', '"gold.jsonl"', UserError, ("gold.jsonl",)),
    ("no Loop in it", "\nloop = Loop(", "\nloop = dict(name_=", DefinitionError, ("loop.py", "expected a Loop")),
]  # fmt: skip
IDS = [name for name, *_ in FAULTS]


def spoilt(desk: Any, old: str, new: str) -> int:
    """Change the loop file; the number of the changed line."""
    text = desk.write().file.read_text().replace(
        "from trueup.evaluate import Accuracy, AtLeast", "from trueup.evaluate import Accuracy, AtLeast, Custom"
    ).replace('    "toys",\n', '    "toys",\n    seed=1,\n')
    if new.startswith("\nloop = dict("):
        text = text.split("\nloop = Loop(")[0]
        new = old = "\nHERE = "
    assert text.count(old) >= 1, old
    desk.file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(("what", "old", "new", "kind", "words"), FAULTS, ids=IDS)
def test_a_loop_file_that_cannot_work(
    what: str, old: str, new: str, kind: type[TrueupError], words: tuple[str, ...], desk: Any
) -> None:
    line = spoilt(desk, old, new)
    words = tuple(word.replace("@", str(line)) for word in words)
    if what != "a golden set without a file":  # which `check` finds, and not the definition
        with pytest.raises(kind) as caught:
            load_loop(desk.file)
        assert caught.value.exit_code == 2
        for word in words:
            assert word in str(caught.value), (word, str(caught.value))
    checked = desk.trueup("check", "loop.py")
    assert checked.code == 2
    assert "Traceback" not in checked.err
    ran = desk.trueup("run", "loop.py").said(2)
    for word in words:
        assert word in ran.err.replace("\n    ", " ") + checked.out, (word, ran.err, checked.out)
    assert desk.holds() is None or desk.holds()["cut"] == 0, "nothing may be made for a loop that cannot work"


def test_two_loops_need_a_name(desk: Any) -> None:
    desk.file.write_text(desk.file.read_text() + "from dataclasses import replace\nother = replace(loop, name='toys-two')\n")
    with pytest.raises(DefinitionError, match="holds 2 loops") as caught:
        load_loop(desk.file)
    assert caught.value.cure == "--loop toys or toys-two"
    desk.trueup("check").said(2, "T102", "loop.py holds 2 loops", "--loop toys or toys-two")
    desk.trueup("check", "--loop", "toys-tow").said(2, "T103", "got 'toys-tow'", "did you mean 'toys-two'?")
    desk.trueup("check", "--loop", "toys-two").said(0)
    assert desk.holds() is None


def test_two_loops_of_one_name_are_a_mistake(desk: Any) -> None:
    desk.file.write_text(desk.file.read_text() + "from dataclasses import replace\nother = replace(loop, seed=5)\n")
    desk.trueup("check").said(2, "T102", "two loops", "'toys'")


def test_no_file_and_no_folder(desk: Any) -> None:
    desk.trueup("run", "lop.py").said(2, "T104", "expected a loop file", "trueup init")
    desk.trueup("run", desk.folder / "models").said(2, "T104", "expected a loop file")
    (desk.folder / "bytes.py").write_bytes(b"\x00\xff\xfe loop")
    desk.trueup("run", "bytes.py").said(2, "T102", "bytes.py")
    assert desk.holds() is None


EXPORTED: list[tuple[str, Any, type[TrueupError], str]] = [
    ("an unknown key", lambda d: d.update(whne=d.pop("when")), UnknownName, "did you mean 'when'?"),
    ("an unknown trigger", lambda d: d["when"][0].update(kind="trigger.row"), UnknownName, "did you mean 'trigger.rows'?"),
    ("an unknown key of a part", lambda d: d["recipe"].update(windw=1), UnknownName, "did you mean 'window'?"),
    ("a kind that is a list", lambda d: d["recipe"].update(kind=["recipe"]), UnknownName, "expected a known kind"),
    ("a missing key", lambda d: d.pop("trainer"), DefinitionError, "trainer"),
    ("a duration without its length", lambda d: d["outcomes"][0].update(within={"kind": "duration"}), DefinitionError, "microseconds"),
    ("a duration in words", lambda d: d["outcomes"][0]["within"].update(microseconds="long"), DefinitionError, "microseconds"),
    ("a path that is none", lambda d: d["gates"][0]["on"]["path"].update(path=3), DefinitionError, "path"),
    ("a number for a name", lambda d: d.update(name=5), DefinitionError, "name"),
    ("null for the trainer", lambda d: d.update(trainer=None), DefinitionError, "trainer"),
    ("a function that does not exist", lambda d: d["gates"][0].update(measure={
        "kind": "score.custom", "function": {"kind": "function", "name": "os.path:jion"}}), DefinitionError, "os.path:jion"),
    ("a function without a name", lambda d: d["gates"][0].update(measure={
        "kind": "score.custom", "function": {"kind": "function"}}), DefinitionError, "name"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "words"), [one[1:] for one in EXPORTED], ids=[one[0] for one in EXPORTED])
def test_an_exported_loop_that_was_spoilt(change: Any, kind: type[TrueupError], words: str, desk: Any) -> None:
    data = json.loads(json.dumps(load_loop(desk.file).to_json(desk.folder)))
    assert from_json(data, desk.folder) == load_loop(desk.file)
    change(data)
    with pytest.raises(kind) as caught:
        from_json(data, desk.folder)
    assert words in str(caught.value)


def test_a_part_that_needs_a_package_says_which(desk: Any) -> None:
    """The error keeps its own class and says where in the file it was raised."""
    text = desk.file.read_text().replace(
        "HOUR = timedelta(hours=1)",
        "from trueup.core.errors import MissingDependency\nraise MissingDependency('xgboost', 'classic')",
    )
    desk.file.write_text(text)
    desk.trueup("check").said(2, "T106", "loop.py:15", "'xgboost'", "pip install 'trueup[classic]'")


def test_a_loop_file_is_not_taken_for_a_module_that_is_at_work(desk: Any) -> None:
    """A file called json.py must not become everybody's json."""
    named = Path(desk.file).rename(desk.folder / "json.py")
    desk.trueup("check", named).said(2, "T102", "json.py", "no other module's", "call it loop.py")
    named = named.rename(desk.folder / "numpy.py")
    desk.trueup("check", named).said(2, "T102", "numpy.py", "no other module's")
    named = named.rename(desk.folder / "news_loop.py")
    desk.trueup("check", named).said(0)
    assert desk.holds() is None
