# SPDX-License-Identifier: Apache-2.0
"""Offering what no training made: prompts, thresholds (REL-14, TRN-08)."""

from __future__ import annotations

from typing import Any

import pytest

from trueup import Parameter
from trueup.core.errors import ArgumentError, Refused, UnknownName
from trueup.core.parameters import typed
from trueup.release import offer
from trueup.state import candidate
from trueup.testing import check_value

PROMPT = Parameter("prompt", "text", "Summarise.")
HEAT = Parameter("temperature", "number", 0.2, low=0.0, high=2.0)


def test_rel_14_a_prompt_waits_for_its_release_like_any_model(stand: Any) -> None:
    made = offer(stand.ledger, "l", parameters={"prompt": "Sum up."}, declared=[PROMPT, HEAT], reason="livelier", who="ada")
    found = candidate(stand.ledger, "l", str(made.subject))
    assert found.parameters == {"prompt": "Sum up.", "temperature": 0.2}
    assert found.model == candidate(stand.ledger, "l", stand.champion).model
    assert stand.state.waiting == found.id
    again = offer(stand.ledger, "l", parameters={"prompt": "Sum up."}, declared=[PROMPT, HEAT], reason="twice", who="ada")
    assert again.subject == made.subject, "the same offer is the same candidate"


def test_an_offer_that_makes_no_sense_is_refused(stand: Any) -> None:
    with pytest.raises(Refused, match="serves already"):
        offer(stand.ledger, "l", reason="x")
    with pytest.raises(UnknownName, match="did you mean 'prompt'"):
        offer(stand.ledger, "l", parameters={"promt": "x"}, declared=[PROMPT], reason="x")
    with pytest.raises(ArgumentError, match="within"):
        offer(stand.ledger, "l", parameters={"temperature": 9.0}, declared=[HEAT], reason="x")
    assert stand.state.waiting is None


@pytest.mark.parametrize("wrong", [True, "hot", float("nan"), 3.0, None])
def test_a_parameter_is_of_its_type_and_within_its_bounds(wrong: Any) -> None:
    with pytest.raises(ArgumentError):
        HEAT.check(wrong)
    check_value(HEAT)
    assert typed([], {"anything": 1}) == {"anything": 1}
    with pytest.raises(ArgumentError):
        Parameter("style", "text", "odd", choices=["dry", "warm"])
