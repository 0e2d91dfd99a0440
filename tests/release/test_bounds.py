# SPDX-License-Identifier: Apache-2.0
"""One value outside its declared bounds voids a release: it switches no guardrail off (REL-05, REL-06)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup import Loop, Outcome, Parameter, Risk, Task
from trueup.client import Client
from trueup.core.decisions import Decision
from trueup.core.json import dumps
from trueup.data import Recipe
from trueup.loop import why
from trueup.models import ConstantModel
from trueup.release import AB, Bandit, Full, Guardrails, NoHarm, offer, recompute
from trueup.state import LoopState, decide, read
from trueup.store import Ledger
from trueup.testing import Simulation, ToyTraffic, simulate
from trueup.train import Sklearn
from trueup.triggers import Cron, Rows

START, DAY, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1), timedelta(hours=1)
LIKED = Outcome.number("liked", low=0.0, high=1.0, within=HOUR)
WAIT = Outcome.number("wait", low=0.0, high=60.0, better="lower", within=HOUR)
TONE = Parameter("tone", "text", "plain")
GUARD = Guardrails(outcomes=[NoHarm(WAIT, 0.05)])
STAGES = {
    "ab": AB(LIKED, no_worse_by=0.1, units=1_500, guardrails=GUARD),
    "bandit": Bandit(LIKED, no_worse_by=0.1, units=1_500, floor=0.3, guardrails=GUARD),
}


def loop(stage: Any) -> Loop:
    return Loop(
        "toys", task=Task("sentence", "kind", "user", parameters=[TONE]), outcomes=[LIKED, WAIT, Outcome.of_input("kind")],
        look=Cron("daily"), champion=ConstantModel("animal"), when=[Rows(10**7)],
        recipe=Recipe(window=None, min_rows=10**6), trainer=Sklearn("logistic"), release=[stage, Full()], risk=Risk(wrong_promotion=0.05),
    )


class App(ToyTraffic):
    """A bold tone is liked more, and people wait longer for it. The 340th unit (the release has begun) says `odd` of one outcome."""

    def __init__(self, odd: tuple[str, Any] | None, seed: int = 1) -> None:
        super().__init__(seed, units_a_day=300)
        self.odd = odd

    def _one(self, client: Client, now: datetime) -> None:
        self._units += 1
        choice = client.choose(f"u{self._units}")
        bold = choice.parameters["tone"] == "bold"
        client.log(choice, "x", "animal", seconds=0.01)
        told = {"liked": float(self.rng.random() < (0.7 if bold else 0.4)), "wait": float(self.rng.uniform(0, 60) * (1.0 if bold else 0.5))}
        if self._units == 340 and self.odd is not None:
            told[self.odd[0]] = self.odd[1]
        for name, value in told.items():
            client.feedback(choice.id, name, value)


def lived(home: Path, odd: tuple[str, Any] | None, stage: str = "ab", *, older: bool = False) -> Simulation:
    """Ten days of a challenger that harms; `older` is a release that a version before this rule began."""
    done: list[Decision] = []

    def after(ledger: Ledger, _: list[Decision]) -> None:
        if not done:
            done.append(offer(ledger, "toys", parameters={"tone": "bold"}, declared=[TONE], reason="t"))
        generation, state = read(ledger, "toys")
        if older and state.release is not None and "bounded" in dumps(state.release.parameters):
            decide(ledger, "toys", generation, before(state), kind="stage", verdict="NOTE", reason="as it was")

    return simulate(loop(STAGES[stage]), App(odd), start=START, until=START + 10 * DAY, home=home, after=after)


def before(state: LoopState) -> LoopState:
    assert state.release is not None
    return replace(state, release=replace(state.release, parameters=as_it_was(state.release.parameters)))


def as_it_was(parameters: dict[str, Any]) -> dict[str, Any]:
    harms = [{name: part for name, part in one.items() if name != "bounded"} for one in parameters["harms"]]
    return {**parameters, "harms": harms}


def last(made: Simulation) -> Decision:
    return [one for one in made.decisions if one.kind not in ("look", "step")][-1]


@pytest.mark.parametrize("stage", ["ab", "bandit"])
def test_the_control_rolls_back(stage: str, tmp_path: Path) -> None:
    with lived(tmp_path, None, stage) as made:
        assert last(made).verdict == "ROLLBACK"
        assert "harm in wait" in last(made).reason


@pytest.mark.parametrize("stage", ["ab", "bandit"])
@pytest.mark.parametrize("odd", [("wait", 61.0), ("wait", -0.5), ("wait", "long"), ("liked", 1.5)])
def test_one_value_out_of_bounds_is_invalid_whichever_outcome_it_is_of(odd: tuple[str, Any], stage: str, tmp_path: Path) -> None:
    """The attack: promoted 20 of 20, where the control was rolled back."""
    with lived(tmp_path, odd, stage) as made:
        found = last(made)
        assert found.verdict == "INVALID"
        assert f"an outcome {odd[0]} is outside its declared bounds" in found.reason
        assert read(made.ledger, "toys")[1].routing["parameters"]["champion"] == {"tone": "plain"}
        assert why(made.ledger, found.id).matches is True


def test_evidence_of_before_gives_the_same_result_and_a_release_of_before_is_invalid(tmp_path: Path) -> None:
    with lived(tmp_path, ("wait", 61.0), older=True) as made:
        found = last(made)
        assert found.verdict == "INVALID"
        result = found.evidence["result"]
        assert result["invalid"] is None, "as the version that began it computed it"
        assert "outside" in result["harms"]["wait"]["invalid"]
        assert dumps(recompute(made.ledger, "toys", found.evidence)) == dumps(result)
        assert any("outside its declared bounds" in line for line in why(made.ledger, found.id).lines)


def test_check_reads_the_guardrails_of_every_experiment() -> None:
    for stage in STAGES.values():
        other = Guardrails(outcomes=[NoHarm(replace(WAIT, high=30.0))])
        words = [str(one) for one in loop(replace(stage, guardrails=other)).check()]
        assert any("decides on an outcome 'wait' that differs from the declared one" in one for one in words)
