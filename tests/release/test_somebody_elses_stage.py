# SPDX-License-Identifier: Apache-2.0
"""A stage and its evidence from another package, through run, why, receipt, verify and card."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core import values
from trueup.core.errors import UnknownName
from trueup.core.task import Outcome, Task
from trueup.core.values import from_json
from trueup.curate import CapPerUnit, Deduplicate
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.loop import Loop, why
from trueup.loop.card import read_card
from trueup.loop.receipts import path_of, verify_receipt
from trueup.loop.status import lines, status
from trueup.models import ConstantModel
from trueup.release import (
    AB,
    METHODS,
    Approval,
    Bandit,
    Canary,
    Full,
    Interleave,
    Shadow,
    evidence_of,
    method,
    recompute,
)
from trueup.release.offline import passes
from trueup.state import read
from trueup.testing import ToyTraffic, check_stage, simulate
from trueup.train import Sklearn
from trueup.triggers import Cron

DAY, START = timedelta(days=1), datetime(2026, 1, 1, tzinfo=UTC)
CLICK = Outcome.boolean("click", within=timedelta(hours=1))


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "plugins" / "volume"))
    values._load_entry_points.cache_clear()  # a package is installed before a process starts
    assert evidence_of("volume").name == "volume"  # found through its entry point
    return sys.modules["trueup_volume"]


def test_an_unknown_kind_is_an_error_and_never_a_pass() -> None:
    with pytest.raises(UnknownName, match="my_stage"):
        passes("my_stage", {"invalid": None}, {}, 0)


def test_a_kind_that_is_one_function_is_recomputed_and_never_passes() -> None:
    method("counted")(lambda ledger, loop, parameters, cut, now: {"units": parameters["n"], "invalid": None})
    given: Any = {"method": "counted", "parameters": {"n": 3}, "cut": 0, "now": 0}
    nowhere: Any = None
    assert recompute(nowhere, "l", given)["units"] == 3
    assert not passes("counted", {"units": 3, "invalid": None}, {"n": 3}, 0)
    del METHODS["counted"]
    with pytest.raises(UnknownName, match="counted"):
        recompute(nowhere, "l", given)


def test_a_stage_of_another_package_is_run_explained_and_verified(plugin: Any, tmp_path: Path) -> None:
    stage: Any = from_json({"kind": "stage.volume", "least": 150})
    check_stage(stage)
    loop = Loop(
        name="toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind", within=DAY)],
        look=Cron("daily"), champion=ConstantModel("animal"), when=[Cron("0 0 */5 * *")], recipe=Recipe(window=14 * DAY, min_rows=100, curate=[CapPerUnit(0.05), Deduplicate()]),
        trainer=Sklearn("logistic"), release=[Shadow(Accuracy(), no_worse_by=0.2, max_time=30 * DAY), stage, Full()],
    )
    cards: list[Any] = []
    shown_by_status: list[Any] = []

    def after(ledger: Any, _: Any) -> None:
        state = read(ledger, "toys")[1]
        if state.release is not None and state.release.stage == 1:
            cards.append(read_card(tmp_path, "toys", state))
            shown_by_status.append(status(ledger, "toys"))

    with simulate(loop, ToyTraffic(1), start=START, until=START + 12 * DAY, home=tmp_path, after=after) as found:
        passed = next(one for one in found.decisions if one.evidence.get("method") == "volume" and one.verdict == "PASS")
        told = why(found.ledger, passed.id)
        assert told.matches is True
        assert any("good requests of 150 wanted" in line for line in told.lines)
        check_stage(stage, passed.evidence["result"], passed.evidence["parameters"])
        assert told.to_json()["verdicts"][0]["facts"][0]["code"] == "volume.seen"
        promoted = next(one for one in found.decisions if one.kind == "promote" and one.evidence.get("release"))
        shown = verify_receipt(path_of(tmp_path, promoted))
        assert shown.says == "holds"
        assert any("volume: " in line for line in shown.lines)
        assert cards
        assert cards[0]["checks"][0]["name"] == "evidence"
        assert shown_by_status[0].stage.startswith("volume (2 of 3)")
        assert "  green  evidence: valid" in lines(shown_by_status[0])


@pytest.mark.parametrize("stage", [
    Shadow(Accuracy()), Canary(0.1), AB(CLICK, no_worse_by=0.02), Bandit(CLICK, no_worse_by=0.02), Interleave("opened"),
    Approval(by="owners"), Full(),
], ids=lambda stage: type(stage).__name__)  # fmt: skip
def test_the_stages_that_come_with_it_hold_to_the_same_contract(stage: Any) -> None:
    check_stage(stage)


def test_a_stage_that_decides_on_evidence_that_does_not_is_refused(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin.Volume, "carries", 1)
    with pytest.raises(AssertionError, match="volume is not deciding"):
        check_stage(plugin.Volume())
