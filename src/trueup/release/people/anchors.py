# SPDX-License-Identifier: Apache-2.0
"""Naming the anchor: people say what no run of small losses may fall below (TRU-04)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Refused
from trueup.release.people.acting import whoami
from trueup.release.people.approval import declared
from trueup.release.people.consent import judge, of, request
from trueup.release.people.saying import heard, sign_with
from trueup.state import candidate as registered
from trueup.state import decide, read

if TYPE_CHECKING:
    from trueup.store import Ledger


def name_anchor(
    ledger: Ledger, loop: str, candidate: str, *, reason: str, who: str | None = None, key: Path | None = None
) -> Decision:
    """Name another anchor: from the next release on, no run of small losses may fall below it by
    `creep`. Where the loop's releases ask for an Approval, the same people must say so: each says it
    once, `key` is the file of a private key where an `Approver` has one, and the anchor stands once
    enough have. The Decision is HOLD until then. Raises Refused while a release runs, whose terms
    are fixed, where it is the anchor already, and for somebody who may not say so.
    """
    generation, state = read(ledger, loop)
    if state.release is not None:
        raise Refused(f"{state.release.candidate} is being released against the present anchor", cure="wait, or reject it")
    found = registered(ledger, loop, candidate).id
    if found == state.anchor:
        raise Refused(f"{found} is the anchor already", cure="trueup status")
    who, now = who or whoami(), to_us(ledger.clock.now())
    asked = _asked(ledger, loop, found, state.champion, state.anchoring, now)
    evidence: dict[str, Any] = {"before": state.anchor}
    if asked is None:
        return decide(
            ledger, loop, generation, replace(state, anchor=found), kind="anchor", verdict="NOTE", reason=reason,
            subject=found, actor=who, evidence=evidence,
        )
    before = state.anchoring["approval"] if state.anchoring and state.anchoring["request"] == asked else None
    spoken = sign_with(asked, who, reason, now, key)
    said = heard(asked, before, spoken, now)
    call, words = judge(asked, said, found, now)
    evidence |= {"request": asked, "approval": said}
    if call != "PASS":
        waiting = {"request": asked, "approval": said}
        words = words.replace("trueup approve", "trueup anchor")
        return decide(
            ledger, loop, generation, replace(state, anchoring=waiting), kind="anchor", verdict="HOLD",
            reason=f"{reason}; {words}", subject=found, actor=spoken["who"], evidence=evidence,
        )
    return decide(
        ledger, loop, generation, replace(state, anchor=found, anchoring=None), kind="anchor", verdict="NOTE", reason=words,
        subject=found, actor=spoken["who"], evidence=evidence,
    )


def _asked(
    ledger: Ledger, loop: str, candidate: str, champion: str | None, waiting: dict[str, Any] | None, now: int
) -> dict[str, Any] | None:
    """The request that people are asked, the one that waits if nothing of it has changed; None where the
    loop's last definition asks for no approval of its releases."""
    definition, approvals = declared(ledger, loop)
    if not approvals:
        return None
    what = {"candidate": candidate, "champion": champion, "definition": definition, "release": "anchor"}
    if waiting is not None and waiting["request"]["of"] == of(ledger, loop, **what):  # type: ignore[arg-type]
        asked: dict[str, Any] = waiting["request"]
        if asked.get("until") is None or now < asked["until"]:
            return asked
    return request(approvals[0], ledger, loop, now=now, **what)  # type: ignore[arg-type]
