# SPDX-License-Identifier: Apache-2.0
"""Who may be drawn: holdbacks, layers, overrides, several arms, GrowthBook's hash (REL-11)."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import Any

import pytest

from trueup.core.errors import ArgumentError, DataError, UnknownName
from trueup.route import Assigned, Routing, Slice, Span, assign, growthbook_hash, position

UNITS = [f"user-{i}" for i in range(6_000)]
HALF = Routing("a", "b", "r", "s", (Slice(0.0, 1.0, 0.5),))


def made(**more: Any) -> Routing:
    return Routing.from_json({**HALF.to_json(), **more})


def test_a_holdback_is_never_drawn_by_any_release() -> None:
    """The same tenth of the units, whatever the salt of the release."""
    spans = [{"salt": "news/holdback", "start": 0.1, "stop": 1.0}]
    one, two = made(within=spans), made(within=spans, salt="other")
    held = {unit for unit in UNITS if not assign(one, unit).enrolled}
    assert held == {unit for unit in UNITS if not assign(two, unit).enrolled}
    assert held == {unit for unit in UNITS if position("news/holdback", unit) < math.ldexp(0.1, 64)}
    assert 500 < len(held) < 700
    assert {assign(one, unit).arm for unit in held} == {"champion"}


def test_loops_that_share_a_layer_never_enrol_the_same_unit() -> None:
    first = made(within=[{"salt": "layer/search", "start": 0.0, "stop": 0.5}], salt="x")
    second = made(within=[{"salt": "layer/search", "start": 0.5, "stop": 1.0}], salt="y")
    drawn = [{unit for unit in UNITS if assign(one, unit).enrolled} for one in (first, second)]
    assert not drawn[0] & drawn[1]
    assert len(drawn[0] | drawn[1]) == len(UNITS)


def test_an_override_gets_its_arm_and_is_not_enrolled() -> None:
    routing = made(overrides={"qa-1": "challenger", "qa-2": "champion"})
    assert assign(routing, "qa-1") == Assigned("challenger", "b", override=True)
    assert assign(routing, "qa-2") == Assigned("champion", "a", override=True)
    assert Routing.from_json(json.loads(json.dumps(routing.to_json()))) == routing
    with pytest.raises(UnknownName, match="did you mean 'challenger'"):
        made(overrides={"qa": "chalenger"})


def test_several_arms_come_as_often_as_their_weights_and_say_so() -> None:
    routing = Routing(
        "a", "b", "r", "s", (Slice(0.0, 1.0, 0.7, weights=(("x", 0.5), ("y", 0.2))),), arms={"x": "b", "y": "c"},
    )
    drawn = [assign(routing, unit) for unit in UNITS]
    said = {"champion": 0.3, "x": 0.5, "y": 0.2}
    for arm, p in said.items():
        mine = [one for one in drawn if one.arm == arm]
        assert abs(len(mine) - p * len(UNITS)) < 5 * math.sqrt(len(UNITS) * p * (1 - p))
        assert {one.candidate for one in mine} == {{"champion": "a", "x": "b", "y": "c"}[arm]}
        assert {round(one.propensity or 0.0, 12) for one in mine} == {0.7 if arm == "champion" else p}
        assert dict(mine[0].probabilities or ()) == pytest.approx(said)
    assert Routing.from_json(json.loads(json.dumps(routing.to_json()))) == routing


POLICY = {
    "kind": "lints", "arms": ["champion", "challenger"], "features": [{"name": "age", "low": 0, "high": 100}],
    "theta": [[0.0, 0.0, 0.0], [0.1, 0.0, 0.9]], "inverse": [[[0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]] * 2,
    "floor": 0.1, "explore": 0.3,
}


def test_a_policy_draws_with_the_probabilities_of_the_context_in_every_process() -> None:
    routing = made(slices=[{"start": 0.0, "stop": 1.0, "pi": 0.5, "stage": 0, "policy": POLICY}])
    old, young = (assign(routing, "u", {"age": age}) for age in (90, 10))
    assert dict(old.probabilities or ())["challenger"] > dict(young.probabilities or ())["challenger"]
    code = (
        "import json,sys\nfrom trueup.route import Routing, assign\nd=json.load(sys.stdin)\n"
        "r=Routing.from_json(d['routing'])\nprint(json.dumps([assign(r,u,{'age':a}) for u,a in d['units']]))"
    )
    units = [(unit, at % 100) for at, unit in enumerate(UNITS[:300])]
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps({"routing": routing.to_json(), "units": units}),
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    mine = json.dumps([assign(routing, unit, {"age": age}) for unit, age in units])
    assert json.loads(done.stdout) == json.loads(mine)


@pytest.mark.parametrize(
    "bad",
    [{"within": [{"salt": "x", "start": 0.5, "stop": 0.5}]}, {"within": 3}, {"hashing": "md5"}, {"overrides": []},
     {"slices": [{"start": 0, "stop": 1, "pi": 0.5, "stage": 0, "weights": [["z", 0.5]]}]},
     {"slices": [{"start": 0, "stop": 1, "pi": 0.5, "stage": 0, "weights": [["challenger", 0.9]]}]},
     {"slices": [{"start": 0, "stop": 1, "pi": 0.5, "stage": 0, "weights": [["challenger", 0.25], ["challenger", 0.25]]}]},
     {"slices": [{"start": 0, "stop": 1, "pi": 0.5, "stage": 0, "policy": {"kind": "lints"}}]},
     {"slices": [{"start": 0, "stop": 1, "pi": 0.5, "stage": 0, "policy": {**POLICY, "floor": 0.0}}]}],
)
def test_what_could_not_be_drawn_from_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises((ArgumentError, DataError, UnknownName)):
        made(**bad)


# The cases that GrowthBook publishes for its SDKs (cases.json, "hash"), and texts outside ASCII as its
# Python SDK 4.0.0 gives them: (seed, unit, version, position).
PUBLISHED = [
    ("", "a", 1, 0.22), ("", "b", 1, 0.077), ("b", "a", 1, 0.946), ("ef", "d", 1, 0.652),
    ("asdf", "8952klfjas09ujk", 1, 0.549), ("", "123", 1, 0.011), ("", '___)((*":&', 1, 0.563),
    ("seed", "a", 2, 0.0505), ("seed", "b", 2, 0.2696), ("foo", "ab", 2, 0.2575), ("foo", "def", 2, 0.2019),
    ("89123klj", "8952klfjas09ujkasdf", 2, 0.124), ("90850943850283058242805", "123", 2, 0.7516),
    ("()**(%$##$%#$#", '___)((*":&', 2, 0.0128),
    ("exp", "ü", 1, 0.89), ("exp", "ü", 2, 0.7371), ("exp", "汉字", 2, 0.1361), ("s", "👩‍🚀", 2, 0.3218),
]


@pytest.mark.parametrize(("seed", "unit", "version", "expected"), PUBLISHED)
def test_growthbooks_published_vectors(seed: str, unit: str, version: int, expected: float) -> None:
    assert growthbook_hash(seed, unit, version) == expected


def test_another_version_is_refused() -> None:
    with pytest.raises(ArgumentError):
        growthbook_hash("s", "u", 3)


@pytest.mark.parametrize(
    ("coverage", "weights", "expected"),
    [
        (1.0, (), [0, 0, 1, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1, 1]),
        (0.4, (), [0, -1, 1, -1, -1, -1, -1, 0, -1, -1, -1, -1, 1, -1, 0, -1, -1, 1, -1, -1, 1, 0, 1, 1]),
        (0.7, (("x", 0.3), ("y", 0.5)),
         [0, 1, 2, -1, 2, 1, -1, -1, -1, 2, 2, -1, 2, -1, 0, -1, 1, 2, 1, -1, 2, -1, 2, 2]),
    ],
)
def test_units_that_move_over_keep_the_variation_that_growthbook_gave_them(
    coverage: float, weights: Any, expected: list[int]
) -> None:
    """What growthbook 4.0.0 chooses for user-0 ... user-23 of "my-exp" (hash version 2)."""
    pi = sum(p for _, p in weights) or 0.5
    arms = {"x": "b", "y": "c"} if weights else {}
    routing = Routing("a", "b", "r", "my-exp", (Slice(0.0, coverage, pi, weights=weights),), arms=arms, hashing="growthbook-2")
    names = {"champion": 0, "challenger": 1, "x": 1, "y": 2}
    drawn = [assign(routing, f"user-{at}") for at in range(24)]
    assert [names[one.arm] if one.enrolled else -1 for one in drawn] == expected


def test_raising_the_coverage_moves_nobody_with_growthbooks_hash() -> None:
    small = Routing("a", "b", "r", "e", (Slice(0.0, 0.3, 0.5),), hashing="growthbook-1")
    large = Routing("a", "b", "r", "e", (Slice(0.0, 0.3, 0.5), Slice(0.3, 0.8, 0.5, 1)), hashing="growthbook-1")
    for unit in UNITS[:2_000]:
        before = assign(small, unit)
        if before.enrolled:
            assert assign(large, unit) == before


def test_a_span_is_a_plain_tuple() -> None:
    assert Routing("a", within=[Span("x", 0.0, 0.5)]).within[0] == ("x", 0.0, 0.5)
