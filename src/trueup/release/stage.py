# SPDX-License-Identifier: Apache-2.0
"""What a stage is: it fixes its parameters when it is entered, and rules on evidence after that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from trueup.core.protocols import Predictor
from trueup.core.task import Outcome
from trueup.release.evidence import evidence_of, method
from trueup.release.population import Population
from trueup.release.risk import Risk
from trueup.state import LoopState, Release

if TYPE_CHECKING:
    from trueup.store import Ledger

SETTLE_US = 60_000_000
"""A row may be written this long after it was received: no unit is closed before."""

Call = Literal["HOLD", "PASS", "PROMOTE", "REFUSE", "ROLLBACK", "INVALID"]


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

    `evidence` is {"method", "parameters", "cut", "now", "result"}: its method gives the
    same result again from the same rows. `slices` are the routing's slices from now on (None: as
    they are). `candidate` is the one that goes on where a stage chose between several.
    """

    call: Call
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    slices: list[dict[str, Any]] | None = None
    proven: bool = False
    candidate: str | None = None


class Traits:
    """What a stage says of itself; the defaults are those of a stage that only looks.

    A stage inherits from this class and sets what differs.
    """

    __slots__ = ()

    evidence: ClassVar[str | None] = None
    """The kind of evidence that it rules on, if any."""
    draws: ClassVar[bool] = False
    """Users are drawn to arms: it takes its share of `needless_rollback`."""
    carries: ClassVar[int] = 0
    """Whether it can be the deciding stage: the first of the highest rank is; 0 never."""
    anchored: ClassVar[bool] = False
    """It compares with the anchor as well, so that small losses cannot add up."""
    judges: ClassVar[bool] = False
    """It asks the candidates' models itself, so that they must be loadable and take their parameters."""
    guards: ClassVar[bool] = False
    """Its guardrails are watched to the release's end."""
    consents: ClassVar[bool] = False
    """A candidate that is proven when it enters counts as validated: people decide here."""
    promotes: ClassVar[bool] = False
    """It makes the challenger the champion: it must be the last one."""

    def chooses(self) -> bool:
        """Whether it lets one of several candidates of its own go on."""
        return False

    def varies(self) -> frozenset[str]:
        """The parameters of candidates that its own arms give values to."""
        return frozenset()

    def opening(self, parameters: dict[str, Any]) -> Opening | None:
        """What it opens to users when it is entered; takes its share out of `parameters`."""
        if "slices" not in parameters:
            return None
        return Opening(parameters.pop("slices"), parameters.pop("guard"))


@dataclass(frozen=True, slots=True)
class Opening:
    """The slices of units that a stage opens, and the parameters of the guardrails that watch them."""

    slices: list[dict[str, Any]]
    guard: dict[str, Any]


@runtime_checkable
class Stage(Protocol):
    """One step of a release; `Traits` has the defaults of all but the last three."""

    @property
    def evidence(self) -> str | None: ...
    @property
    def draws(self) -> bool: ...
    @property
    def carries(self) -> int: ...
    @property
    def anchored(self) -> bool: ...
    @property
    def judges(self) -> bool: ...
    @property
    def guards(self) -> bool: ...
    @property
    def consents(self) -> bool: ...
    @property
    def promotes(self) -> bool: ...

    def chooses(self) -> bool: ...

    def varies(self) -> frozenset[str]: ...

    def opening(self, parameters: dict[str, Any]) -> Opening | None: ...

    def enter(self, scene: Scene) -> dict[str, Any]:
        """The stage's parameters, fixed before its first look at labels."""
        ...

    def rule(self, scene: Scene) -> Ruling:
        """What to do now; called at every look until it calls something else than HOLD."""
        ...

    def problems(self, terms: Terms) -> list[str]:
        """Why this stage could not work, in plain words."""
        ...


def recompute(ledger: Ledger, loop: str, evidence: dict[str, Any]) -> dict[str, Any]:
    """The result of a recorded piece of evidence, computed again from the ledger's rows."""
    return evidence_of(evidence.get("method", "")).result(ledger, loop, evidence["parameters"], evidence["cut"], evidence["now"])


def gather(scene: Scene, name: str, parameters: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute a result by its method; returns it with the evidence that reproduces it."""
    result = evidence_of(name).result(scene.ledger, scene.terms.loop, parameters, scene.cut, scene.now)
    evidence = {
        "method": name, "parameters": parameters, "cut": scene.cut, "now": scene.now, "result": result,
    }
    return result, evidence


__all__ = ["SETTLE_US", "Opening", "Ruling", "Scene", "Stage", "Terms", "Traits", "gather", "method", "recompute"]
