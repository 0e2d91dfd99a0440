# SPDX-License-Identifier: Apache-2.0
"""A/B: users are drawn to champion and challenger, and their outcomes decide (REL-05, REL-06, REL-14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from typing import Any, Literal

from trueup.core.errors import ArgumentError
from trueup.core.task import Outcome
from trueup.core.values import value
from trueup.release.experiments.design import WEEK, Guardrails
from trueup.release.experiments.trial import (
    candidates_of,
    check_trial,
    enter_trial,
    rule_trial,
    sized,
    trial_problems,
)
from trueup.release.stage import Ruling, Scene, Terms, Traits


@value("stage.ab")
class AB(Traits):
    """Draw units to the arms at fixed shares, and promote what is shown to be no worse by `no_worse_by`.

    `outcome` is the OEC, on [0, 1] with 1 the best; a unit is scored once, on its requests within the
    outcome's window after its first exposure. `no_worse_by` is the margin there (0: it must be
    better), `share` the challengers' share among those enrolled (None: equal arms), `traffic` the
    share of all units that is enrolled. `units` is the horizon N: None lets the forecast choose it
    when the stage is entered, so that a challenger better by `detect` passes with probability .95.
    Nothing is promoted before `min_time`, one full week by default; `max_time` ends it as REFUSE.
    `arms` names several challengers by their parameters: the challenger's model with these instead
    of its own; the level is split over them. `hypothesis` is recorded. `guardrails` roll back at any
    time. `segments` are keys of the context that is given to `choose`, reported beside the verdict,
    and so are units without history. `missing`: "attrition" leaves units without an outcome out and
    calls it INVALID where the arms differ in that; "worst" counts 0 for a challenger and 1 for the
    champion. `units_a_day` is the planned traffic, where the log does not tell it.
    """

    evidence = "experiment"
    draws = True
    carries = 1

    outcome: Outcome
    no_worse_by: float = 0.01
    share: float | None = None
    traffic: float = 1.0
    units: int | None = None
    detect: float = 0.0
    min_time: timedelta = WEEK
    max_time: timedelta = 4 * WEEK
    arms: Mapping[str, Any] = field(default_factory=dict)
    hypothesis: str = ""
    guardrails: Guardrails = Guardrails()
    segments: Sequence[str] = ()
    missing: Literal["attrition", "worst"] = "attrition"
    units_a_day: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and not 0.0 < self.share < 1.0:
            raise ArgumentError(f"expected a share between 0 and 1, got {self.share!r}")
        if self.missing not in ("attrition", "worst"):
            raise ArgumentError(f"expected missing attrition or worst, got {self.missing!r}")
        check_trial(self)

    def chooses(self) -> bool:
        return bool(self.arms)

    def varies(self) -> frozenset[str]:
        return frozenset(name for given in self.arms.values() for name in given)

    def problems(self, terms: Terms) -> list[str]:
        return trial_problems("AB", self, terms)

    def enter(self, scene: Scene) -> dict[str, Any]:
        return self.begin(scene, candidates_of(scene, self.arms))

    def begin(self, scene: Scene, arms: dict[str, str]) -> dict[str, Any]:
        """The parameters for these challengers, candidates by the names of their arms."""
        share = self.share if self.share is not None else len(arms) / (len(arms) + 1)
        forecast = sized(scene, self, len(arms), share, scene.release.level)
        part: dict[str, Any] = {"start": 0.0, "stop": self.traffic, "pi": share, "stage": 0}
        if self.arms:
            part["weights"] = [[name, share / len(arms)] for name in arms]
        return enter_trial(scene, self, arms, forecast, missing=self.missing, slices=[part])

    def rule(self, scene: Scene) -> Ruling:
        return rule_trial(scene, self)[0]
