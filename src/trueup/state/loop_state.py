# SPDX-License-Identifier: Apache-2.0
"""The state of a loop, as every Decision carries it whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from trueup.core.records import from_plain, to_plain
from trueup.state.cycle import Cycle


@dataclass(frozen=True, slots=True)
class ReleaseTest:
    """The k-th first look at fresh data: its level, and whether both of its nulls were rejected
    there (None while it runs)."""

    k: int
    level: float
    at: int
    promoted: bool | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A challenger on its way. Times are microseconds since 1970.

    `stage` counts the loop's stages and `step` the steps within one. `proven`: the gate that
    carries the promise, and the anchor, have rejected at `level` for this very `candidate`. `validated`: only the approval
    is missing. `parameters` are those of the present stage, fixed when it was entered, and `guard`
    those of the canary, whose guardrails are looked at until the release ends. `approval` is what
    a person said in this stage. `loop` is the digest of the definition that it runs under.
    """

    id: str
    candidate: str
    k: int
    level: float
    started: int
    stage: int
    entered: int
    loop: str
    step: int = 0
    stepped: int = 0
    proven: bool = False
    validated: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    guard: dict[str, Any] | None = None
    approval: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LoopState:
    """Everything that a loop must remember between two looks.

    `routing` is what the router obeys. `waiting` is a candidate whose turn has not come; `cycle`
    an unfinished training; `accepted` maps a detector to the moment since which it counts;
    `trained` and `looked` are the last training's and the last look's moments, and `trained_cut` is the
    ledger's cut that the last training saw: what came after it is new, whenever it happened.
    `proposal` is the request to release what waits, and what people have said of it; `anchoring` the
    same of an anchor that somebody wants to name.
    """

    champion: str | None = None
    anchor: str | None = None
    routing: dict[str, Any] = field(default_factory=dict)
    release: Release | None = None
    waiting: str | None = None
    paused: str | None = None
    tests: tuple[ReleaseTest, ...] = ()
    cycle: Cycle | None = None
    accepted: dict[str, int] = field(default_factory=dict)
    trained: int | None = None
    trained_cut: int | None = None
    looked: int | None = None
    since: int | None = None
    proposal: dict[str, Any] | None = None
    anchoring: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = to_plain(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LoopState:
        return from_plain(cls, data)

    def serve(self, champion: str, since: int) -> LoopState:
        """The same loop with this champion, serving all users."""
        return replace(
            self, champion=champion, since=since, anchor=self.anchor or champion,
            routing=only(champion), release=None,
        )

    def without_cycle(self) -> LoopState:
        """The same loop after its cycle has ended without a candidate: its rows are new again, and the alarm that
        began it is unanswered."""
        assert self.cycle is not None
        before = self.cycle.before
        return replace(
            self, cycle=None, trained=before.trained, trained_cut=before.trained_cut, accepted=before.accepted
        )

    def end_test(self, promoted: bool) -> LoopState:
        """The running test has ended: rejected at its own level, or refused."""
        if not self.tests or self.tests[-1].promoted is not None:
            return self
        return replace(self, tests=(*self.tests[:-1], replace(self.tests[-1], promoted=promoted)))


def only(champion: str) -> dict[str, Any]:
    """Routing that sends everybody to one candidate."""
    return {
        "champion": champion, "challenger": None, "release": None, "salt": "", "slices": [],
        "parameters": {"champion": {}, "challenger": {}},
    }
