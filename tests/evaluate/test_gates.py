# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueup.core.errors import ArgumentError
from trueup.core.json import dumps
from trueup.core.protocols import Prediction, Unmeasured
from trueup.core.values import from_json, to_json
from trueup.evaluate import (
    AUC,
    Accuracy,
    AtLeast,
    Custom,
    F1Macro,
    Gate,
    LogLoss,
    NoWorse,
    Remembered,
    gate_seed,
)
from trueup.evaluate.items import order


def sometimes(given: Any, answer: Any, label: Any) -> Any:
    return Unmeasured("judge was silent") if int(given["id"][1:]) % 8 == 0 else float(answer == label)


def rarely(given: Any, answer: Any, label: Any) -> Any:
    return Unmeasured("judge was silent") if int(given["id"][1:]) % 40 == 0 else float(answer == label)


def probable(inputs: Any) -> list[Prediction]:
    return [Prediction("x", {"x": 0.9, "y": 0.1}) for _ in inputs]


# -- AtLeast ----------------------------------------------------------------------------------------


def test_a_floor_is_reached_or_not(world: Any, new: Any, core: Any) -> None:
    """EVL-04: offline test gate with thresholds."""
    items = world(500, 1)
    score = np.mean([row["new"] == "x" for row in items.inputs])
    assert AtLeast(Accuracy(), score, on=core).judge(new, None, items, seed=1).passed
    result = AtLeast(Accuracy(), score + 0.001, on=core).judge(new, None, items, seed=1)
    assert not result.passed
    assert f"accuracy on core: {score:.3f} [" in result.reason
    assert "at least" in result.reason
    assert result.evidence["challenger"]["n_measured"] == 500
    dumps(dict(result.evidence))


def test_a_floor_for_what_should_be_low_is_a_ceiling(world: Any, core: Any) -> None:
    items = world(100, 1)
    loss = -np.log(0.9)
    gate = AtLeast(LogLoss(), loss + 0.001, on=core)
    result = gate.judge(probable, None, items, seed=1)
    assert result.passed, result.reason
    assert "at most" in result.reason
    assert not AtLeast(LogLoss(), loss - 0.001, on=core).judge(probable, None, items, seed=1).passed


def test_every_slice_has_to_reach_its_floor(world: Any, new: Any, core: Any) -> None:
    items = world(600, 3, base=0.9, win=0.03, loss=0.03, bad_slice=0.5)
    passed = AtLeast(Accuracy(), 0.80, on=core, slices={"genre": 0.30}).judge(new, None, items, seed=0)
    assert passed.passed
    assert "each slice reaches its own, the least: genre anime 0." in passed.reason
    failed = AtLeast(Accuracy(), 0.80, on=core, slices={"genre": 0.80}).judge(new, None, items, seed=0)
    assert not failed.passed
    assert "below it: genre anime 0." in failed.reason
    assert {part["slice"] for part in failed.evidence["floors"] if not part["passed"]} == {"anime"}
    assert AtLeast(Accuracy(), 0.80, on=core, slices={"genre": 0.8}).check(items) == []
    assert "no slicing 'era'" in AtLeast(Accuracy(), 0.80, on=core, slices={"era": 0.8}).check(items)[0]
    assert not AtLeast(Accuracy(), 0.80, on=core, slices={"era": 0.8}).judge(new, None, items, seed=0).passed


def test_a_slice_of_fewer_items_than_the_least_is_not_tested(world: Any, new: Any, champ: Any, core: Any) -> None:
    items = world(600, 3)
    gate = NoWorse(Accuracy(), by=0.10, on=core, slices={"genre": 0.10}, least=180)
    result = gate.judge(new, champ, items, seed=0)
    assert result.passed
    assert [part["slice"] for part in result.evidence["parts"]] == ["", "comedy", "drama"]
    assert "too small to test: genre anime (60 of 180)" in result.reason
    assert any("60 items" in note for note in gate.notes(items))


def test_a_metric_of_the_whole_set_has_its_interval(world: Any, new: Any, core: Any) -> None:
    items = world(400, 2)
    result = AtLeast(F1Macro(), 0.1, on=core).judge(new, None, items, seed=1)
    found = result.evidence["challenger"]
    assert found["low"] < found["mean"] < found["high"]
    assert result.evidence == AtLeast(F1Macro(), 0.1, on=core).judge(new, None, items, seed=1).evidence


def test_too_many_unmeasured_fail_closed(world: Any, new: Any, core: Any) -> None:
    items = world(400, 3, base=0.99, win=0.0, loss=0.0)
    result = AtLeast(Custom(sometimes), 0.1, on=core).judge(new, None, items, seed=1)
    assert not result.passed
    assert "50 of 400 unmeasured: judge was silent (50)" in result.reason
    few = AtLeast(Custom(rarely), 0.1, on=core).judge(new, None, items, seed=1)
    assert few.passed
    assert "10 of 400 unmeasured" in few.reason
    result = AtLeast(AUC(), 0.1, on=core).judge(probable, None, items, seed=1)
    assert not result.passed
    assert "one class only: x" in result.reason


@pytest.mark.parametrize("broken", [
    lambda inputs: [], lambda inputs: 1 / 0, lambda inputs: ["x"] * len(inputs),
    lambda inputs: [Prediction("x")] * (len(inputs) + 1),
])  # fmt: skip
def test_a_model_that_cannot_answer_fails_the_gate(broken: Any, world: Any, champ: Any, core: Any) -> None:
    items = world(200, 1)
    for gate in (AtLeast(Accuracy(), 0.1, on=core), NoWorse(Accuracy(), by=0.1, on=core)):
        result = gate.judge(broken, champ, items, seed=1)
        assert not result.passed
        assert "challenger" in result.reason
    assert "champion" in NoWorse(Accuracy(), by=0.1, on=core).judge(champ, broken, items, seed=1).reason


def test_a_floor_that_perfect_answers_miss_is_found_before(world: Any, core: Any) -> None:
    items = world(100, 1)
    assert AtLeast(Accuracy(), 0.9, on=core).check(items) == []
    assert AtLeast(LogLoss(), 0.5, on=core).check(items) == []
    assert "one class only: x" in AtLeast(AUC(), 0.9, on=core).check(items)[0]
    two = dataclasses.replace(items, targets=["x", "y"] * 50)
    assert AtLeast(AUC(), 0.9, on=core).check(two) == []
    unlabelled = dataclasses.replace(items, targets=[None] * 100)
    assert "no label" in AtLeast(Accuracy(), 0.9, on=core).check(unlabelled)[0]
    assert AtLeast(Accuracy(), 0.9, on=core).check(world(0, 1)) == ["golden set core: no items"]
    assert "perfect answers" in AtLeast(F1Macro(), 1.1, on=core).check(items)[0]


# -- NoWorse ----------------------------------------------------------------------------------------


def rate(gate: Any, world: Any, new: Any, champ: Any, runs: int, n: int, **kind: float) -> float:
    passed = 0
    for seed in range(runs):
        passed += gate.judge(new, champ, world(n, seed, **kind), seed=seed).passed
    return passed / runs


def test_an_equally_good_challenger_passes_and_a_worse_one_does_not(world: Any, new: Any, champ: Any, core: Any) -> None:
    """EVL-05: at the margin the gate passes at most `level` of the time; well inside, nearly always."""
    gate = NoWorse(Accuracy(), by=0.10, on=core, level=0.05)
    assert rate(gate, world, new, champ, 40, 300, win=0.05, loss=0.05) >= 0.9
    assert rate(gate, world, new, champ, 20, 300, win=0.05, loss=0.02) == 1.0
    assert rate(gate, world, new, champ, 200, 300, win=0.02, loss=0.12) <= 0.05 + 3 * 0.0154
    assert rate(gate, world, new, champ, 20, 300, win=0.0, loss=0.25) == 0.0


def test_the_forecast_is_what_happens(world: Any, new: Any, champ: Any, core: Any) -> None:
    gate = NoWorse(Accuracy(), by=0.05, on=core)
    said = gate.pass_probability(world(400, 0), disagreement=0.10)
    seen = rate(gate, world, new, champ, 100, 400, win=0.05, loss=0.05)
    assert abs(said - seen) < 0.12
    assert 0.5 < said < 1.0


def test_a_slice_that_got_worse_is_refused_and_named(world: Any, new: Any, champ: Any, core: Any) -> None:
    """EVL-05: by slice; without the slice gate the same challenger passes (the control)."""
    items = world(3000, 4, win=0.06, loss=0.01, bad_slice=0.4)
    with_slices = NoWorse(Accuracy(), by=0.05, on=core, slices={"genre": 0.10}).judge(new, champ, items, seed=1)
    assert not with_slices.passed
    assert "genre anime: 0." in with_slices.reason
    assert "genre drama" not in with_slices.reason
    assert "margin 10 pp, n=300" in with_slices.reason
    failed = [part["slice"] for part in with_slices.evidence["parts"] if not part["passed"]]
    assert failed == ["anime"]
    assert NoWorse(Accuracy(), by=0.05, on=core).judge(new, champ, items, seed=1).passed
    assert not NoWorse(Accuracy(), by=0.05, on=core, slices=True).judge(new, champ, items, seed=1).passed


def test_a_good_challenger_passes_in_every_slice(world: Any, new: Any, champ: Any, core: Any) -> None:
    items = world(3000, 5, win=0.06, loss=0.01)
    result = NoWorse(Accuracy(), by=0.05, on=core, slices={"genre": 0.10}).judge(new, champ, items, seed=1)
    assert result.passed, result.reason
    assert "and in each of 3 slices" in result.reason
    assert len(result.evidence["parts"]) == 4


def test_a_slice_too_small_is_reported_or_refused(world: Any, new: Any, champ: Any, core: Any) -> None:
    items = world(500, 6, win=0.06, loss=0.01)
    gate = NoWorse(Accuracy(), by=0.05, on=core, slices={"genre": 0.10})
    result = gate.judge(new, champ, items, seed=1)
    assert result.passed
    assert "too small to test: genre anime (50 of 56)" in result.reason
    assert [part["slice"] for part in result.evidence["too_small"]] == ["anime"]
    assert gate.check(items) == []
    named = [line for line in gate.notes(items) if "anime" in line]
    assert named == ["golden set core, genre anime: 50 items, margin 0.1, level 0.05 needs at least 56 items in full agreement: not tested"]
    strict = dataclasses.replace(gate, small_slices="refuse")
    assert not strict.judge(new, champ, items, seed=1).passed
    assert strict.check(items) == [named[0].removesuffix(": not tested")]


def test_check_refuses_a_gate_that_cannot_pass(world: Any, core: Any) -> None:
    items = world(170, 1)
    words = NoWorse(Accuracy(), by=0.01, on=core).check(items)
    assert words == ["golden set core: 170 items, margin 0.01, level 0.05 needs at least 597 items in full agreement"]
    assert NoWorse(Accuracy(), by=0.05, on=core).check(world(600, 1)) == []
    hopeless = NoWorse(Accuracy(), by=0.05, on=core).check(world(130, 1), disagreement=0.5)
    assert "an equally good candidate passes with probability 0.1" in hopeless[0]
    assert NoWorse(Accuracy(), by=0.05, on=core).check(world(130, 1), disagreement=0.0) == []
    unknown = NoWorse(Accuracy(), by=0.05, on=core, slices={"topic": 0.1})
    assert "got 'topic'" in unknown.check(world(600, 1))[0]
    assert not unknown.judge(lambda i: [], lambda i: [], world(600, 1), seed=1).passed
    tiny = NoWorse(Accuracy(), by=0.05, on=core, slices={"cohort": 0.02})
    assert "no slice is large enough" in tiny.check(world(600, 1))[0]


def test_the_note_tells_the_chance(world: Any, core: Any) -> None:
    note = NoWorse(Accuracy(), by=0.05, on=core).notes(world(600, 1))[0]
    assert note.startswith("golden set core: an equally good candidate passes with probability 0.9")
    assert "answers 15% of the items differently" in note


def test_a_champion_below_the_margin_makes_no_proof(world: Any, new: Any, champ: Any, core: Any) -> None:
    """A champion that is right on 3 % of the items cannot be undercut by 5 points: the reason says so."""
    gate = NoWorse(Accuracy(), by=0.05, on=core)
    poor = gate.judge(new, champ, world(500, 2, base=0.03, win=0.0, loss=0.0), seed=1)
    assert poor.passed
    assert "nothing could be worse by it" in poor.reason
    assert "nothing could" not in gate.judge(new, champ, world(500, 2, win=0.0, loss=0.0), seed=1).reason


def test_without_a_champion_there_is_nothing_to_be_worse_than(world: Any, new: Any, core: Any) -> None:
    result = NoWorse(Accuracy(), by=0.05, on=core).judge(new, None, world(10, 1), seed=1)
    assert result.passed
    assert "no champion" in result.reason


def test_unmeasured_pairs_fail_closed(world: Any, new: Any, champ: Any, core: Any) -> None:
    items = world(2000, 7, win=0.05, loss=0.0)
    result = NoWorse(Custom(sometimes), by=0.05, on=core).judge(new, champ, items, seed=1)
    assert not result.passed
    assert "250 unmeasured (judge was silent)" in result.reason
    assert NoWorse(Custom(rarely), by=0.05, on=core).judge(new, champ, items, seed=1).passed


def test_the_order_is_fixed_by_set_and_seed_and_not_by_the_file(world: Any, new: Any, champ: Any, core: Any) -> None:
    items = world(300, 8)
    one, two = order(items, 1), order(items, 2)
    assert sorted(one) == list(range(300))
    assert list(one) != list(two)
    assert list(one) != list(range(300))
    turned = dataclasses.replace(
        items, inputs=list(items.inputs)[::-1], targets=list(items.targets)[::-1],
        slices={key: list(part)[::-1] for key, part in items.slices.items()},
    )
    turned.digest = items.digest
    gate = NoWorse(Accuracy(), by=0.05, on=core, slices=True)
    a, b = gate.judge(new, champ, items, seed=1), gate.judge(new, champ, turned, seed=1)
    assert json.dumps(a.evidence, sort_keys=True) == json.dumps(b.evidence, sort_keys=True)
    assert gate_seed("d", "c-1") != gate_seed("d", "c-2")


def test_items_in_no_slice_are_tested_overall_only(world: Any, new: Any, champ: Any, core: Any) -> None:
    items = world(1000, 9, win=0.05, loss=0.0)
    some = dataclasses.replace(items, slices={"genre": ["drama" if i < 200 else None for i in range(1000)]})
    result = NoWorse(Accuracy(), by=0.05, on=core, slices={"genre": 0.1}).judge(new, champ, some, seed=1)
    assert [(part["slice"], part["n"]) for part in result.evidence["parts"]] == [("", 1000), ("drama", 200)]


@pytest.mark.parametrize("kind", [
    {"by": 0.0}, {"by": 1.0}, {"by": True}, {"by": "x"}, {"level": 0.0}, {"level": 1.5}, {"slices": {"genre": 0.0}},
    {"slices": "genre"}, {"small_slices": "ignore"}, {"scorer": F1Macro()},
])  # fmt: skip
def test_bad_gates_are_refused(kind: dict[str, Any], core: Any) -> None:
    with pytest.raises(ArgumentError, match="expected"):
        NoWorse(**{"scorer": Accuracy(), "by": 0.05, "on": core, **kind})


def test_bad_floors_are_refused(core: Any) -> None:
    for floor in (1.5, -0.1, float("nan"), True):
        with pytest.raises(ArgumentError, match="expected a"):
            AtLeast(Accuracy(), floor, on=core)
    with pytest.raises(ArgumentError, match="scorer or a metric"):
        AtLeast("accuracy", 0.5, on=core)


def test_gates_are_values_on_real_golden_sets() -> None:
    data = pytest.importorskip("trueup.data")
    golden = data.GoldenSet("core", Path("golden/core.jsonl"), slices=("genre",))
    for gate in (
        AtLeast(Accuracy(), 0.9, on=golden), AtLeast(LogLoss(), 0.9, on=golden),
        NoWorse(Accuracy(), by=0.05, on=golden, slices={"genre": 0.1}),
    ):  # fmt: skip
        assert isinstance(gate, Gate)
        assert from_json(json.loads(dumps(to_json(gate)))) == gate
        hash(gate)


def test_gates_share_a_models_answers(world: Any, core: Any) -> None:
    asked = []

    def answer(inputs: Any) -> list[Prediction]:
        asked.append(len(inputs))
        return [Prediction("x") for _ in inputs]

    shared = Remembered(answer)
    items = world(50, 1)
    for _ in range(3):
        AtLeast(Accuracy(), 0.5, on=core).judge(shared, None, items, seed=1)
    assert asked == [50]
