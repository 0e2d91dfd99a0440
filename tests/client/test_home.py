# SPDX-License-Identifier: Apache-2.0
"""Where the home lies."""

from pathlib import Path

import pytest

from trueup.client import find_home


@pytest.fixture(autouse=True)
def _no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUEUP_HOME", raising=False)


def test_the_environment_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "x"))
    assert find_home() == tmp_path / "x"
    monkeypatch.setenv("TRUEUP_HOME", "~/ledger")
    assert find_home() == Path.home() / "ledger"


def test_beside_the_nearest_project_going_up(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    assert find_home(deep) == tmp_path / ".trueup"
    (tmp_path / "a" / "b" / "news_loop.py").touch()
    assert find_home(deep) == tmp_path / "a" / "b" / ".trueup"
    (deep / "loop.py").touch()
    assert find_home(deep) == deep / ".trueup"


def test_a_loop_file_has_its_home_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "loops").mkdir()
    (tmp_path / "loops" / "mine.py").touch()
    assert find_home(tmp_path / "loops" / "mine.py") == tmp_path / "loops" / ".trueup"


def test_the_working_directory_is_where_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loop.py").touch()
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path / "app")
    monkeypatch.setenv("TRUEUP_HOME", " ")
    assert find_home() == tmp_path / ".trueup"
    assert not (tmp_path / ".trueup").exists()
