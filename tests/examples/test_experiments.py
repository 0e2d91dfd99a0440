# SPDX-License-Identifier: Apache-2.0
"""The experiments that a stranger can run: new features against production, and two prompts."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2] / "examples" / "experiments"


def lines(text: str, words: str) -> list[str]:
    return [line for line in text.splitlines() if words in line]


def test_scn_2b_new_features_are_tested_on_clicks_and_the_plan_says_how_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SCN-2b: half of the readers each, by id; promoted after a full week at the earliest."""
    example = runpy.run_path(str(HERE / "trending.py"))
    assert [str(one) for one in example["better"].check() if one.severe] == []
    kinds = example["main"](home=tmp_path)
    said = capsys.readouterr().out
    assert kinds[-1] == "promote" or "promote" in kinds
    assert "units" in lines(said, "how long")[0]
    assert "days" in lines(said, "how long")[0]
    began, promoted = (int(lines(said, words)[0][:2]) for words in ("NOTE", "rejected at level"))
    assert promoted - began >= 7
    assert lines(said, "guardrail seconds_on_page")
    assert lines(said, "by device")
    assert lines(said, "the same, bit by bit")


@pytest.mark.parametrize(("prompt", "end"), [("VIBE", "promote"), ("DULL", "refuse")])
def test_scn_4_a_prompt_is_a_candidate_like_any_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prompt: str, end: str
) -> None:
    """SCN-4, REL-14: ratings and click-through; a prompt that people dislike never replaces the one that serves."""
    example = runpy.run_path(str(HERE / "prompts.py"))
    kinds = example["main"](example[prompt], home=tmp_path)
    assert kinds[-1] == end
    said = capsys.readouterr().out
    serving = example[prompt] if end == "promote" else example["PLAIN"]
    assert lines(said, "serving now")[0].endswith(serving)
