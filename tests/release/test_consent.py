# SPDX-License-Identifier: Apache-2.0
"""Approvals by several people, by key, across restarts and machines (REG-03, HIT-01)."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from trueup.alerts import AlertFile, alert
from trueup.cli._main import trueup
from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError, DataError, NotFound, Refused
from trueup.loop import why
from trueup.release import (
    Approval,
    Approver,
    Full,
    approve,
    carry_in,
    carry_out,
    new_key,
    proved_no,
    reject,
    sign_away,
    signed,
    waiting,
)
from trueup.state import decide, read
from trueup.store import Ledger
from trueup.testing import check_value

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], tuple[Path, str]]:
    made: dict[str, tuple[Path, str]] = {}

    def key(name: str) -> tuple[Path, str]:
        if name not in made:
            path = tmp_path / f"{name}.key"
            made[name] = (path, new_key(path))
        return made[name]

    return key


def asked(stand: Any, **terms: Any) -> str:
    """A candidate that waits for people."""
    stand.stages = [Approval(**terms), Full()]
    stand.offer()
    assert [one.kind for one in stand.advance()] == ["start"]
    assert stand.advance() == []
    return str(stand.challenger)


def passed(stand: Any) -> bool:
    """Whether the approval's stage passes at a look now."""
    made = stand.advance()
    return bool(made) and (made[0].kind, made[0].verdict) == ("stage", "PASS")


def test_reg_03_two_of_three_must_say_yes_and_nobody_counts_twice(stand: Any) -> None:
    ident = asked(stand, by=["ann", "ben", "eve"], needs=2)
    first = approve(stand.ledger, "l", ident, reason="reads well", who="ann")
    assert (first.verdict, first.reason) == ("HOLD", "reads well (1 of 2)")
    assert not passed(stand)
    for again in ("ann", "ann (unverified)"):
        with pytest.raises(Refused, match="approved already, by ann"):
            approve(stand.ledger, "l", ident, reason="again", who=again)
    with pytest.raises(Refused, match="by ann, ben, eve, got one by mallory"):
        approve(stand.ledger, "l", ident, reason="me too", who="mallory")
    assert not passed(stand)
    second = approve(stand.ledger, "l", ident, reason="agreed", who="eve (unverified)")
    assert second.verdict == "PASS"
    with pytest.raises(Refused, match="approved already"):
        approve(stand.ledger, "l", ident, reason="late", who="ben")
    made = stand.advance()
    assert made[0].reason == "approved by ann: reads well; approved by eve (unverified): agreed"


def test_reg_03_approvals_outlive_a_restart(stand: Any) -> None:
    ident = asked(stand, by="owners", needs=2)
    approve(stand.ledger, "l", ident, reason="yes", who="ann")
    stand.ledger.close()
    stand.ledger = Ledger.open(stand.ledger.home, clock=stand.clock)
    found = waiting(read(stand.ledger, "l")[1])
    assert found is not None
    assert found[0]["by"] == "2 of owners"
    approve(stand.ledger, "l", ident, reason="yes", who="ben")
    assert passed(stand)


def test_hit_01_one_rejection_ends_it(stand: Any) -> None:
    ident = asked(stand, by=["ann", "ben"], needs=2)
    approve(stand.ledger, "l", ident, reason="yes", who="ann")
    made = reject(stand.ledger, "l", ident, reason="the tone is wrong", who="ben")
    assert made.verdict == "REFUSE"
    assert read(stand.ledger, "l")[1].release is None
    with pytest.raises(Refused, match="nothing of l waits"):
        approve(stand.ledger, "l", ident, reason="yes", who="ben")


def test_hit_01_a_key_proves_who_said_no(stand: Any, keys: Any) -> None:
    """Anybody may stop a release; with a key it is known who did, and a no is never taken for a yes."""
    (ann, public), (mallory, _) = keys("ann"), keys("mallory")
    ident = asked(stand, by=[Approver("ann", public), "ben"])
    for who, key, words in (("ann", mallory, "by the key of ann"), ("ben", ann, "expected a key of ben"), ("eve", ann, "a key of eve")):
        with pytest.raises(Refused, match=words):
            reject(stand.ledger, "l", ident, reason="no", who=who, key=key)
    assert read(stand.ledger, "l")[1].release is not None
    made = reject(stand.ledger, "l", ident, reason="the tone is wrong", who="ann", key=ann)
    assert (made.verdict, made.actor) == ("REFUSE", "ann")
    spoken = made.evidence["rejection"]
    assert proved_no(spoken)
    assert not proved_no({**spoken, "reason": "let it go"})
    assert not signed(spoken), "the same signature is no approval"
    assert "as this ledger confirms" in "\n".join(why(stand.ledger, made.id).lines)
    again = asked(stand, by=[Approver("ann", public)])
    made = reject(stand.ledger, "l", again, reason="no", who="ann (unverified)")
    assert (made.actor, made.evidence.get("rejection")) == ("ann (unverified)", None)


def test_reg_03_an_approval_counts_for_its_time_only(stand: Any) -> None:
    ident = asked(stand, by="owners", needs=2, valid=DAY)
    approve(stand.ledger, "l", ident, reason="yes", who="ann")
    stand.clock.advance(DAY)
    approve(stand.ledger, "l", ident, reason="yes", who="ben")
    assert not passed(stand), "ann's has expired"
    approve(stand.ledger, "l", ident, reason="still yes", who="ann")
    assert passed(stand)


def test_hit_01_a_key_proves_who_said_yes(stand: Any, keys: Any) -> None:
    (ann, public), (mallory, _) = keys("ann"), keys("mallory")
    assert stat.S_IMODE(ann.stat().st_mode) == 0o600
    ident = asked(stand, by=[Approver("ann", public), "ben"])
    with pytest.raises(Refused, match="expected ann's signature, got none"):
        approve(stand.ledger, "l", ident, reason="yes", who="ann")
    with pytest.raises(Refused, match="by the key of ann, got one that it did not make"):
        approve(stand.ledger, "l", ident, reason="yes", who="ann", key=mallory)
    with pytest.raises(Refused, match="expected a key of ben in the loop file"):
        approve(stand.ledger, "l", ident, reason="yes", who="ben", key=mallory)
    given = approve(stand.ledger, "l", ident, reason="yes", who="ann (unverified)", key=ann)
    assert given.actor == "ann"
    lines = "\n".join(why(stand.ledger, given.id).lines)
    assert f"signed by {public}, as this ledger confirms" in lines
    found = waiting(read(stand.ledger, "l")[1])
    assert found is not None
    assert f"digest {found[0]['digest']}" in lines
    assert f"candidate {ident}" in lines
    assert passed(stand)


def test_hit_01_an_approval_travels_and_is_refused_where_it_is_stale_forged_or_replayed(stand: Any, keys: Any) -> None:
    ann, public = keys("ann")
    mallory, _ = keys("mallory")
    ident = asked(stand, by=[Approver("ann", public), Approver("ben", keys("ben")[1])], needs=2, valid=5 * DAY)
    now = to_us(stand.clock.now())
    taken = json.loads(json.dumps(carry_out(stand.ledger, "l", ident)))
    signed = json.loads(json.dumps(sign_away(taken, who="ann", reason="yes", key=ann, now=now)))

    def changed(**spoken: Any) -> dict[str, Any]:
        return {**signed, "spoken": {**signed["spoken"], **spoken}}

    before = stand.ledger.state("l")[0]
    for forged in (
        changed(reason="yes, and tomorrow's"), changed(who="ben"), changed(at=now + 1), changed(signature="AAAA"),
        changed(signature="not base64"), sign_away(taken, who="ann", reason="yes", key=mallory, now=now),
        sign_away(taken, who="mallory", reason="yes", key=mallory, now=now), {**signed, "loop": "other"},
    ):
        with pytest.raises(Refused):
            carry_in(stand.ledger, "l", forged)
    for broken in ({}, taken, changed(digest=None), changed(at="now"), {"kind": "trueup.approval", "spoken": 3}):
        with pytest.raises(DataError):
            carry_in(stand.ledger, "l", broken)
    assert stand.ledger.state("l")[0] == before
    given = carry_in(stand.ledger, "l", signed)
    assert (given.verdict, given.actor) == ("HOLD", "ann")
    with pytest.raises(Refused, match="approved already, by ann"):
        carry_in(stand.ledger, "l", signed)
    # the same candidate, asked about again, is another request
    reject(stand.ledger, "l", ident, reason="no", who="ben")
    stand.offer()
    stand.clock.advance(HOUR)
    stand.advance()
    assert waiting(stand.state) is not None
    with pytest.raises(Refused, match="what was asked has changed"):
        carry_in(stand.ledger, "l", signed)
    old = sign_away(carry_out(stand.ledger, "l", ident), who="ann", reason="yes", key=ann, now=now)
    stand.clock.advance(5 * DAY)
    with pytest.raises(Refused, match="got one that expired"):
        carry_in(stand.ledger, "l", old)


def test_hit_01_the_command_exports_signs_and_applies(stand: Any, tmp_path: Path) -> None:
    def typed(*words: str, home: bool = True) -> Any:
        return CliRunner().invoke(trueup, [*(("--home", str(stand.ledger.home)) if home else ()), *words], catch_exceptions=True)

    key, paper = tmp_path / "k", tmp_path / "approval.json"
    public = json.loads(typed("approve", "--new-key", str(key), "--json", home=False).output)["public"]
    assert isinstance(typed("approve", "--new-key", str(key), home=False).exception, Refused), "never written over"
    ident = asked(stand, by=[Approver("ann", public)])
    assert typed("approve", ident, "--export", str(paper)).exit_code == 0
    shown = typed("approve", "--sign", str(paper), "--as", "ann", "--key", str(key), "-m", "read it", home=False)
    assert f"candidate {ident}" in shown.output
    assert typed("approve", "--apply", str(paper)).exit_code == 0
    assert isinstance(typed("approve", "--apply", str(paper)).exception, Refused)
    assert passed(stand)
    assert isinstance(typed("approve", ident).exception, ArgumentError), "a reason is needed"
    assert isinstance(typed("approve", "-m", "x").exception, ArgumentError)
    assert isinstance(typed("approve", "--apply", str(tmp_path / "none")).exception, NotFound)
    assert isinstance(typed("approve", "--sign", str(paper), "-m", "x").exception, ArgumentError)


def test_mon_02_the_request_of_a_release_is_told_with_its_reminders(stand: Any) -> None:
    """From the real state of a release, through the real projection."""
    asked(stand, by="owners", remind=2 * DAY)
    for _ in range(5):
        alert(stand.ledger, "l", [AlertFile()])
        stand.clock.advance(DAY)
    told = [json.loads(line) for line in (stand.ledger.home / "alerts.jsonl").read_text().splitlines()]
    assert [one["what"].partition(" ")[2] for one in told] == [
        "waits for owners", "has waited 2.0 days for owners", "has waited 4.0 days for owners",
    ]


@pytest.mark.parametrize("terms", [
    {"by": []}, {"by": ["ann", "ann"]}, {"by": ["ann"], "needs": 2}, {"needs": 0}, {"max_time": timedelta(0)},
    {"valid": -DAY}, {"remind": timedelta(0)},
])
def test_an_approval_that_nobody_could_give_is_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        Approval(**terms)


def test_approvers_are_values_and_keys_are_checked(keys: Any) -> None:
    public = keys("ann")[1]
    check_value(Approver("ann", public))
    check_value(Approval(by=[Approver("ann", public), "ben"], needs=2, valid=DAY))
    for key in ("ed25519:AAAA", "hunter2", public.replace("ed25519", "rsa")):
        with pytest.raises(ArgumentError, match="expected a key"):
            Approver("ann", key)
    with pytest.raises(ArgumentError, match="name of a person"):
        Approver(" ")


def test_reg_03_people_who_approve_at_the_same_moment_all_count(stand: Any) -> None:
    """Five at once, from ledgers of their own, as five terminals would: nobody is lost, nobody counts twice."""
    names = ["ann", "ben", "cat", "dan", "eve"]
    ident = asked(stand, by=names, needs=5)
    ready = threading.Barrier(10)

    def say(name: str) -> str:
        with Ledger.open(stand.ledger.home, clock=stand.clock) as ledger:
            ready.wait()
            try:
                return approve(ledger, "l", ident, reason="yes", who=name).verdict
            except Refused:
                return "refused"

    with ThreadPoolExecutor(10) as pool:
        said = list(pool.map(say, [*names, *names]))
    assert sorted(said) == ["HOLD"] * 4 + ["PASS"] + ["refused"] * 5
    made = stand.ledger.decisions("l", kind="approve")
    assert sorted(one.actor for one in made) == names
    assert passed(stand)


def test_hit_01_a_yes_that_was_written_past_the_door_does_not_count(stand: Any, keys: Any) -> None:
    """A row in the state is not a signature: the look verifies it again."""
    _, public = keys("ann")
    ident = asked(stand, by=[Approver("ann", public)])
    generation, state = read(stand.ledger, "l")
    found = waiting(state)
    assert found is not None
    forged = {
        "candidate": ident, "digest": found[0]["digest"], "who": "ann", "reason": "yes", "by": "ann", "at": 1,
        "signature": "AAAA", "key": public,
    }
    assert state.release is not None
    release = replace(state.release, approval={**forged, "given": [forged]})
    decide(stand.ledger, "l", generation, replace(state, release=release), kind="approve", verdict="PASS", reason="forged")
    assert not passed(stand)


def test_hit_01_why_shows_who_approved_what(stand: Any) -> None:
    ident = asked(stand, by=["ann", "ben"], needs=2)
    for who in ("ann", "ben (unverified)"):
        approve(stand.ledger, "l", ident, reason=f"{who} read it", who=who)
    made = stand.advance()[0]
    lines = "\n".join(why(stand.ledger, made.id).lines)
    assert f"asked of ann, ben on 2026-01-01 00:00, digest {made.evidence['request']['digest']}" in lines
    assert "yes by ann on 2026-01-01 00:00: ann read it (nobody has verified who that is" in lines
    assert "yes by ben (unverified)" in lines
