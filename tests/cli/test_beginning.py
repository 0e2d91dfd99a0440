# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trueup.cli import main

ROOT = Path(__file__).resolve().parents[2]


def run(capsys: Any, *args: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in args])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_init_says_what_it_wrote_and_what_comes_next(tmp_path: Path, capsys: Any) -> None:
    code, said, _ = run(capsys, "init", "classify", tmp_path / "x1")
    assert code == 0
    assert f"wrote {tmp_path / 'x1' / 'loop.py'}" in said
    assert "trueup run --train" in said
    code, _, said = run(capsys, "init", "classify", tmp_path / "x1")
    assert code == 2
    assert "--force" in said
    code, said, _ = run(capsys, "init", "classify", tmp_path / "x1", "--force", "--json")
    assert code == 0
    assert json.loads(said)["loop"] == "x1"


def test_another_kind_is_a_mistake_with_a_cure(tmp_path: Path, capsys: Any) -> None:
    code, _, said = run(capsys, "init", "clasify", tmp_path / "x1")
    assert code == 2
    assert "did you mean 'classify'?" in said


@pytest.mark.parametrize("args", [("status", "--home"), ("--home",), ("status", "--json", "--home")])
def test_a_home_may_be_named_before_the_command_and_after_it(args: tuple[str, ...], tmp_path: Path, capsys: Any) -> None:
    rest = () if "status" in args else ("status",)
    code, _, said = run(capsys, *args, tmp_path / "nowhere", *rest)
    assert code == 2
    assert f"expected a ledger in {tmp_path / 'nowhere'}" in said
    code, _, said = run(capsys, *args[:-1], f"--home={tmp_path / 'other'}", *rest)
    assert code == 2
    assert f"expected a ledger in {tmp_path / 'other'}" in said


def test_a_home_after_two_dashes_is_no_option(tmp_path: Path, capsys: Any) -> None:
    code, _, said = run(capsys, "status", "--", "--home", tmp_path)
    assert code == 2
    assert "unexpected extra arguments" in said.lower()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: Any) -> None:
    if shell == "bash" and not os.path.exists("/bin/bash"):
        pytest.skip("no bash here")
    code, said, _ = run(capsys, "completion", shell)
    assert code == 0
    assert "_TRUEUP_COMPLETE" in said


def test_completion_knows_the_commands() -> None:
    env = {**os.environ, "_TRUEUP_COMPLETE": "bash_complete", "COMP_WORDS": "trueup sna", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from trueup.cli import main; main()"], env=env, text=True, capture_output=True, check=False
    )
    assert "plain,snapshot" in done.stdout


def test_the_page_of_the_command_line_is_fresh() -> None:
    """docs/cli.md is written from the commands' help."""
    text = runpy.run_path(str(ROOT / "docs" / "_cli.py"))["text"]()
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == text, "run python docs/_cli.py"


def test_what_must_not_wait_needs_no_words_and_says_who(tmp_path: Path, capsys: Any) -> None:
    """HIT-01: `pause` and `resume` as `status` names them, without a reason; the name stands in the Decision."""
    from trueup.lab.drills._drill import installed
    from trueup.store import Ledger

    with Ledger.open(tmp_path) as ledger:
        installed(ledger, "toys", "stone")
    assert run(capsys, "--home", tmp_path, "pause", "--as", "Ada")[0] == 0
    assert "paused: no reason given (trueup resume)" in run(capsys, "--home", tmp_path, "status")[1]
    code, said, _ = run(capsys, "--home", tmp_path, "resume", "--json")
    assert code == 0
    assert json.loads(said)["reason"] == "no reason given"
    with Ledger.open(tmp_path) as ledger:
        assert [one.actor for one in ledger.decisions("toys", kind="pause")] == ["Ada (unverified)"]
