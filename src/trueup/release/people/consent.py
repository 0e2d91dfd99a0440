# SPDX-License-Identifier: Apache-2.0
"""Consent: what people are asked to approve, by its digest, and whether what they said still counts.

A request names the candidate, its report, the champion that it would replace, the release and the
definition, and the moment of the request. Its digest is what an approval approves and what a key
signs: where any of these has changed, there is another request, and what was said before is void.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from trueup.core.clock import from_us
from trueup.core.json import digest
from trueup.release.people.keys import verify
from trueup.state import LoopState

if TYPE_CHECKING:
    from trueup.release.people.approval import Approval
    from trueup.store import Ledger

UNVERIFIED = " (unverified)"


def of(
    ledger: Ledger, loop: str, *, candidate: str, champion: str | None, definition: str, release: str | None
) -> dict[str, Any]:
    """What would be approved."""
    made = ledger.decisions(loop, kind="candidate", subject=candidate, newest=True, limit=1)
    report = made[0].evidence.get("report") if made else None
    return {
        "loop": loop, "candidate": candidate, "champion": champion, "definition": definition,
        "release": release, "report": report["sha256"] if report else None,
    }


def request(
    approval: Approval, ledger: Ledger, loop: str, *, candidate: str, champion: str | None, definition: str,
    release: str | None, now: int,
) -> dict[str, Any]:
    """A request for approval: who may give it, until when, and the digest of what is approved."""
    what = of(ledger, loop, candidate=candidate, champion=champion, definition=definition, release=release)
    return {
        "by": approval.whom, "candidate": candidate, "since": now,
        "until": None if approval.max_time is None else now + _us(approval.max_time),
        "approvers": approval.approvers, "needs": approval.needs,
        "valid": None if approval.valid is None else _us(approval.valid),
        "remind": None if approval.remind is None else _us(approval.remind),
        "of": what, "digest": digest({**what, "since": now}),
    }


def waits(state: LoopState) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """The request that waits for people, with what they have said of it; None where nothing waits."""
    release = state.release
    if release is not None and "by" in release.parameters:
        return {"candidate": release.candidate, **release.parameters}, release.approval
    proposal = state.proposal
    if release is None and proposal is not None and state.waiting == proposal["request"]["candidate"]:
        return proposal["request"], proposal["approval"]
    return None


def with_said(state: LoopState, said: dict[str, Any]) -> LoopState:
    """The state in which people have said this of what waits."""
    if state.release is not None:
        return replace(state, release=replace(state.release, approval=said))
    assert state.proposal is not None
    return replace(state, proposal={**state.proposal, "approval": said})


def person(who: str) -> str:
    """The person behind an identity, verified or not: nobody counts twice."""
    return who.removesuffix(UNVERIFIED)


def standing(asked: Mapping[str, Any], said: Mapping[str, Any] | None, now: int) -> list[dict[str, Any]]:
    """The approvals that count now: of this very request, not expired, one a person."""
    found: dict[str, dict[str, Any]] = {}
    for one in (said or {}).get("given", ()):
        same = one["candidate"] == asked["candidate"] and one.get("digest") == asked.get("digest")
        if same and (one.get("until") is None or now < one["until"]):
            found.setdefault(person(one["who"]), one)
    return list(found.values())


def judge(
    asked: Mapping[str, Any], said: Mapping[str, Any] | None, candidate: str, now: int
) -> tuple[Literal["PASS", "REFUSE", "HOLD"], str]:
    """Whether enough people have approved what is asked of them, in words."""
    given = standing(asked, said, now) if candidate == asked["candidate"] else []
    given = [one for one in given if _proved(asked, one)]
    needs = asked.get("needs", 1)
    if len(given) >= needs:
        return "PASS", "; ".join(f"approved by {one['who']}: {one['reason']}" for one in given)
    until = asked.get("until")
    if until is not None and now >= until:
        return "REFUSE", f"nobody approved it within {timedelta(microseconds=until - asked['since'])}"
    return "HOLD", waiting_words(asked, said, now)


def _proved(asked: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Whether the key of a person who has one signed this: looked at again when it counts."""
    key = next((who["key"] for who in asked.get("approvers", ()) if who["name"] == person(one["who"])), None)
    return key is None or verify(key, statement(one), one.get("signature"))


def statement(spoken: Mapping[str, Any]) -> dict[str, Any]:
    """What a signature covers: the digest of the request, so everything that it names, and the words."""
    return {"kind": "trueup.approval", **{name: spoken[name] for name in ("candidate", "digest", "who", "reason", "at")}}


def waiting_words(asked: Mapping[str, Any], said: Mapping[str, Any] | None, now: int) -> str:
    """Whom a request waits for, since when and until when, with the command."""
    given = standing(asked, said, now)
    had = f" ({', '.join(one['who'] for one in given)} said yes)" if given else ""
    since = f", since {from_us(asked['since']):%Y-%m-%d %H:%M}" if "since" in asked else ""
    until = f", until {from_us(asked['until']):%Y-%m-%d %H:%M}" if asked.get("until") else ""
    return f"waits for {asked['by']}{had}{since}{until}: trueup approve {asked['candidate']}"


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
