# SPDX-License-Identifier: Apache-2.0
"""Saying yes: what a person says of a request, how it is proved, and how the loop takes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Refused
from trueup.release.people.consent import UNVERIFIED, person, standing, statement, with_said
from trueup.release.people.keys import sign, verify
from trueup.state import LoopState, decide

if TYPE_CHECKING:
    from trueup.store import Ledger


def sign_with(
    asked: Mapping[str, Any], who: str, reason: str, now: int, key: Path | None
) -> dict[str, Any]:
    """What `who` says of a request, signed where a key is given."""
    spoken: dict[str, Any] = {
        "candidate": asked["candidate"], "digest": asked.get("digest"), "who": who, "reason": reason,
        "by": asked["by"], "at": now, "signature": None, "key": None,
    }
    if key is not None:
        spoken["who"] = person(who)
        spoken["signature"], spoken["key"] = sign(key, statement(spoken))
    return spoken


def take(
    ledger: Ledger, loop: str, generation: int, state: LoopState, asked: dict[str, Any],
    said: dict[str, Any] | None, spoken: dict[str, Any],
) -> Decision:
    """Record what a person says of the request that waits, if it counts; raises Refused if it does not."""
    all_said = heard(asked, said, spoken, to_us(ledger.clock.now()))
    given, needs = all_said["given"], asked.get("needs", 1)
    spoken = given[-1]
    return decide(
        ledger, loop, generation, with_said(state, all_said),
        kind="approve", verdict="PASS" if len(given) >= needs else "HOLD",
        reason=spoken["reason"] if needs == 1 else f"{spoken['reason']} ({len(given)} of {needs})",
        subject=asked["candidate"], actor=spoken["who"],
        evidence={"release": state.release.id if state.release else None, "approval": spoken, "request": asked},
    )


def heard(
    asked: Mapping[str, Any], said: Mapping[str, Any] | None, spoken: dict[str, Any], now: int
) -> dict[str, Any]:
    """All that people have said of a request, with what one more says; raises Refused if it does not count."""
    until = asked.get("until")
    if until is not None and now >= until:
        raise Refused(f"expected an approval before {from_us(until):%Y-%m-%d %H:%M}, when the request ended")
    given = standing(asked, said, now)
    if any(person(one["who"]) == person(spoken["who"]) for one in given) or len(given) >= asked.get("needs", 1):
        raise Refused(f"{asked['candidate']} is approved already, by {', '.join(one['who'] for one in given)}")
    _allow(asked, spoken)
    if asked.get("valid") is not None:
        spoken = {**spoken, "until": spoken["at"] + asked["valid"]}
        if spoken["until"] <= now:
            raise Refused(f"expected an approval that still counts, got one that expired {from_us(spoken['until']):%Y-%m-%d %H:%M}")
    return {**spoken, "given": [*given, spoken]}


def _allow(asked: Mapping[str, Any], spoken: Mapping[str, Any]) -> None:
    """This person may approve, and is who they say; raises Refused."""
    people = {one["name"]: one["key"] for one in asked.get("approvers", ())}
    name = person(spoken["who"])
    if people and name not in people:
        raise Refused(
            f"expected an approval by {', '.join(people)}, got one by {spoken['who']}", cure="trueup approve ... --as NAME --key FILE"
        )
    key = people.get(name)
    if key is None and spoken["signature"] is not None:
        raise Refused(
            f"expected a key of {name} in the loop file, got none to compare the signature with",
            cure=f'Approval(by=[Approver("{name}", "{spoken["key"]}")])',
        )
    if key is None:
        return
    if spoken["signature"] is None:
        raise Refused(f"expected {name}'s signature, got none", cure=f"trueup approve ... --as {name} --key FILE")
    if not verify(key, statement(spoken), spoken["signature"]):
        raise Refused(f"expected a signature by the key of {name}, got one that it did not make, or of other words")


def signed(spoken: Mapping[str, Any]) -> bool:
    """Whether the signature of a recorded approval is that of the key that it names."""
    return bool(spoken.get("key")) and verify(spoken["key"], statement(spoken), spoken["signature"])


def told_as(name: str | None, key: Path | None) -> str | None:
    """The identity of who says that they are `name`: unverified until a key has signed."""
    return name if name is None or key is not None else f"{name}{UNVERIFIED}"
