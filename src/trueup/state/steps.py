# SPDX-License-Identifier: Apache-2.0
"""The recorded steps of a cycle: what each was given, and what came of it.

Inputs and outputs are recorded as JSON, since the digest of an input is the step's key; other rooms read
the outputs through the types here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trueup.core.json import digest
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
class Built:
    """A dataset: the id of its Snapshot and its rows, the funnel that it came through, or why there is none.

    `unknown` are labels that the model which the training goes on from does not know.
    """

    snapshot: str | None = None
    data: Ref | None = None
    funnel: list[dict[str, Any]] = field(default_factory=list)
    refusal: str | None = None
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, or why there is none. `seconds` is the time of all attempts, `work` the work folder's name."""

    model: Ref | None = None
    status: str = ""
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
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
    """What the gates said, and where the report for people lies."""

    passed: bool = False
    gates: list[GateFinding] = field(default_factory=list)
    report: Ref | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """The candidate that a cycle registered."""

    candidate: str | None = None
