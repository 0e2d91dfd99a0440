# SPDX-License-Identifier: Apache-2.0
"""A candidate is proved by answers that its parameters made, and by nothing else (REL-01, REL-14)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup import Loop, Outcome, Parameter, Risk, Task
from trueup.client import Client
from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Refused
from trueup.core.protocols import ParameterPredictor
from trueup.data import Recipe
from trueup.evaluate import Accuracy, AtLeast
from trueup.loop.context import Context
from trueup.loop.steps import gates
from trueup.models import ConstantModel, ParameterFunctionModel, load
from trueup.release import AB, Approval, Full, Ruling, Shadow, Terms, Traits, advance, offer
from trueup.state import LoopState, candidate, decide, read, register
from trueup.store import Ledger
from trueup.testing import ToyTraffic, check_value, simulate
from trueup.train import Sklearn
from trueup.triggers import Cron, Rows

START, DAY, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1), timedelta(hours=1)
FLIP = Parameter("flip", "number", 0.0, low=0.0, high=1.0)
KIND = Outcome.of_input("kind", within=2 * HOUR)
LIKED = Outcome.boolean("liked", within=HOUR, absent=False)
NONSENSE, HARMLESS = {"flip": 0.9}, {"flip": 0.001}


def flipped(inputs: Sequence[Any], parameters: dict[str, Any]) -> list[Any]:
    """Says "animal", or nonsense to the share `flip` of the inputs, which are numbers in [0, 1)."""
    return ["nonsense" if given < parameters.get("flip", 0.0) else "animal" for given in inputs]


def loop(champion: Any, *stages: Any, **changes: Any) -> Loop:
    stages = stages or (Shadow(Accuracy(), no_worse_by=0.05, max_time=30 * DAY), Full())
    return Loop(
        **{
            "name": "toys", "task": Task("sentence", "kind", "user", parameters=[FLIP]), "outcomes": [KIND, LIKED],
            "look": Cron("daily"), "champion": champion, "when": [Rows(10**7)], "recipe": Recipe(window=None, min_rows=10**6),
            "trainer": Sklearn("logistic"), "release": stages, "risk": Risk(wrong_promotion=0.05), **changes,
        }
    )


class App(ToyTraffic):
    """An application that replaces the share `flip` of a model's answers by nonsense, where the model does not."""

    def __init__(self, seed: int, *, units_a_day: int = 300) -> None:
        super().__init__(seed, units_a_day=units_a_day)
        self.right: list[tuple[datetime, bool]] = []

    def _one(self, client: Client, now: datetime) -> None:
        self._units += 1
        kind = "animal" if self.rng.random() < 0.9 else "plant"
        given = float(self.rng.random())
        choice = client.choose(f"u{self._units}")
        model = client.load(choice, trust_code=True)
        answer = model.predict([given])[0].value
        if isinstance(model, ConstantModel) and given < choice.parameters.get("flip", 0.0):
            answer = "nonsense"
        self.right.append((now, answer == kind))
        client.log(choice, given, answer, seconds=0.01)
        if answer == kind:
            client.feedback(choice.id, "liked", True)
        self._due.append((now + HOUR, choice.id, kind, ""))

    def accuracy(self, since: datetime) -> float:
        seen = [right for at, right in self.right if at >= since]
        return sum(seen) / len(seen)


def lives(
    one: Loop, begin: Callable[[Ledger], Any], home: Path, *, days: int = 6, seed: int = 1
) -> tuple[list[Decision], App, LoopState]:
    """The Decisions after `begin` has offered something to a loop that serves, what was served, and the end."""
    begun: list[Decision] = []

    def after(ledger: Ledger, _: list[Decision]) -> None:
        if not begun:
            begin(ledger)
            begun.extend(ledger.decisions(one.name, newest=True, limit=1))

    app = App(seed)
    with simulate(one, app, start=START, until=START + days * DAY, home=home, after=after) as made:
        return [d for d in made.decisions if d.kind not in ("look", "install")], app, read(made.ledger, one.name)[1]


def enlisted(ledger: Ledger, parameters: dict[str, Any]) -> None:
    """Let a candidate wait that no offer has looked at, as an older version did."""
    generation, state = read(ledger, "toys")
    base = candidate(ledger, "toys", str(state.champion))
    made = register(ledger, "toys", base.model, parent=base.id, parameters=parameters)
    decide(ledger, "toys", generation, replace(state, waiting=made.id), kind="candidate", verdict="PASS", reason="t")


def severe(one: Loop) -> list[str]:
    return [found.what for found in one.check() if found.severe]


# -- a Shadow of a model that takes no parameters ------------------------------------------------------


def test_check_and_offer_refuse_a_candidate_that_its_models_answers_do_not_show(tmp_path: Path) -> None:
    one = loop(ConstantModel("animal"))
    assert len(severe(one)) == 1
    assert "expected a model that takes the parameters of candidates (flip), got a ConstantModel" in severe(one)[0]
    assert "cure: test it by an AB, a Bandit or an Interleave" in severe(one)[0]

    def attack(ledger: Ledger) -> None:
        champion = read(ledger, "toys")[1].champion
        with pytest.raises(Refused, match="takes the parameters") as error:
            offer(ledger, "toys", parameters=NONSENSE, declared=[FLIP], reason="a bold one")
        assert "AB, a Bandit or an Interleave" in error.value.cure
        assert [one.id for one in _candidates(ledger)] == [champion], "what is refused is not registered"

    made, app, state = lives(one, attack, tmp_path, days=2)
    assert made == []
    assert app.accuracy(START) > 0.85
    assert state.tests == (), "it spends no level"


@pytest.mark.parametrize("seed", range(3))
def test_a_candidate_that_waits_all_the_same_is_dropped_and_spends_no_level(seed: int, tmp_path: Path) -> None:
    """The attack as it was: promoted 20 of 20, and the accuracy served fell from .89 to .09."""
    made, app, state = lives(
        loop(ConstantModel("animal")), lambda ledger: enlisted(ledger, NONSENSE), tmp_path, seed=seed, days=3
    )
    assert [(one.kind, one.verdict) for one in made] == [("stop", "REFUSE")]
    assert "got a ConstantModel, which answers the same" in made[0].reason
    assert app.accuracy(START) > 0.85
    assert state.tests == ()


def test_a_champion_with_parameters_is_compared_with_no_raw_answers(tmp_path: Path) -> None:
    """Its logged answers were made with its parameters: a model without any is compared with them no more."""

    def begin(ledger: Ledger) -> None:
        folder = tmp_path / "new"
        ConstantModel("plant").write(folder, "label")
        made = register(ledger, "toys", ledger.artifacts.put_tree(folder))
        with pytest.raises(Refused, match=f"parameters of the champion {read(ledger, 'toys')[1].champion}"):
            offer(ledger, "toys", made.id, reason="no parameters at all")
        generation, state = read(ledger, "toys")
        decide(ledger, "toys", generation, replace(state, waiting=made.id), kind="candidate", verdict="PASS", reason="t")

    made, _, _ = lives(loop(ConstantModel("animal")), begin, tmp_path / "home", days=2)
    assert [(one.kind, one.verdict) for one in made] == [("stop", "REFUSE")]


def test_a_shadow_that_began_before_is_invalid(stand: Any) -> None:
    """The release of an older version, which runs: it ends as INVALID."""
    strict = {stand.champion: False}

    def predictor(ident: str) -> Any:
        if strict[stand.champion]:
            raise Refused("expected a model that takes the parameters", cure="test it by an AB")
        return load(stand.ledger.artifacts.path(candidate(stand.ledger, "l", ident).model))

    base = candidate(stand.ledger, "l", stand.challenger)
    stand.predictor = predictor
    stand.offer(register(stand.ledger, "l", base.model, parameters={"t": 1}).id)
    assert [one.verdict for one in stand.advance()] == ["NOTE"]
    strict[stand.champion] = True
    stand.labelled(50, 0.9, 0.5)
    assert [one.verdict for one in stand.advance(2 * HOUR)] == ["INVALID"]
    assert stand.state.release is None


def test_an_ab_with_such_a_candidate_goes_its_way(tmp_path: Path) -> None:
    """The cure: users see what the application makes of the parameters, and nonsense is refused."""
    one = loop(ConstantModel("animal"), AB(LIKED, no_worse_by=0.1, units=1_200, max_time=9 * DAY), Full())
    assert severe(one) == []
    made, _, state = lives(
        one, lambda ledger: offer(ledger, "toys", parameters=NONSENSE, declared=[FLIP], reason="t"), tmp_path, days=9
    )
    assert made[-1].verdict == "REFUSE"
    assert state.routing["parameters"]["champion"] == {"flip": 0.0}


# -- a model that takes parameters ---------------------------------------------------------------------


@pytest.mark.parametrize(("parameters", "verdict"), [(NONSENSE, "REFUSE"), (HARMLESS, "PROMOTE")])
def test_a_model_that_takes_parameters_is_shadowed_with_them(parameters: dict[str, Any], verdict: str, tmp_path: Path) -> None:
    one = loop(ParameterFunctionModel(flipped), Shadow(Accuracy(), no_worse_by=0.05, units=800, max_time=30 * DAY), Full())
    assert severe(one) == []
    made, app, state = lives(
        one, lambda ledger: offer(ledger, "toys", parameters=parameters, declared=[FLIP], reason="t"), tmp_path
    )
    assert made[-1].verdict == verdict
    assert app.accuracy(START) > 0.85
    assert state.routing["parameters"]["champion"] == (parameters if verdict == "PROMOTE" else {"flip": 0.0})


def test_an_arm_is_proved_by_the_shadow_that_it_enters(tmp_path: Path) -> None:
    """[AB(arms=...), Shadow]: the arm that was chosen is what the shadow asks, with its parameters."""
    arms = {"bold": NONSENSE, "calm": HARMLESS}
    one = loop(
        ParameterFunctionModel(flipped), AB(LIKED, no_worse_by=0.2, units=900, arms=arms, max_time=12 * DAY),
        Shadow(Accuracy(), no_worse_by=0.05, units=800, max_time=9 * DAY), Full(),
    )
    assert severe(one) == []
    made, _, state = lives(
        one, lambda ledger: offer(ledger, "toys", parameters={"flip": 0.01}, declared=[FLIP], reason="t"), tmp_path, days=14
    )
    assert [one.kind for one in made] == ["start", "stage", "stage", "promote"]
    assert state.routing["parameters"]["champion"] == HARMLESS
    assert made[2].evidence["parameters"]["candidate"] == state.champion


def test_gates_ask_a_trained_model_with_the_parameters_that_it_inherits(tmp_path: Path, golden_numbers: Any) -> None:
    one = loop(ParameterFunctionModel(flipped), gates=[AtLeast(Accuracy(), 0.5, on=golden_numbers)])
    folder = tmp_path / "model"
    ParameterFunctionModel(flipped).write(folder, "label")
    with Ledger.open(tmp_path / "home") as ledger:
        context = Context(one, ledger)
        model = ledger.artifacts.put_tree(folder)
        for parameters, passed in ((NONSENSE, False), (HARMLESS, True)):
            champion = register(ledger, "toys", model, parameters=parameters).id
            data = {"model": model.to_json(), "champion": champion, "snapshot": None, "cut": 0, "now": 0, "metrics": {}}
            assert gates(context, data)["passed"] is passed


@pytest.fixture
def golden_numbers(tmp_path: Path) -> Any:
    from trueup.core.json import dumps
    from trueup.data import GoldenSet

    path = tmp_path / "golden.jsonl"
    path.write_text("".join(dumps({"input": at / 100, "target": "animal"}) + "\n" for at in range(100)))
    return GoldenSet("core", path)


def test_a_model_of_parameters_comes_back_from_its_folder(tmp_path: Path) -> None:
    model = ParameterFunctionModel(flipped)
    check_value(model)
    model.write(tmp_path, "label")
    found = load(tmp_path, trust_code=True)
    assert isinstance(found, ParameterPredictor)
    assert not isinstance(ConstantModel("a"), ParameterPredictor)
    assert [one.value for one in found.predict([0.5])] == ["animal"]
    assert [one.value for one in found.with_parameters(NONSENSE).predict([0.5])] == ["nonsense"]
    with pytest.raises(Refused):
        load(tmp_path)


# -- what is proved is what goes on --------------------------------------------------------------------


class Passes(Traits):
    """A stage of somebody's own, which may prove, or let another candidate go on."""

    def __init__(self, *, proven: bool = False, candidate: str | None = None) -> None:
        self.proven, self.candidate = proven, candidate

    def problems(self, terms: Terms) -> list[str]:
        return []

    def enter(self, scene: Any) -> dict[str, Any]:
        return {}

    def rule(self, scene: Any) -> Ruling:
        return Ruling("PASS", "t", proven=self.proven, candidate=self.candidate)


@pytest.mark.parametrize("other", [False, True])
def test_a_proof_goes_with_the_candidate_that_it_proved(other: bool, stand: Any, tmp_path: Path) -> None:
    third = stand.model("third", tmp_path)
    stand.stages = [Passes(proven=True), Passes(candidate=third if other else stand.challenger), Full()]
    stand.offer()
    made = stand.advance()
    assert made[-1].verdict == ("REFUSE" if other else "PROMOTE")
    assert stand.state.champion == (stand.champion if other else stand.challenger)


def test_arms_after_the_deciding_stage_are_refused(tmp_path: Path, stand: Any) -> None:
    shadow = Shadow(Accuracy(), no_worse_by=0.05, units=400)
    stages = (shadow, AB(LIKED, arms={"bold": NONSENSE}), Full())
    assert any("lets one of its arms go on" in one for one in severe(loop(ParameterFunctionModel(flipped), *stages)))
    stand.stages = list(stages)
    stand.offer()
    assert [one.verdict for one in stand.advance()] == ["REFUSE"]
    assert stand.state.tests == ()
    assert severe(loop(ParameterFunctionModel(flipped), stages[1], shadow, Full())) == []


def test_a_release_that_had_swapped_before_is_not_promoted(stand: Any) -> None:
    """The recorded state of an older version: proven by the shadow, and an arm of the A/B goes on."""
    stand.stages = [Passes(proven=True), Passes(), Approval(), Full()]
    stand.offer()
    stand.advance()
    generation, state = read(stand.ledger, "l")
    assert state.release is not None
    assert state.release.proven
    decide(stand.ledger, "l", generation, replace(state, release=replace(state.release, stage=3)), kind="stage", verdict="PASS", reason="t")
    stand.stages = [Shadow(Accuracy()), AB(LIKED, arms={"bold": NONSENSE}), Approval(), Full()]
    assert [one.verdict for one in stand.advance()] == ["REFUSE"]


def test_a_later_stage_that_cannot_load_the_model_ends_the_release(stand: Any) -> None:
    """[..., Shadow]: it raised at every look, and the release stood for ever."""

    def broken(ident: str) -> Any:
        raise ValueError("gone")

    stand.predictor = broken
    stand.stages = [Passes(), Shadow(Accuracy()), Full()]
    stand.offer()
    made = list(advance(stand.ledger, stand.terms()))
    assert [one.verdict for one in made] == ["NOTE", "INVALID"]
    assert "cannot be loaded: ValueError: gone" in made[-1].reason
    assert stand.state.since == to_us(START)


def _candidates(ledger: Ledger) -> Any:
    from trueup.state import candidates

    return candidates(ledger, "toys")
