# SPDX-License-Identifier: Apache-2.0
"""How many units a canary needs to see a broken serving process: the guardrails, over and over."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

from trueup.stats import ErrorCount, HarmTest


def units_to_see(
    parameters: Mapping[str, Any], *, fails: float = 0.5, slow: float = 1.0, repetitions: int = 201,
    most: int = 400, seed: int = 0,
) -> float:
    """The median number of units of a slice (both arms) after which a canary's guardrails reject.

    `parameters` are a canary's; the challenger's first request fails with probability `fails` and
    is slow with probability `slow`, the champion's is slow with .05.
    """
    rng = np.random.default_rng(seed)
    return median(_one(parameters, fails, slow, most, rng) for _ in range(repetitions))


def _one(
    parameters: Mapping[str, Any], fails: float, slow: float, most: int, rng: np.random.Generator
) -> int:
    levels, tolerated, pi = parameters["levels"], parameters["tolerance_abs"], parameters["pi"]
    count = ErrorCount(levels["count"], parameters["tolerance"])
    burden = HarmTest(levels["burden"], tolerated, parameters["units"])
    late = HarmTest(levels["latency"], tolerated, parameters["units"])
    for unit in range(1, most + 1):
        arm = int(rng.random() < pi)
        failed = bool(arm) and rng.random() < fails
        if failed:
            count.update(arm, pi)
        burden.update(arm, float(failed), pi)
        if parameters["p95"] is not None:
            late.update(arm, float(rng.random() < (slow if arm else 0.05)), pi)
        if count.rejected or burden.rejected or late.rejected:
            return unit
    return most
