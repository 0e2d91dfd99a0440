# SPDX-License-Identifier: Apache-2.0
"""The anchor by command: who, why, and with the consent that releases ask for (TRU-04)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from trueup.cli._main import trueup
from trueup.core.errors import Refused
from trueup.core.json import digest
from trueup.core.task import Outcome
from trueup.core.values import to_json
from trueup.loop import why
from trueup.release import (
    AB,
    Approval,
    Approver,
    Full,
    Risk,
    name_anchor,
    new_key,
    unanchored,
)
from trueup.state import decide, define, read

from .conftest import Stand

CLICK = Outcome.boolean("click", within=timedelta(hours=1))


def pinned(stand: Stand, *stages: Any) -> None:
    """The definition that the loop last ran under."""
    body = {"release": [to_json(one) for one in stages], "proposal": None}
    define(stand.ledger, "l", digest(body), body)


def promoted(stand: Stand) -> None:
    """The challenger serves, the first champion is the anchor."""
    generation, state = read(stand.ledger, "l")
    decide(stand.ledger, "l", generation, replace(state, champion=stand.challenger), kind="promote", verdict="PROMOTE", reason="test")


def test_an_ab_alone_goes_on_after_its_first_promotion_once_the_anchor_is_named(stand: Stand) -> None:
    """TRU-04: the refusal names the command, and the command lets the next release begin."""
    promoted(stand)
    stages = [AB(CLICK, no_worse_by=0.02), Full()]
    words = unanchored(stages, Risk(), stand.state)
    assert words is not None
    assert f"trueup anchor {stand.challenger} -m WHY" in words
    home = str(stand.ledger.home)
    done = CliRunner().invoke(trueup, ["--home", home, "anchor", stand.challenger, "-m", "a new beginning", "--as", "ada", "--json"])
    made = json.loads(done.stdout)
    assert (made["verdict"], made["actor"], made["reason"]) == ("NOTE", "ada (unverified)", "a new beginning")
    assert unanchored(stages, Risk(), stand.state) is None
    assert "the champion" in CliRunner().invoke(trueup, ["--home", home, "anchor"]).output
    assert why(stand.ledger, made["id"]).lines
    with pytest.raises(Refused, match="already"):
        name_anchor(stand.ledger, "l", stand.challenger, reason="again")


def test_where_releases_need_two_people_so_does_the_anchor(stand: Stand) -> None:
    promoted(stand)
    pinned(stand, Approval(by=["ann", "ben"], needs=2), Full())
    first = name_anchor(stand.ledger, "l", stand.challenger, reason="measured again", who="ann")
    assert first.verdict == "HOLD"
    assert f"trueup anchor {stand.challenger}" in first.reason
    assert stand.state.anchor == stand.champion
    with pytest.raises(Refused, match="already"):
        name_anchor(stand.ledger, "l", stand.challenger, reason="twice", who="ann")
    with pytest.raises(Refused, match="ann, ben"):
        name_anchor(stand.ledger, "l", stand.challenger, reason="me too", who="eve")
    second = name_anchor(stand.ledger, "l", stand.challenger, reason="so do I", who="ben")
    assert second.verdict == "NOTE"
    assert "ann" in second.reason
    assert stand.state.anchor == stand.challenger
    assert stand.state.anchoring is None


def test_a_champion_that_changed_voids_what_was_said(stand: Stand) -> None:
    promoted(stand)
    pinned(stand, Approval(by=["ann", "ben"], needs=2), Full())
    name_anchor(stand.ledger, "l", stand.challenger, reason="measured again", who="ann")
    generation, state = read(stand.ledger, "l")
    decide(stand.ledger, "l", generation, replace(state, champion=stand.champion), kind="rollback", verdict="ROLLBACK", reason="test")
    again = name_anchor(stand.ledger, "l", stand.challenger, reason="so do I", who="ben")
    assert again.verdict == "HOLD"
    assert stand.state.anchor == stand.champion


def test_a_person_with_a_key_signs_the_anchor(stand: Stand, tmp_path: Any) -> None:
    public = new_key(tmp_path / "ann.key")
    promoted(stand)
    pinned(stand, Approval(by=[Approver("ann", public)]), Full())
    with pytest.raises(Refused, match="signature"):
        name_anchor(stand.ledger, "l", stand.challenger, reason="by word", who="ann")
    made = name_anchor(stand.ledger, "l", stand.challenger, reason="by key", who="ann", key=tmp_path / "ann.key")
    assert made.verdict == "NOTE"
    assert made.evidence["approval"]["given"][0]["signature"]
    assert "signed by" in "\n".join(why(stand.ledger, made.id).lines)
