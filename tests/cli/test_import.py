# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trueup.cli import main
from trueup.cli.data import mapped
from trueup.core.errors import ArgumentError, UnknownName
from trueup.data import Mapping
from trueup.loop import load_loop
from trueup.loop.starting import start

ROWS = [
    {"message": f"a text number {n}", "who": f"u{n % 7}", "sent": f"2026-05-{1 + n % 28:02d}", "label": "ab"[n % 2]}
    for n in range(30)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    start("classify", tmp_path / "mail")
    (tmp_path / "mail" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "broken\n")
    monkeypatch.chdir(tmp_path / "mail")
    monkeypatch.delenv("TRUEUP_HOME", raising=False)
    return tmp_path / "mail"


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_mapping_is_shown_and_rows_that_do_not_fit_are_set_aside(folder: Path, capsys: Any) -> None:
    """ING-02: without a terminal nobody is asked."""
    code, said, _ = run(capsys, "import", "rows.jsonl", "--map", "unit=who")
    assert code == 0
    assert "input                 message" in said
    assert "unit                  who" in said
    assert "30 rows, 30 of them new, 30 new outcomes" in said
    aside = next((folder / ".trueup" / "quarantine").iterdir())
    assert json.loads(aside.read_text())["line"] == 31


def test_importing_twice_says_that_nothing_was_new(folder: Path, capsys: Any) -> None:
    run(capsys, "import", "rows.jsonl", "--yes")
    code, said, _ = run(capsys, "import", "rows.jsonl", "--json")
    facts = json.loads(said)
    assert (code, facts["rows"], facts["new"], facts["quarantined"]) == (0, 30, 0, 1)
    assert facts["mapping"]["outcomes"] == {"label": "label"}


@pytest.mark.parametrize(("maps", "words"), [
    ("unit=whom", "did you mean 'who'?"),
    ("units=who", "did you mean 'unit'?"),
    ("unit", "--map unit=user_id"),
])  # fmt: skip
def test_a_wrong_mapping_names_the_cure(folder: Path, capsys: Any, maps: str, words: str) -> None:
    code, _, said = run(capsys, "import", "rows.jsonl", "--map", maps)
    assert code == 2
    assert words in said
    assert "Traceback" not in said


def test_a_missing_file_is_a_mistake_of_the_user(folder: Path, capsys: Any) -> None:
    code, _, said = run(capsys, "import", "nothing.csv")
    assert code == 2
    assert "nothing.csv" in said


def test_parts_of_the_mapping_can_be_changed_and_taken_away(folder: Path) -> None:
    loop = load_loop(folder / "loop.py")
    before = Mapping(input=("a", "b"), unit="c", ts="d", outcomes={"label": "label"}, numbers=("a", "b"))
    after = mapped(before, ("input=b,e", "unit=", "label=truth", "split=;"), loop)
    assert after == Mapping(
        input=("b", "e"), ts="d", outcomes={"label": "truth"}, numbers=("b",), split=";"
    )
    assert mapped(before, ("label=",), loop).outcomes == {}
    assert mapped(before, ("input=a",), loop).input == "a"
    with pytest.raises(ArgumentError):
        mapped(before, ("input",), loop)
    with pytest.raises(UnknownName):
        mapped(before, ("inputs=a",), loop)
