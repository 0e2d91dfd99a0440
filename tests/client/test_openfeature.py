# SPDX-License-Identifier: Apache-2.0
"""OpenFeature: flags are the arm's parameters; the hook never raises, and loses nothing in silence (REL-11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openfeature")

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagType, Reason
from openfeature.hook import HookContext
from openfeature.track import TrackingEventDetails

from trueup.client import Client, connect
from trueup.client.openfeature import TrueupHook, TrueupProvider
from trueup.core.decisions import Decision
from trueup.core.errors import StoreError
from trueup.route import Routing, Slice, assign
from trueup.store import Ledger

PARAMETERS = {
    "champion": {"prompt": "Summarise.", "threshold": 0.5, "warm": False, "top": 3, "style": {"tone": ["dry"]}},
    "challenger": {"prompt": "Sum up.", "threshold": 0.7, "warm": True, "top": 5, "style": {"tone": ["warm"]}},
}
ROUTING = Routing("c-1", "c-2", "r-1", "s", (Slice(0.0, 1.0, 0.5),), PARAMETERS)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Ledger.open(tmp_path) as ledger:
        ledger.decide(Decision("l", 1, "start", "NOTE", "t", {"routing": ROUTING.to_json()}), expect=0)
    with connect("l", tmp_path) as made:
        yield made


@pytest.fixture
def flags(client: Client) -> Iterator[Any]:
    api.set_provider(TrueupProvider(client))
    yield api.get_client()
    api.clear_providers()


def unit_of(arm: str) -> str:
    return next(f"u{at}" for at in range(100) if assign(ROUTING, f"u{at}").arm == arm)


def rows(client: Client, kind: str) -> list[dict[str, Any]]:
    with Ledger.open(client.home) as ledger:
        return ledger.query("FROM event SELECT * WHERE kind = $kind ORDER BY seq", {"kind": kind}).to_pylist()


@pytest.mark.parametrize("arm", ["champion", "challenger"])
def test_rel_11_flags_are_the_parameters_of_the_units_arm(flags: Any, client: Client, arm: str) -> None:
    context, mine = EvaluationContext(unit_of(arm), {"country": "de"}), PARAMETERS[arm]
    details = flags.get_string_details("prompt", "?", context)
    assert (details.value, details.variant, details.reason) == (mine["prompt"], arm, Reason.SPLIT)
    assert details.flag_metadata["propensity"] == 0.5
    assert flags.get_float_value("threshold", 0.0, context) == mine["threshold"]
    assert flags.get_boolean_value("warm", False, context) is mine["warm"]
    assert flags.get_integer_value("top", 0, context) == mine["top"]
    assert flags.get_object_value("style", {}, context) == mine["style"]
    assert flags.get_string_value("candidate", "?", context) == {"champion": "c-1", "challenger": "c-2"}[arm]
    assert len(rows(client, "assignment")) == len(rows(client, "exposure")) == len(rows(client, "interaction")) == 6
    assert {row["arm"] for row in rows(client, "exposure")} == {arm}


def test_tracking_is_feedback_on_the_units_last_choice(flags: Any, client: Client) -> None:
    context = EvaluationContext("u1")
    details = flags.get_string_details("prompt", "?", context)
    flags.track("click", context)
    flags.track("stars", EvaluationContext("other"), TrackingEventDetails(4.0, {"choice": details.flag_metadata["choice"]}))
    flags.track("click", EvaluationContext("nobody"))
    told = {row["name"]: (row["choice"], row["value"]) for row in rows(client, "outcome")}
    assert told == {"click": (details.flag_metadata["choice"], 1.0), "stars": (details.flag_metadata["choice"], 4.0)}


def test_a_flag_that_nobody_declares_is_not_found_and_draws_nobody(flags: Any, client: Client) -> None:
    details = flags.get_string_details("promt", "default", EvaluationContext("u1"))
    assert (details.value, details.error_code) == ("default", "FLAG_NOT_FOUND")
    assert flags.get_string_details("prompt", "default", EvaluationContext()).error_code == "TARGETING_KEY_MISSING"
    assert flags.get_boolean_details("prompt", True, EvaluationContext("u1")).error_code == "TYPE_MISMATCH"
    assert [row["error"] is not None for row in rows(client, "interaction")] == [True]


def test_the_hook_never_raises_and_a_lost_exposure_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exposure that cannot be written down makes the experiment INVALID; users keep their arm."""
    api.set_provider(TrueupProvider(client))
    flags = api.get_client()
    unit = unit_of("challenger")

    def full(*_: Any, **__: Any) -> None:
        raise StoreError("expected room on the disk")

    with monkeypatch.context() as patch:
        patch.setattr(client, "expose", full)
        assert flags.get_string_value("prompt", "?", EvaluationContext(unit)) == "Sum up."
    client.signal("anything")
    lost = [row for row in rows(client, "signal") if row["name"] == "exposures_lost"]
    assert [row["release"] for row in lost] == ["r-1"]
    api.clear_providers()


def test_a_hook_that_gets_anything_else_keeps_quiet(client: Client) -> None:
    hook = TrueupHook(client)
    context = HookContext("f", FlagType.STRING, "d", EvaluationContext("u"))
    for told in ({}, {"choice": "x"}, {"choice": 3, "arm": None, "generation": "?"}):
        hook.after(context, FlagEvaluationDetails("f", "v", flag_metadata=told), {})


def test_a_queue_that_stays_full_is_a_lost_exposure(tmp_path: Path) -> None:
    """acknowledge="enqueue": a failed enqueue never raises, so it must be told."""
    with Ledger.open(tmp_path) as ledger:
        ledger.decide(Decision("l", 1, "start", "NOTE", "t", {"routing": ROUTING.to_json()}), expect=0)
    client = Client("l", tmp_path, acknowledge="enqueue", queue=1, patience=0.01)
    choice = client.choose(unit_of("challenger"))
    client.flush()
    client._writer._bound = 0  # type: ignore[attr-defined]
    details = FlagEvaluationDetails("prompt", "Sum up.", flag_metadata={
        "choice": choice.id, "arm": choice.arm, "propensity": 0.5, "generation": 1, "release": "r-1", "unit": "u",
    })
    TrueupHook(client).after(HookContext("prompt", FlagType.STRING, "", EvaluationContext("u")), details, {})
    client.close()
    assert any(row["name"] == "exposures_lost" and row["release"] == "r-1" for row in rows(client, "signal"))
    assert replace(ROUTING, generation=1).release == "r-1"


def test_an_application_that_logs_its_own_answers_says_so(client: Client) -> None:
    api.set_provider(TrueupProvider(client, log=False))
    api.get_client().get_string_value("prompt", "?", EvaluationContext("u1"))
    assert len(rows(client, "exposure")) == 1
    assert rows(client, "interaction") == []
    api.clear_providers()
