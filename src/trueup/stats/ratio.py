# SPDX-License-Identifier: Apache-2.0
"""The sample-ratio test: did the arms come in the proportions that were logged?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from trueup.stats import _check

SHIFTS = tuple(sign * s for s in (0.01, 0.02, 0.04, 0.08, 0.16, 0.32) for sign in (1.0, -1.0))


class SampleRatio:
    """Alarm when units were not drawn to the arms with the probabilities that were logged.

    Null: every unit's arm is 1 with its own logged pi, given the past.

    Guarantee: ``P(an alarm ever) <= level`` under the null.

    Conditions: units come in the order of exposure, each once, with its own pi (a ramp is no
    problem). Run it on the assigned units, and once more on the complete ones: attrition that
    differs by arm is caught there. A unit in an arm whose share is 0 is an alarm at once,
    unless it is flagged as an override.

    The wealth is the mean over 12 shifts s of the log-odds of ``prod P_s(arm) / P(arm)``.

    Parameters:
        level: of the alarm, in (0, 1).

    >>> ratio = SampleRatio(level=0.001)
    >>> for unit in range(2000):
    ...     ratio.update(arm=int(unit % 5 < 3), pi=0.5)
    >>> ratio.alarm
    True

    Source: Lindon and Malek, NeurIPS 2022, with a mixture over shifts of the log-odds.
    """

    KIND = "SampleRatio"
    __slots__ = ("_logs", "crossed_at", "level", "n")

    def __init__(self, level: float) -> None:
        self.level = _check.level("level", level)
        self.n = 0
        self.crossed_at: int | None = None
        self._logs = [0.0] * len(SHIFTS)

    def update(self, arm: int, pi: float, *, override: bool = False) -> None:
        """Take one unit: its arm (1 is the challenger), its logged pi in [0, 1]."""
        arm = _check.arm(arm)
        pi = _check.within("pi", pi, 0.0, 1.0, "log the probability of the challenger")
        if override or self.crossed_at is not None:
            return
        self.n += 1
        if pi in (0.0, 1.0):
            if arm != pi:
                self.crossed_at = self.n
            return
        for i, shift in enumerate(SHIFTS):
            scale = math.exp(shift)
            factor = 1.0 / (1.0 - pi + pi * scale)
            self._logs[i] += math.log(scale * factor if arm else factor)
        if self.wealth * self.level >= 1.0:
            self.crossed_at = self.n

    @property
    def wealth(self) -> float:
        """The evidence: an e-process, an alarm at ``1/level``."""
        return sum(math.exp(min(g, 690.0)) for g in self._logs) / len(self._logs)

    @property
    def alarm(self) -> bool:
        """Whether the ratio was found wrong, at any time."""
        return self.crossed_at is not None

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {
            "kind": self.KIND,
            "level": self.level,
            "n": self.n,
            "crossed_at": self.crossed_at,
            "logs": list(self._logs),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild from `state()`; it goes on with the same bits."""
        _check.kind(state, cls.KIND)
        ratio = cls(state["level"])
        ratio.n = state["n"]
        ratio.crossed_at = state["crossed_at"]
        ratio._logs = list(state["logs"])
        return ratio
