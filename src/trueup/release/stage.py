# SPDX-License-Identifier: Apache-2.0
"""What a stage is: it fixes its parameters when it is entered, and rules on evidence after that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from trueup.core.errors import UnknownName
from trueup.core.protocols import Predictor
from trueup.core.task import Outcome
from trueup.release.population import Population
from trueup.release.risk import Risk
from trueup.state import LoopState, Release

if TYPE_CHECKING:
    from trueup.store import Ledger

SETTLE_US = 60_000_000
"""A row may be written this long after it was received: no unit is closed before."""

Call = Literal["HOLD", "PASS", "PROMOTE", "REFUSE", "ROLLBACK", "INVALID"]
Method = Callable[["Ledger", str, dict[str, Any], int, int], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a release runs under: the parts of the loop that it needs, pinned by digest.

    `predictor` gives the model of a candidate with the candidate's parameters; it raises Refused where
    the candidate has some and its model takes none.
    """

    loop: str
    digest: str
    stages: Sequence[Stage]
    risk: Risk
    outcomes: Sequence[Outcome]
    predictor: Callable[[str], Predictor]
    margin: float
    seed: int = 0
    mode: str = "act"
    proposal: Any = None
    unit: str = ""
    population: Population = field(default_factory=Population)


@dataclass(frozen=True, slots=True)
class Scene:
    """One look at a running release: the ledger at a cut, the state, the moment."""

    ledger: Ledger
    terms: Terms
    state: LoopState
    release: Release
    cut: int
    now: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a stage says: its call, in words, with what the verdict can be recomputed from.

    `evidence` is {"method", "parameters", "cut", "now", "result"}: `METHODS[method]` gives the
    same result again from the same rows. `slices` are the routing's slices from now on (None: as
    they are). `candidate` is the one that goes on where a stage chose between several.
    """

    call: Call
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    slices: list[dict[str, Any]] | None = None
    proven: bool = False
    candidate: str | None = None


@runtime_checkable
class Stage(Protocol):
    """One step of a release."""

    def enter(self, scene: Scene) -> dict[str, Any]:
        """The stage's parameters, fixed before its first look at labels."""
        ...

    def rule(self, scene: Scene) -> Ruling:
        """What to do now; called at every look until it calls something else than HOLD."""
        ...

    def problems(self, terms: Terms) -> list[str]:
        """Why this stage could not work, in plain words."""
        ...


METHODS: dict[str, Method] = {}
"""How evidence is recomputed, by the name that a Decision stores: `method` fills it."""


def method(name: str) -> Callable[[Method], Method]:
    """Register a pure function (ledger, loop, parameters, cut, now) -> result under a name."""

    def register(function: Method) -> Method:
        METHODS[name] = function
        return function

    return register


def recompute(ledger: Ledger, loop: str, evidence: dict[str, Any]) -> dict[str, Any]:
    """The result of a recorded piece of evidence, computed again from the ledger's rows."""
    name = evidence.get("method", "")
    if name not in METHODS:
        raise UnknownName("method of evidence", str(name), METHODS)
    return METHODS[name](ledger, loop, evidence["parameters"], evidence["cut"], evidence["now"])


def gather(scene: Scene, name: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute a result by its method; returns it with the evidence that reproduces it."""
    result = METHODS[name](scene.ledger, scene.terms.loop, parameters, scene.cut, scene.now)
    evidence = {
        "method": name, "parameters": parameters, "cut": scene.cut, "now": scene.now, "result": result,
    }
    return result, evidence
