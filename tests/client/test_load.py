# SPDX-License-Identifier: Apache-2.0
"""load: the model of the chosen candidate, read once, verified; and the quickstart that uses it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trueup.client import Choice, connect
from trueup.core.errors import ArgumentError, DataError, NotFound, TrueupError
from trueup.models import ConstantModel
from trueup.route import Routing
from trueup.store import Ledger

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "app.py"


def candidate(ledger: Ledger, folder: Path, name: str, answer: str, loop: str = "news") -> Path:
    ConstantModel(answer).write(folder / name, "label")
    ref = ledger.artifacts.put_tree(folder / name)
    ledger.put(loop, "candidate", name, {"id": name, "model": ref.to_json()})
    return ledger.artifacts.path(ref)


def test_each_arm_has_its_model(home: Path, ledger: Ledger, decide: Any, half: Any, tmp_path: Path) -> None:
    """REG-01: a choice leads to exactly the model that its candidate names."""
    for name in ("c-1", "c-2"):
        candidate(ledger, tmp_path, name, f"says {name}")
    decide(half)
    with connect("news", home) as client:
        for i in range(20):
            choice = client.choose(str(i))
            assert client.load(choice).predict(["x"])[0].value == f"says {choice.candidate}"
        assert client.load(choice) is client.load(choice)


def test_a_model_that_was_tampered_with_is_not_loaded(
    home: Path, ledger: Ledger, decide: Any, tmp_path: Path
) -> None:
    stored = candidate(ledger, tmp_path, "c-1", "true")
    decide(Routing("c-1"))
    file = stored / "model.json"
    file.chmod(0o600)
    file.write_text(file.read_text().replace("true", "false"))
    with connect("news", home) as client, pytest.raises(TrueupError, match="expected"):
        client.load(client.choose("u"))


def test_what_cannot_be_loaded_says_why(home: Path, ledger: Ledger, decide: Any) -> None:
    with connect("news", home) as client:
        with pytest.raises(NotFound, match="which has none yet"):
            client.load(client.choose("u"))
        with pytest.raises(ArgumentError, match="expected a choice"):
            client.load("c-1")  # type: ignore[arg-type]
        other = Choice("id", "champion", "c-9", {}, None, 0, None, "u")
        with pytest.raises(NotFound, match="expected the candidate c-9"):
            client.load(other)
        ledger.put("news", "candidate", "c-9", {"id": "c-9"})
        with pytest.raises(DataError, match="expected a model in the candidate c-9"):
            client.load(other)


def test_models_are_not_kept_forever(home: Path, ledger: Ledger, tmp_path: Path) -> None:
    with connect("news", home) as client:
        for i in range(10):
            candidate(ledger, tmp_path, f"c-{i}", str(i))
            client.load(Choice("id", "champion", f"c-{i}", {}, None, 0, None, "u"))
        assert len(client._models._loaded) == 4


@pytest.mark.parametrize("champion", [None, "c-1"])
def test_the_quickstart(home: Path, tmp_path: Path, champion: str | None) -> None:
    from trueup.core import Decision

    with Ledger.open(home) as ledger:
        if champion:
            candidate(ledger, tmp_path, champion, "Comedy", loop="genres")
            state = {"routing": Routing(champion).to_json()}
            ledger.decide(Decision("genres", 1_700_000_000_000_000, "route", "NOTE", "", state), expect=0)
    done = subprocess.run(
        [sys.executable, str(QUICKSTART)], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TRUEUP_HOME": str(home)},
    )
    answer = "Comedy" if champion else "Drama"
    assert done.stdout.splitlines()[0] == f"ada: Alien is {answer}, says the champion"
    with Ledger.open(home) as ledger:
        written = ledger.scan("genres", ["interaction", "outcome"]).to_pylist()
    assert [row["kind"] for row in written] == ["interaction", "outcome"] * 3
    assert {row["candidate"] for row in written if row["kind"] == "interaction"} == {champion}
