# SPDX-License-Identifier: Apache-2.0
"""Bandits: arms are drawn the more often the better they do, with every probability logged (REL-08,
REL-09, REL-12, TRN-08)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from typing import Any, Literal

from trueup.core.errors import ArgumentError
from trueup.core.task import Outcome
from trueup.core.values import value
from trueup.release.experiments.design import USUAL_RATE, WEEK, Guardrails, us
from trueup.release.experiments.policies import Feature, first
from trueup.release.experiments.trial import (
    candidates_of,
    check_trial,
    enter_trial,
    rule_trial,
    sized,
    trial_problems,
)
from trueup.release.stage import Ruling, Scene, Terms, Traits

HOUR = timedelta(hours=1)
MOST_NUMBERS = 2_000
"""Numbers that a contextual policy may have: it is part of the loop's state, and read by routers."""


@value("stage.bandit")
class Bandit(Traits):
    """Draw units to the arms with probabilities that follow the outcomes, never below `floor`.

    `policy` is "thompson" (Beta-Thompson), "epsilon" (greedy), or with `features` of the context
    "linucb" or "lints", whose width of exploration is `explore`. Probabilities are computed, floored, then drawn
    from and logged; they are renewed at most once `every`, from complete units alone. `floor` is each
    arm's least probability: None is 1/(10 arms), which earns; a bandit that should also decide needs
    about .3. The arms start from the champion's rate in the log, and so does a unit without history.
    A returning unit may move to another arm when the probabilities move: its first request alone is
    scored. For effects that build up over visits, use AB.

    `outcome`, `no_worse_by`, `traffic`, `units`, `detect`, `min_time`, `max_time`, `arms`,
    `hypothesis`, `guardrails`, `segments` and `units_a_day` are those of `AB`; a promotion is decided
    at the same guarantee, with the logged probabilities.
    """

    evidence = "experiment"
    draws = True
    carries = 1

    outcome: Outcome
    policy: Literal["thompson", "epsilon", "linucb", "lints"] = "thompson"
    arms: Mapping[str, Any] = field(default_factory=dict)
    features: Sequence[Feature] = ()
    floor: float | None = None
    every: timedelta = HOUR
    explore: float = 0.3
    no_worse_by: float = 0.01
    traffic: float = 1.0
    units: int | None = None
    detect: float = 0.0
    min_time: timedelta = WEEK
    max_time: timedelta = 4 * WEEK
    hypothesis: str = ""
    guardrails: Guardrails = Guardrails()
    segments: Sequence[str] = ()
    units_a_day: float | None = None

    def __post_init__(self) -> None:
        if self.policy not in ("thompson", "epsilon", "linucb", "lints"):
            raise ArgumentError(f"expected a policy thompson, epsilon, linucb or lints, got {self.policy!r}")
        if self.contextual != bool(self.features):
            raise ArgumentError(
                f"expected features with linucb and lints, and with those only, got {self.policy} and "
                f"{len(self.features)} features", cure="features=[Feature('age', 0, 100)], policy='lints'",
            )
        k = len(self.arms or ("challenger",)) + 1
        if self.floor is not None and not 0.0 < self.floor <= 1.0 / k:
            raise ArgumentError(f"expected a floor above 0 and at most 1/{k} arms, got {self.floor!r}")
        if k * (len(self.features) + 2) ** 2 > MOST_NUMBERS:
            raise ArgumentError(f"expected fewer features: {k} arms with {len(self.features)} of them are too many numbers")
        if self.every <= timedelta(0):
            raise ArgumentError(f"expected every above 0, got {self.every!r}")
        check_trial(self)

    @property
    def contextual(self) -> bool:
        """Whether the probabilities follow from the context."""
        return self.policy in ("linucb", "lints")

    def chooses(self) -> bool:
        return bool(self.arms)

    def varies(self) -> frozenset[str]:
        return frozenset(name for given in self.arms.values() for name in given)

    @property
    def share(self) -> float | None:
        """None: the arms start equal, then the policy draws them."""
        return None

    def problems(self, terms: Terms) -> list[str]:
        return trial_problems("Bandit", self, terms)

    def enter(self, scene: Scene) -> dict[str, Any]:
        return self.begin(scene, candidates_of(scene, self.arms))

    def begin(self, scene: Scene, arms: dict[str, str]) -> dict[str, Any]:
        """The parameters for these challengers, candidates by the names of their arms."""
        k = len(arms) + 1
        floor = 1.0 / (10 * k) if self.floor is None else self.floor
        forecast = sized(scene, self, len(arms), None, scene.release.level)
        policy = {
            "kind": self.policy, "floor": floor, "explore": self.explore,
            "prior": USUAL_RATE if forecast["base"] is None else forecast["base"],
            "features": [{"name": one.name, "low": one.low, "high": one.high} for one in self.features],
        }
        if self.policy == "thompson":
            policy["integral"] = "quantiles"
        names = ["champion", *arms]
        return enter_trial(
            scene, self, arms, forecast, moves=True, policy=policy, every=us(self.every),
            pi_range=[floor, 1.0 - floor] if self.contextual else None, slices=[self.part(first(policy, names))],
        )

    def rule(self, scene: Scene) -> Ruling:
        ruling, result = rule_trial(scene, self)
        if result is None or scene.now < scene.release.stepped + scene.release.parameters["every"]:
            return ruling
        slices = [self.part(result["policy"])]
        if slices == scene.state.routing.get("slices"):
            return ruling
        return Ruling("HOLD", f"new probabilities: {ruling.reason}", ruling.evidence, slices=slices)

    def part(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The routing's slice while the arms are drawn so."""
        if "policy" in drawn:
            return {"start": 0.0, "stop": self.traffic, "pi": 0.5, "stage": 0, "policy": drawn["policy"]}
        pi = sum(p for _, p in drawn["weights"])
        return {"start": 0.0, "stop": self.traffic, "pi": pi, "stage": 0, "weights": drawn["weights"]}
