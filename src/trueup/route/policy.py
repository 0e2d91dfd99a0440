# SPDX-License-Identifier: Apache-2.0
"""Probabilities of arms that follow from a request's context: linear bandits, without numpy.

The models are fitted elsewhere (`trueup.stats.LinUCB`, `LinTS`); here they only answer, with the
same numbers up to rounding. What is drawn from is what is logged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from trueup.core.errors import DataError

_HALF = (
    (0.48493570751549764, 0.34464233493201896), (1.4659890943911582, 0.13548370298026777),
    (2.4843258416389546, 0.01911158050077027), (3.581823483551927, 7.580709343122171e-4),
    (4.859462828332312, 4.31065e-6),
)
NODES = tuple((sign * node, weight) for sign in (-1.0, 1.0) for node, weight in _HALF)
"""Gauss-Hermite nodes and weights for the mean of a function of a normal variable."""
KINDS = ("linucb", "lints")


def vector(features: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> list[float]:
    """A context as numbers: 1, whether any feature is missing, and each feature on [-1, 1].

    A feature that is missing or no number stands at 0, the middle of its bounds, and a value outside
    them at the nearest bound: a unit without history gets what holds for the population (VAL-11).
    """
    found, missing = [], 0.0
    for feature in features:
        given = context.get(feature["name"]) if isinstance(context, Mapping) else None
        if isinstance(given, bool):
            given = float(given)
        if not isinstance(given, int | float) or not math.isfinite(given):
            missing = 1.0
            found.append(0.0)
            continue
        low, high = feature["low"], feature["high"]
        found.append(2.0 * (min(max(given, low), high) - low) / (high - low) - 1.0)
    return [1.0, missing, *found]


def probabilities(policy: Mapping[str, Any], context: Mapping[str, Any] | None) -> tuple[float, ...]:
    """P(arm) for one context, in the order of `policy["arms"]`, each at least the floor."""
    x = vector(policy["features"], context)
    floor, explore = policy["floor"], policy["explore"]
    means = [sum(a * b for a, b in zip(theta, x, strict=True)) for theta in policy["theta"]]
    spreads = [
        math.sqrt(max(0.0, sum(
            b * sum(a * c for a, c in zip(row, x, strict=True)) for row, b in zip(inverse, x, strict=True)
        ))) for inverse in policy["inverse"]
    ]  # fmt: skip
    k = len(means)
    if policy["kind"] == "linucb":
        upper = [mean + explore * spread for mean, spread in zip(means, spreads, strict=True)]
        best = upper.index(max(upper))
        return tuple(1.0 - (k - 1) * floor if arm == best else floor for arm in range(k))
    raw = _best(means, [explore * spread + 1e-12 for spread in spreads])
    total = sum(raw)
    return tuple(floor + (1.0 - k * floor) * p / total for p in raw)


def _best(means: Sequence[float], sds: Sequence[float]) -> list[float]:
    """P(arm is best), up to a factor, by quadrature over independent normal scores."""
    found = []
    for j, (mean, sd) in enumerate(zip(means, sds, strict=True)):
        total = 0.0
        for node, weight in NODES:
            for k, (other, spread) in enumerate(zip(means, sds, strict=True)):
                if k != j:
                    gap = (mean + sd * node - other) / spread
                    weight /= 1.0 + math.exp(min(max(-1.702 * gap, -500.0), 500.0))
            total += weight
        found.append(total)
    return found


def checked(policy: Any, arms: Sequence[str]) -> None:
    """Raises DataError for what is no policy over these arms."""
    keys = ("kind", "arms", "features", "theta", "inverse", "floor", "explore")
    if not isinstance(policy, Mapping) or set(policy) != set(keys) or policy["kind"] not in KINDS:
        raise DataError(f"expected a policy of {', '.join(KINDS)} with {', '.join(keys)}, got {policy!r:.120}")
    size, count = len(policy["features"]) + 2, len(policy["arms"])
    shaped = len(policy["theta"]) == len(policy["inverse"]) == count and all(
        len(theta) == len(inverse) == size for theta, inverse in zip(policy["theta"], policy["inverse"], strict=True)
    )
    if list(policy["arms"]) != list(arms) or not shaped or not 0.0 < policy["floor"] <= 1.0 / count:
        raise DataError(f"expected a policy over {list(arms)} with {size} numbers an arm and a floor, got {policy!r:.120}")
