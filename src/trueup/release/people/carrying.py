# SPDX-License-Identifier: Apache-2.0
"""Approvals that travel: a request to take away, signed elsewhere, and applied where the ledger is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.decisions import Decision
from trueup.core.errors import Conflict, DataError, Refused
from trueup.release.people.consent import waits
from trueup.release.people.saying import sign_with, take
from trueup.state import read

if TYPE_CHECKING:
    from trueup.store import Ledger

REQUEST, APPROVAL = "trueup.approval_request", "trueup.approval"
_SPOKEN = {"candidate": str, "digest": str, "who": str, "reason": str, "by": str, "at": int, "signature": str, "key": str}


def carry_out(ledger: Ledger, loop: str, candidate: str) -> dict[str, Any]:
    """The request that waits, as JSON to be signed on another machine; raises Refused where it is not this one's."""
    _, state = read(ledger, loop)
    found = waits(state)
    if found is None or found[0]["candidate"] != candidate:
        raise Refused(f"expected a candidate that waits for an approval, got {candidate!r}", cure="trueup status")
    return {"kind": REQUEST, "loop": loop, "request": found[0]}


def sign_away(data: Mapping[str, Any], *, who: str, reason: str, key: Path, now: int) -> dict[str, Any]:
    """The approval of a request that was carried out, signed with a private key; needs no ledger."""
    asked = data.get("request")
    if data.get("kind") != REQUEST or not isinstance(asked, Mapping) or not {"candidate", "digest", "by"} <= asked.keys():
        raise DataError("expected a request for approval, got another file", cure="trueup approve CANDIDATE --export FILE writes one")
    return {"kind": APPROVAL, "loop": data["loop"], "spoken": sign_with(asked, who, reason, now, key)}


def carry_in(ledger: Ledger, loop: str, data: Mapping[str, Any]) -> Decision:
    """Apply an approval that was signed elsewhere.

    Raises Refused where it is not signed by the key of an approver, approves another request than
    the one that waits now (an older one, of another candidate, report, champion or definition), has
    expired, or was applied before; and DataError where it is no approval.
    """
    spoken = data.get("spoken")
    if data.get("kind") != APPROVAL or not isinstance(spoken, dict):
        raise DataError("expected a signed approval, got another file", cure="trueup approve --sign FILE --as NAME --key FILE")
    for name, kind in _SPOKEN.items():
        if not isinstance(spoken.get(name), kind):
            raise DataError(f"expected a signed approval with {name}, got {str(spoken.get(name))[:40]!r}")
    if data.get("loop") != loop:
        raise Refused(f"expected an approval for {loop}, got one for {str(data.get('loop'))[:80]!r}")
    while True:
        try:
            return _take_in(ledger, loop, spoken)
        except Conflict:  # somebody else has decided at the same moment
            continue


def _take_in(ledger: Ledger, loop: str, spoken: dict[str, Any]) -> Decision:
    generation, state = read(ledger, loop)
    found = waits(state)
    if found is None:
        raise Refused(f"nothing of {loop} waits for an approval", cure="trueup status")
    asked, said = found
    if (spoken["candidate"], spoken["digest"]) != (asked["candidate"], asked.get("digest")):
        raise Refused(
            f"expected an approval of {asked['candidate']} as it is asked now, got one of another request: what was asked has changed",
            cure=f"trueup approve {asked['candidate']} --export FILE",
        )
    return take(ledger, loop, generation, state, asked, said, {name: spoken[name] for name in _SPOKEN})
