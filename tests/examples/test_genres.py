# SPDX-License-Identifier: Apache-2.0
"""The genres example: on made-up titles everywhere, on the real ones where they are."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from trueup.loop import load_loops

GENRES = Path(__file__).resolve().parents[2] / "examples" / "genres"
DATA = Path(os.environ.get("TRUEUP_DATA", GENRES.parents[2] / "shared" / "data"))


def test_two_loops_come_from_one_definition() -> None:
    loops = load_loops(GENRES / "loop.py")
    assert sorted(loops) == ["genres-linear", "genres-xgboost"]
    for loop in loops.values():
        assert not [problem for problem in loop.check() if problem.severe]
    a, b = (loop.to_json() for loop in loops.values())
    assert {key for key in a if a[key] != b[key]} == {"name", "trainer"}


def study(out: Path, data: Path, since: str, until: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(GENRES / "study.py"), "--since", since, "--until", until, "--out", str(out)],
        env={**os.environ, "TRUEUP_DATA": str(data), "OMP_NUM_THREADS": "1"},
        text=True, capture_output=True, timeout=115, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_stranger_can_run_the_study_on_made_up_titles(tmp_path: Path) -> None:
    said = study(tmp_path / "report", tmp_path / "nowhere", "2018-01-01", "2018-04-01")
    assert re.search(r"monthly, all history +0\.\d{3} .* 3 ", said)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "made up" in page
    assert page.count("<svg") == 4
    assert (tmp_path / "report" / "report.md").read_text().count(".svg)") == 4


def test_made_up_titles_are_the_same_each_time(tmp_path: Path) -> None:
    made = runpy.run_path(str(GENRES / "catalogue.py"))["generate"]
    first, second = made(tmp_path / "a.parquet", months=2), made(tmp_path / "b.parquet", months=2)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "netflix_titles.parquet").is_file(), reason="needs netflix_titles.parquet in TRUEUP_DATA")
def test_half_a_year_of_real_titles(tmp_path: Path) -> None:
    """Trained once loses against the loop, and each line has its own cost."""
    said = study(tmp_path / "report", DATA, "2017-06-01", "2017-12-01")
    rows = {line[:22].strip(): line[22:].split() for line in said.splitlines()[1:5]}
    assert float(rows["monthly, all history"][0]) > float(rows["trained once"][0])
    assert int(rows["the loop"][2]) < int(rows["monthly, all history"][2]) == 6
    assert "made up" not in (tmp_path / "report" / "report.html").read_text()
