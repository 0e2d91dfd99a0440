# SPDX-License-Identifier: Apache-2.0
"""The routing state: frozen, checked, and the same through JSON."""

import dataclasses
import json
import math
import pickle
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.core.errors import ArgumentError, DataError, UnknownName, UserError
from trueup.route import Routing, Slice, assign, raise_share

IDLE = Routing("c-1", "c-2", "r-1", "r-1")


def test_canary_steps_enrol_fresh_slices() -> None:
    """REL-02: .01, .05 and .25 at pi = .5 are slices of 2, 8 and 40 % of the units."""
    routing = IDLE
    for stage, share in enumerate((0.01, 0.05, 0.25)):
        routing = raise_share(routing, share, stage=stage)
        assert routing.share == share
    assert routing.slices == (Slice(0.0, 0.02, 0.5, 0), Slice(0.02, 0.1, 0.5, 1), Slice(0.1, 0.5, 0.5, 2))
    assert raise_share(routing, 0.5).slices[-1].stop == 1.0


def test_raise_share_is_pure() -> None:
    raised = raise_share(dataclasses.replace(IDLE, generation=7), 0.01)
    assert IDLE.slices == ()
    assert raised.generation == 7
    assert raised.release == "r-1"


@pytest.mark.parametrize("share", [0.25, 0.1, 0.0, -1.0, math.nan, math.inf, "half", None, True, 10**400])
def test_a_share_only_rises(share: Any) -> None:
    with pytest.raises(ArgumentError, match="expected"):
        raise_share(raise_share(IDLE, 0.25), share)


def test_there_are_no_more_units_than_all() -> None:
    with pytest.raises(ArgumentError, match=r"at most 0\.5 at pi = 0\.5, got 0\.51\n  cure: raise pi"):
        raise_share(raise_share(IDLE, 0.25), 0.51)
    assert raise_share(raise_share(IDLE, 0.25), 0.7, pi=0.9).slices[-1].stop == 1.0


def test_raising_needs_a_challenger() -> None:
    with pytest.raises(ArgumentError, match="expected a challenger and a salt"):
        raise_share(Routing("c-1"), 0.01)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0.0001, 0.9), st.floats(0.05, 0.95)), max_size=6))
def test_slices_never_overlap_and_add_up(steps: list[tuple[float, float]]) -> None:
    routing = IDLE
    for share, pi in steps:
        try:
            routing = raise_share(routing, share, pi=pi)
        except ArgumentError:
            continue
        assert abs(routing.share - share) < 1e-9
    assert all(a.stop <= b.start for a, b in zip(routing.slices, routing.slices[1:], strict=False))
    assert Routing.from_json(json.loads(json.dumps(routing.to_json()))) == routing


def test_json_and_back() -> None:
    parameters = {"champion": {"k": [1, {"a": None}]}, "challenger": {"temperature": 0.2}}
    routing = dataclasses.replace(raise_share(IDLE, 0.05), parameters=parameters, generation=12)
    data = routing.to_json()
    assert data["slices"] == [{"start": 0.0, "stop": 0.1, "pi": 0.5, "stage": 0}]
    assert data["parameters"] == parameters
    assert Routing.from_json(json.loads(json.dumps(data)), generation=12) == routing
    assert Routing.from_json({"champion": "c-1"}, generation=3) == Routing("c-1", generation=3)


def test_it_does_not_change() -> None:
    given = {"champion": {"list": [1]}, "challenger": {}}
    routing = Routing("c-1", parameters=given)
    given["champion"]["list"].append(2)
    assert routing.to_json()["parameters"]["champion"] == {"list": [1]}
    with pytest.raises(dataclasses.FrozenInstanceError):
        routing.champion = "c-9"  # type: ignore[misc]
    with pytest.raises(TypeError):
        routing.parameters["champion"]["list"] = 3  # type: ignore[index]


def test_it_travels() -> None:
    routing = raise_share(IDLE, 0.25)
    again = pickle.loads(pickle.dumps(routing))
    assert again == routing
    assert assign(again, "user-1") == assign(routing, "user-1")


@pytest.mark.parametrize(
    "data",
    [
        None, [], "x", 3, {},
        {"champion": 3}, {"champion": ""}, {"champion": "a", "salt": None}, {"champion": "a", "salt": "a\0b"},
        {"champion": "a", "salt": "\ud800"}, {"champion": "a", "slices": None}, {"champion": "a", "slices": [3]},
        {"champion": "a", "slices": [{"start": 0, "stop": 1, "pi": 0.5, "stage": 0}]},
        {"champion": "a", "parameters": {"champion": 3}}, {"champion": "a", "parameters": []},
        {"champion": "a", "challenger": "b", "salt": "s", "slices": [{"start": 0, "stop": 1, "pi": 0.5}]},
        {"champion": "a", "challenger": "b", "salt": "s",
         "slices": [{"start": 0, "stop": 0.5, "pi": 0.5, "stage": 0}, {"start": 0.4, "stop": 1, "pi": 0.5, "stage": 1}]},
    ],
)
def test_a_malformed_state_is_refused(data: Any) -> None:
    with pytest.raises(UserError, match="expected"):
        Routing.from_json(data)


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'challenger'"):
        Routing.from_json({"champion": "a", "chalenger": "b"})
    with pytest.raises(DataError, match="expected stop"):
        Routing.from_json({"champion": "a", "slices": [{"start": 0.0, "pi": 0.5, "stage": 0}]})


@pytest.mark.parametrize(
    "bad",
    [(0.5, 0.5), (0.5, 0.4), (-0.1, 0.5), (0.0, 1.1), (math.nan, 1.0), (0.0, 0.5, 0.0), (0.0, 0.5, 1.0),
     (0.0, 0.5, math.nan), (0.0, 0.5, 0.5, -1), (0.0, 0.5, 0.5, 1.5), (0.0, 0.5, 0.5, True), ("0", 1), (10**400, 1)],
)
def test_a_slice_that_cannot_be_is_refused(bad: tuple[Any, ...]) -> None:
    with pytest.raises(ArgumentError, match="expected"):
        Slice(*bad)


def test_the_room_is_light() -> None:
    code = "import sys, trueup.route; print([m for m in ('numpy','pyarrow','duckdb','sqlite3') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "[]"
