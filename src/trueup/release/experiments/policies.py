# SPDX-License-Identifier: Apache-2.0
"""What a bandit draws with next: fitted on complete units, from rows alone, without a coin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueup.core.errors import ArgumentError
from trueup.core.values import value
from trueup.route import vector

PRIOR = 2.0
"""Units that the population's rate counts for as the prior of every arm."""


@value("feature")
class Feature:
    """A number of the request's context that a contextual bandit may use: its `name`, and the
    bounds `low` and `high` between which it is scaled. Where a unit has none, the arms are drawn as
    for the population."""

    name: str
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ArgumentError(f"expected low < high for the feature {self.name!r}, got {self.low!r}, {self.high!r}")


def first(parameters: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The policy before anything is known."""
    return fitted(parameters, names, [])


def fitted(policy: Mapping[str, Any], names: Sequence[str], scored: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How arms are drawn from now on: {"weights": [[arm, p], ...]} or {"policy": {...}}.

    The outcomes of the complete units are fitted, whatever drew their arms; missing ones are left out.
    """
    done = [one for one in scored if one["y"] is not None]
    if policy["kind"] in ("linucb", "lints"):
        return {"policy": _linear(policy, names, done)}
    return {"weights": _plain(policy, names, done)}


def _plain(policy: Mapping[str, Any], names: Sequence[str], done: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Probabilities of the challengers by Thompson sampling or epsilon-greedy."""
    import numpy as np

    from trueup.stats import BetaThompson, EpsilonGreedy

    number = {name: at for at, name in enumerate(names)}
    bandit: BetaThompson | EpsilonGreedy
    prior = min(max(policy["prior"], 0.01), 0.99)
    if policy["kind"] == "thompson":
        bandit = BetaThompson(len(names), policy["floor"], integral=policy.get("integral", "grid"))
        bandit.successes = [PRIOR * prior] * len(names)
        bandit.failures = [PRIOR * (1.0 - prior)] * len(names)
    else:
        bandit = EpsilonGreedy(len(names), policy["floor"] * len(names))
        bandit.sums = [prior] * len(names)
    for one in done:
        bandit.update(number[one["arm"]], one["y"])
    found = bandit.decide(np.random.default_rng(0)).probabilities
    places = 9 if "integral" in policy else 12  # the last bits of scipy's quantiles are those of one machine
    return [[name, round(p, places)] for name, p in zip(names[1:], found[1:], strict=True)]


def _linear(policy: Mapping[str, Any], names: Sequence[str], done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A linear model an arm, as the router reads it."""
    from trueup.stats import LinTS, LinUCB

    number = {name: at for at, name in enumerate(names)}
    made = {"linucb": LinUCB, "lints": LinTS}[policy["kind"]](
        len(names), len(policy["features"]) + 2, policy["explore"], policy["floor"]
    )
    if done:
        made.update_many(
            [number[one["arm"]] for one in done], [one["y"] - policy["prior"] for one in done],
            [vector(policy["features"], one["context"]) for one in done],
        )
    state = made.state()
    return {
        "kind": policy["kind"], "arms": list(names), "features": [dict(one) for one in policy["features"]],
        "theta": _rounded(state["theta"]), "inverse": _rounded(state["inverse"]), "floor": state["floor"], "explore": state["explore"],
    }


def _rounded(part: Any) -> Any:
    """Nine decimals: the last bits of a matrix are those of one machine."""
    return [_rounded(one) for one in part] if isinstance(part, list) else round(part, 9)
