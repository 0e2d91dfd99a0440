# SPDX-License-Identifier: Apache-2.0
"""Approval: people read the report and say yes (REG-03, HIT-01)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trueup.core.errors import ArgumentError
from trueup.core.values import from_json, value
from trueup.release.people.consent import judge, request
from trueup.release.people.keys import check_public
from trueup.release.stage import Ruling, Scene, Terms, Traits
from trueup.state import definition

if TYPE_CHECKING:
    from trueup.store import Ledger


@value("approver")
class Approver:
    """A person who may approve.

    `name` is what the person is called; `key` their public key (Ed25519): with one, only what the
    private key has signed counts. None takes the name on trust, and the record says unverified.
    """

    name: str
    key: str | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ArgumentError(f"expected the name of a person, got {self.name!r}")
        if self.key is not None:
            check_public(self.key)


@value("stage.approval")
class Approval(Traits):
    """Wait until people approve this very candidate.

    `by` says who: a text is recorded and lets anybody approve; a list of names and `Approver`s lets
    only these. `needs` different people must say yes, and one rejection ends it. `max_time` (None:
    for ever) ends the wait as a refusal; `valid` (None: for ever) is how long an approval counts,
    so it must outlast the time to the next look. People are reminded every `remind` (None: never).
    """

    consents = True

    by: str | Sequence[str | Approver] = "anybody"
    max_time: timedelta | None = None
    needs: int = 1
    valid: timedelta | None = None
    remind: timedelta | None = timedelta(days=1)

    def __post_init__(self) -> None:
        names = [one["name"] for one in self.approvers]
        if not isinstance(self.by, str) and not names:
            raise ArgumentError("expected somebody who may approve, got an empty list", cure='Approval(by=["ann"])')
        if len(set(names)) != len(names):
            raise ArgumentError(f"expected every approver once, got {', '.join(names)}")
        if self.needs < 1 or (names and self.needs > len(names)):
            raise ArgumentError(f"expected needs from 1 to {len(names) or 'any number'}, got {self.needs!r}")
        for name in ("max_time", "valid", "remind"):
            span = getattr(self, name)
            if span is not None and span <= timedelta(0):
                raise ArgumentError(f"expected {name} above 0, got {span!r}")

    @property
    def approvers(self) -> list[dict[str, Any]]:
        """Who may approve, as JSON; empty where anybody may."""
        if isinstance(self.by, str):
            return []
        people = [Approver(one) if isinstance(one, str) else one for one in self.by]
        return [{"name": one.name, "key": one.key} for one in people]

    @property
    def whom(self) -> str:
        """Who may approve, in words."""
        if isinstance(self.by, str):
            return self.by if self.needs == 1 else f"{self.needs} of {self.by}"
        names = ", ".join(one["name"] for one in self.approvers)
        return names if self.needs == len(self.approvers) else f"{self.needs} of {names}"

    def problems(self, terms: Terms) -> list[str]:
        return []

    def enter(self, scene: Scene) -> dict[str, Any]:
        release = scene.release
        return request(
            self, scene.ledger, scene.terms.loop, candidate=release.candidate, champion=scene.state.champion,
            definition=release.loop, release=f"{release.id}/{release.stage}", now=scene.now,
        )

    def rule(self, scene: Scene) -> Ruling:
        call, words = judge(scene.release.parameters, scene.release.approval, scene.release.candidate, scene.now)
        said = scene.release.approval
        evidence = {"request": scene.release.parameters, "approval": said} if call == "PASS" and "of" in scene.release.parameters else {}
        return Ruling(call, words, evidence)


def declared(ledger: Ledger, loop: str) -> tuple[str, list[Approval]]:
    """The id of the loop's last definition ("": none yet), and the approvals that it names: of its stages,
    then of its proposal."""
    ident, body = definition(ledger, loop) or ("", {})
    parts = [*body.get("release", ()), *([body["proposal"]] if body.get("proposal") else [])]
    return ident, [from_json(part) for part in parts if part.get("kind") == "stage.approval"]
