# SPDX-License-Identifier: Apache-2.0
"""The recorded steps of a cycle: what each was given, and what came of it.

Inputs and outputs are recorded as JSON, since the digest of an input is the step's key; who makes and who
reads them uses the types here. A field that is left out of the JSON where nothing is said is UNSET.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, UnsetType

from trueup.core.json import digest
from trueup.core.protocols import TrainJob
from trueup.core.records import from_plain, record
from trueup.core.references import Ref


@record("step")
class StepRecord:
    """A step of the run `run`: its input, its output, and the seconds that it took."""

    run: str
    step: str
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    id: str = ""
    at: int = 0

    @property
    def trained(self) -> Trained:
        """The output of a training's step."""
        return from_plain(Trained, self.output)

    @property
    def built(self) -> Built:
        """The output of a Snapshot's step."""
        return from_plain(Built, self.output)

    @property
    def judged(self) -> Judged:
        """The output of the gates' step."""
        return from_plain(Judged, self.output)

    @property
    def registered(self) -> Registered:
        """The output of the registration's step."""
        return from_plain(Registered, self.output)

    @property
    def work(self) -> str:
        """The name of the work folder that a recorded training had."""
        return self.trained.work or digest(self.input)[:16]


@record("retry")
class RetryRecord:
    """A try of a step that failed: why, the seconds until the next one, and its moment (s since 1970)."""

    run: str
    step: str
    reason: str
    waits: float
    again: float
    id: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True)
class StartInput:
    """A training is to begin at `now` (us): the champion by then, and the trainer's JSON."""

    champion: str | None
    now: int
    trainer: Any


@dataclass(frozen=True, slots=True)
class NewRows:
    """Which rows are new to the model that a training goes on from: those after its cut, beside the rows of
    its Snapshots (`parents`), and the labels that it knows. All UNSET for a training from scratch."""

    after: int | UnsetType = UNSET
    parents: list[str] | UnsetType = UNSET
    labels: list[Any] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Start:
    """Where a training begins.

    `mode` is stateful, where it goes on from the model `init` of the candidate `parent`, or stateless
    (`forced` where the trainer was to go on), and `reason` says why. `base` is the frozen model that an
    adapter is trained on, and `rebased` (us) the last training from scratch of the lineage.
    """

    mode: str
    reason: str
    rebased: int
    forced: bool = False
    parent: str | None = None
    init: Ref | None = None
    base: Ref | None = None
    rows: NewRows = field(default_factory=NewRows)


@dataclass(frozen=True, slots=True)
class SnapshotInput:
    """A dataset to build: the ledger's cut, the moment (us), the recipe's JSON, the digests of the golden sets
    that are files, and which rows are new to the model that the training goes on from."""

    cut: int
    now: int
    recipe: Any
    golden: list[str] = field(default_factory=list)
    after: int | UnsetType = UNSET
    parents: list[str] | UnsetType = UNSET
    labels: list[Any] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class TrainInput:
    """A training's job, as its own JSON."""

    job: dict[str, Any]

    @property
    def training(self) -> TrainJob:
        """The job."""
        return TrainJob.from_json(self.job)


@dataclass(frozen=True, slots=True)
class GatesInput:
    """A model for the gates, against the champion: the gates' JSON, the digests of the golden sets that are files,
    the ledger's cut and the moment (us), and for the report the Snapshot and the training's metrics.

    `parameters` are the candidate's own; UNSET for a trained model, which answers with those that it would be
    registered with.
    """

    model: Ref
    champion: str | None
    cut: int
    now: int
    snapshot: str | None = None
    golden: list[str] = field(default_factory=list)
    gates: Any = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class RegisterInput:
    """A candidate to register, with its lineage (see `Candidate`)."""

    model: Ref
    snapshot: str | None
    parent: str | None
    trainer: dict[str, Any]
    code: str
    metrics: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Built:
    """A dataset: the id of its Snapshot and its rows, the funnel that it came through, or why there is none.

    `unknown` are labels that the model which the training goes on from does not know. The stage adds
    where the training starts.
    """

    snapshot: str | None = None
    data: Ref | None = None
    funnel: list[dict[str, Any]] = field(default_factory=list)
    refusal: str | None = None
    unknown: list[str] = field(default_factory=list)
    start: Start | UnsetType | None = UNSET

    @property
    def beginning(self) -> Start | None:
        """Where the training starts; None where an older stage did not say it."""
        return None if self.start is UNSET else self.start


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, or why there is none. `seconds` is the time of all attempts, `work` the work folder's name."""

    model: Ref | None = None
    status: str = ""
    reason: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    attempts: list[dict[str, Any]] = field(default_factory=list)
    work: str = ""


@dataclass(frozen=True, slots=True)
class GateFinding:
    """What a gate said of a candidate."""

    passed: bool
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gates said, and where the report for people lies. The stage adds the champion that it was compared with."""

    passed: bool = False
    gates: list[GateFinding] = field(default_factory=list)
    report: Ref | None = None
    champion: str | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class Registered:
    """The candidate that a cycle registered."""

    candidate: str | None = None


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What a cycle ends with: its candidate, the dataset with its funnel, what the gates said, and the start of the
    training (see `Start`; JSON without its rows). It is evidence of the cycle's Decision."""

    candidate: str
    snapshot: str | None
    funnel: list[dict[str, Any]]
    gates: list[GateFinding]
    report: Ref | None
    start: dict[str, Any] | None
