# SPDX-License-Identifier: Apache-2.0
"""What people may do to a loop, at any moment: approve, reject, pause, resume, roll back."""

from __future__ import annotations

import getpass
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Conflict, Refused, UnknownName
from trueup.registry import served
from trueup.release.advance import end
from trueup.release.people.consent import UNVERIFIED, waits
from trueup.release.people.rejection import signed_no
from trueup.release.people.saying import sign_with, take
from trueup.state import LoopState, decide, only, read
from trueup.state import candidate as registered

if TYPE_CHECKING:
    from trueup.store import Ledger


def whoami() -> str:
    """The system's user, whom nobody has verified."""
    try:
        return f"{getpass.getuser()}{UNVERIFIED}"
    except (OSError, KeyError):
        return f"unknown{UNVERIFIED}"


def approve(
    ledger: Ledger, loop: str, candidate: str, *, reason: str, who: str | None = None, key: Path | None = None
) -> Decision:
    """Approve this candidate, and no other: void if what is asked has changed.

    `key` is the file of the private key of `who`, where the loop's `Approver` has one. Raises
    Refused where nothing waits for an approval, another candidate does, this person may not
    approve, or has done so already.
    """
    while True:
        generation, state = read(ledger, loop)
        asked, said = _waiting(loop, state)
        if asked["candidate"] != candidate:
            raise Refused(
                f"expected an approval of {asked['candidate']}, which is what waits, got {candidate!r}",
                cure=f"trueup approve {asked['candidate']}",
            )
        spoken = sign_with(asked, who or whoami(), reason, to_us(ledger.clock.now()), key)
        try:
            return take(ledger, loop, generation, state, asked, said, spoken)
        except Conflict:  # somebody else has decided; what is approved is a digest, so look again whether it waits
            continue


def reject(
    ledger: Ledger, loop: str, candidate: str, *, reason: str, who: str | None = None, key: Path | None = None
) -> Decision:
    """End the running release of this candidate as refused, or drop it while it waits. Anybody may; `key`
    is the file of the private key of `who`, which proves it, where the loop's `Approver` has one."""
    generation, state = read(ledger, loop)
    evidence: dict[str, Any] = {}
    if key is not None:
        evidence["rejection"] = signed_no(
            ledger, loop, state, candidate=candidate, who=who or whoami(), reason=reason, key=key
        )
        who = evidence["rejection"]["who"]
    if state.waiting == candidate:
        state = replace(state, waiting=None, proposal=None)
    elif state.release is not None and state.release.candidate == candidate:
        evidence["release"] = state.release.id
        state = end(state)
    else:
        running = state.release.candidate if state.release else state.waiting
        raise Refused(
            f"expected a candidate that is being released or waits, got {candidate!r}",
            cure=f"trueup reject {running}" if running else "there is none: trueup status",
        )
    return decide(
        ledger, loop, generation, state, kind="reject", verdict="REFUSE", reason=reason,
        subject=candidate, actor=who or whoami(), evidence=evidence,
    )


def pause(ledger: Ledger, loop: str, *, reason: str, who: str | None = None) -> Decision:
    """The champion serves everybody, and nothing is trained or released until `resume`."""
    generation, state = read(ledger, loop)
    if state.paused is not None:
        raise Refused(f"{loop} is paused already: {state.paused}", cure="trueup resume")
    if state.champion is None:
        raise Refused(f"{loop} has no champion yet: there is nothing to pause")
    state = replace(state, paused=reason, routing=only(state.champion))
    return decide(
        ledger, loop, generation, state, kind="pause", verdict="PAUSE", reason=reason,
        actor=who or whoami(),
    )


def resume(ledger: Ledger, loop: str, *, reason: str, who: str | None = None) -> Decision:
    """Go on after a pause. A release that had begun to serve users is ended as refused, since its
    units have been with the champion in between; one in shadow goes on."""
    generation, state = read(ledger, loop)
    if state.paused is None:
        raise Refused(f"{loop} is not paused", cure="trueup status")
    served = state.release is not None and state.release.guard is not None
    state = replace(end(state) if served else state, paused=None)
    if served:
        reason += " (the canary was cut by the pause: its release has ended)"
    return decide(
        ledger, loop, generation, state, kind="resume", verdict="NOTE", reason=reason,
        actor=who or whoami(),
    )


def accept(ledger: Ledger, loop: str, detector: str, *, reason: str, who: str | None = None) -> Decision:
    """Accept what a detector found as the new reference: its alarm has been understood, and from now on
    it counts afresh. Raises UnknownName for a detector that the last look knew nothing of."""
    generation, state = read(ledger, loop)
    last = ledger.decisions(loop, kind="look", newest=True, limit=1)
    result = last[0].evidence.get("result", {}) if last else {}
    parts = [*result.get("when", ()), *result.get("watch", ())]
    known = sorted({part["evidence"]["detector"] for part in parts if "detector" in part["evidence"]})
    if detector not in known:
        raise UnknownName("detector of the last look", detector, known)
    after = replace(state, accepted={**state.accepted, detector: to_us(ledger.clock.now())})
    return decide(
        ledger, loop, generation, after, kind="accept", verdict="NOTE", reason=f"{detector} is accepted: {reason}",
        actor=who or whoami(), evidence={"detector": detector, "before": state.accepted.get(detector)},
    )


def rollback(
    ledger: Ledger, loop: str, *, reason: str, who: str | None = None, to: str | None = None
) -> Decision:
    """End the running release; where none runs, the champion that this one replaced serves again.

    Rolling back twice goes back twice: never forth again to what was rolled back. `to` names a
    candidate that has served users: it serves again, byte by byte as it was. Raises Refused for one
    that never served, NotFound or StoreError where its model is gone or not what its digest says.
    """
    generation, state = read(ledger, loop)
    subject: str | None
    if to is not None:
        ident = _restorable(ledger, loop, state, to)
        subject = state.release.candidate if state.release else state.champion
        running = end(state) if state.release is not None else state
        after = running.serve(ident, to_us(ledger.clock.now()))
    elif state.release is not None:
        subject = state.release.candidate
        after = end(state)
    else:
        before = _before(ledger, loop, state)
        subject, after = state.champion, state.serve(before, to_us(ledger.clock.now()))
    return decide(
        ledger, loop, generation, after, kind="rollback", verdict="ROLLBACK", reason=reason,
        subject=subject, actor=who or whoami(),
        evidence={"from": state.champion, "to": after.champion},
    )


def _waiting(loop: str, state: LoopState) -> tuple[dict[str, Any], dict[str, Any] | None]:
    found = waits(state)
    if found is None:
        raise Refused(f"nothing of {loop} waits for an approval", cure="trueup status")
    return found


def _restorable(ledger: Ledger, loop: str, state: LoopState, candidate: str) -> str:
    """A candidate that has served, whose model is whole."""
    found = registered(ledger, loop, candidate)
    if found.id == state.champion:
        raise Refused(f"{found.id} serves already", cure="trueup status")
    if found.id not in served(ledger, loop):
        raise Refused(
            f"expected a candidate that has served users, got {found.id}, which never did",
            cure="it comes into production by a release; `trueup prune --dry` lists what has served",
        )
    ledger.artifacts.verify(found.model)
    return found.id


def _before(ledger: Ledger, loop: str, state: LoopState) -> str:
    stack: list[str] = []
    for decision in ledger.decisions(loop):
        champion = decision.state.get("champion")
        if champion is None or stack[-1:] == [champion]:
            continue
        if decision.kind == "rollback":
            stack.pop()
            while champion in stack[:-1]:  # one that was named: what came after it was rolled back
                stack.pop()
        if stack[-1:] != [champion]:
            stack.append(champion)
    if len(stack) > 1:
        return stack[-2]
    raise Refused(f"{loop} has had no champion before {state.champion}: nothing to go back to")
