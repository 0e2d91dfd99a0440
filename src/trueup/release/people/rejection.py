# SPDX-License-Identifier: Apache-2.0
"""Saying no: anybody may, since stopping is safe; a key proves who did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.errors import Refused
from trueup.release.people.approval import declared
from trueup.release.people.consent import person, waits
from trueup.release.people.keys import sign, verify
from trueup.state import LoopState

if TYPE_CHECKING:
    from trueup.store import Ledger


def signed_no(
    ledger: Ledger, loop: str, state: LoopState, *, candidate: str, who: str, reason: str, key: Path
) -> dict[str, Any]:
    """A rejection signed by `who`: of this candidate, in this release, and of the request that waits if one
    does. Raises Refused where the loop file has no key of this name, or another."""
    found = waits(state)
    asked = found[0] if found is not None and found[0]["candidate"] == candidate else None
    spoken: dict[str, Any] = {
        "candidate": candidate, "release": state.release.id if state.release else None,
        "digest": asked.get("digest") if asked else None, "who": person(who), "reason": reason,
        "at": to_us(ledger.clock.now()),
    }
    spoken["signature"], spoken["key"] = sign(key, statement(spoken))
    known = {one["name"]: one["key"] for one in _approvers(ledger, loop, asked) if one["key"] is not None}
    if spoken["who"] not in known:
        raise Refused(
            f"expected a key of {spoken['who']} in the loop file, got none to compare the signature with",
            cure="leave --key out: anybody may reject, and the record says unverified",
        )
    if known[spoken["who"]] != spoken["key"]:
        raise Refused(
            f"expected a signature by the key of {spoken['who']}, got one by another key",
            cure="leave --key out: anybody may reject, and the record says unverified",
        )
    return spoken


def statement(spoken: Mapping[str, Any]) -> dict[str, Any]:
    """What the signature of a no covers; of another kind than a yes, so that neither is taken for the other."""
    names = ("candidate", "release", "digest", "who", "reason", "at")
    return {"kind": "trueup.rejection", **{name: spoken[name] for name in names}}


def proved_no(spoken: Mapping[str, Any]) -> bool:
    """Whether the signature of a recorded rejection is that of the key that it names."""
    return verify(spoken["key"], statement(spoken), spoken["signature"])


def _approvers(ledger: Ledger, loop: str, asked: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Those whom the request names, else those of the stages of the loop's last definition."""
    if asked is not None:
        return list(asked.get("approvers", ()))
    return [one for part in declared(ledger, loop)[1] for one in part.approvers]
