# SPDX-License-Identifier: Apache-2.0
"""The state of a loop, as every Decision carries it whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.decisions import Decision, Verdict

if TYPE_CHECKING:
    from trueup.store import Ledger


@dataclass(frozen=True, slots=True)
class Test:
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
    tests: tuple[Test, ...] = ()
    cycle: dict[str, Any] | None = None
    accepted: dict[str, int] = field(default_factory=dict)
    trained: int | None = None
    trained_cut: int | None = None
    looked: int | None = None
    since: int | None = None
    proposal: dict[str, Any] | None = None
    anchoring: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["tests"] = [asdict(test) for test in self.tests]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LoopState:
        known = {name: data[name] for name in cls.__slots__ if name in data}
        if known.get("release"):
            known["release"] = Release(**known["release"])
        known["tests"] = tuple(Test(**test) for test in known.get("tests", ()))
        return cls(**known)

    def serve(self, champion: str, since: int) -> LoopState:
        """The same loop with this champion, serving all users."""
        return replace(
            self, champion=champion, since=since, anchor=self.anchor or champion,
            routing=only(champion), release=None,
        )

    def end_test(self, promoted: bool) -> LoopState:
        """The running test has ended: rejected at its own level, or refused."""
        if not self.tests or self.tests[-1].promoted is not None:
            return self
        return replace(self, tests=(*self.tests[:-1], replace(self.tests[-1], promoted=promoted)))


DEFINED, USED = "loop", "loop-used"
"""The records of a definition, by its digest, and of the changes from one to another, counted."""


def only(champion: str) -> dict[str, Any]:
    """Routing that sends everybody to one candidate."""
    return {
        "champion": champion, "challenger": None, "release": None, "salt": "", "slices": [],
        "parameters": {"champion": {}, "challenger": {}},
    }


def read(ledger: Ledger, loop: str) -> tuple[int, LoopState]:
    """The generation and the state of a loop."""
    generation, data = ledger.state(loop)
    return generation, LoopState.from_json(data)


def definition(ledger: Ledger, loop: str) -> tuple[str, dict[str, Any]] | None:
    """The id and the JSON of the definition that a loop was last seen with; None where none has run."""
    if used := ledger.records(loop, USED, newest=True, limit=1):
        digest = str(used[0]["definition"])
        body = defined(ledger, loop, digest)
        return None if body is None else (digest, body)
    found = ledger.records(loop, DEFINED, newest=True, limit=1)  # of a ledger that counted no changes yet
    return (str(found[0]["id"]), found[0]["json"]) if found else None


def defined(ledger: Ledger, loop: str, digest: str) -> dict[str, Any] | None:
    """The JSON of the definition with this digest; None where this ledger does not hold it."""
    found = ledger.get(loop, DEFINED, digest)
    return found and found["json"]


def define(ledger: Ledger, loop: str, digest: str, body: dict[str, Any]) -> None:
    """Record that a loop is seen with this definition now: the definition itself once, and each change
    to it, for a file that is changed and changed back brings no new one."""
    last = definition(ledger, loop)
    if last is not None and last[0] == digest:
        return
    ledger.put(loop, DEFINED, digest, {"json": body})
    used = ledger.records(loop, USED, newest=True, limit=1)
    ledger.put(loop, USED, str(int(used[0]["id"]) + 1 if used else 1), {"definition": digest})


def decide(
    ledger: Ledger, loop: str, generation: int, state: LoopState, *, kind: str, verdict: Verdict,
    reason: str, subject: str | None = None, actor: str = "trueup", level: float | None = None,
    evidence: dict[str, Any] | None = None,
) -> Decision:
    """Append a Decision with the state that follows from it; raises Conflict if the state moved.

    The routing gets the parameters of the candidates that it names.
    """
    state = replace(state, routing=_with_parameters(ledger, loop, state.routing))
    return ledger.decide(
        Decision(
            loop=loop, at=to_us(ledger.clock.now()), kind=kind, verdict=verdict, reason=reason,
            state=state.to_json(), subject=subject, actor=actor, level=level,
            evidence=evidence or {},
        ),
        expect=generation,
    )


def _with_parameters(ledger: Ledger, loop: str, routing: dict[str, Any]) -> dict[str, Any]:
    """The routing with what its candidates say beside their models: prompts, thresholds."""
    given = dict(routing.get("parameters", {}))
    for arm, own in list(given.items()):
        ident = routing.get("arms", {}).get(arm, routing.get(arm) if arm in ("champion", "challenger") else None)
        body = ledger.get(loop, "candidate", ident) if ident else None
        if body is not None and body.get("parameters") and not own:
            given[arm] = body["parameters"]
    return {**routing, "parameters": given} if given else routing
