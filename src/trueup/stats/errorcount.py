# SPDX-License-Identifier: Apache-2.0
"""The count guardrail: which arm did the next failing unit come from?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from trueup.stats import _check

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class ErrorCount:
    """Guardrail that needs no baseline rate: the arms of the units that failed.

    Null: ``P(fail | challenger, past) <= (1 + tol) P(fail | champion, past)`` at every unit.

    Guarantee: ``P(a rollback ever) <= level`` under the null.

    Conditions: Y is "an error in the unit's follow-up", the same follow-up in both arms (its
    first request by default); failing units come in the order of exposure, each once, with the
    pi that its own arm was drawn with; the count never restarts at a canary step.

    Every failing unit came from the challenger with probability at most ``th(1 + tol)``, where
    ``th(q) = pi q / (pi q + 1 - pi)``. The wealth of each ratio r, against ``th(r (1 + tol))``,
    is a product over units; the mean over r is taken last. It does not see repeated errors of
    one unit: that is what `HarmTest` is for.

    Parameters:
        level: of this guardrail, in (0, 1); a quarter of `needless_rollback` by default.
        tol: tolerated increase of the failure ratio, at least 0 (.25 = a quarter more).

    >>> count = ErrorCount(level=0.0125, tol=0.25)
    >>> for _ in range(20):
    ...     count.update(arm=1, pi=0.5)
    >>> count.rejected, count.crossed_at
    (True, 10)

    Source: Lindon and Malek, NeurIPS 2022.
    """

    KIND = "ErrorCount"
    __slots__ = ("_logs", "crossed_at", "level", "n", "tol")

    def __init__(self, level: float, tol: float = 0.25) -> None:
        self.level = _check.level("level", level)
        self.tol = _check.within("tol", tol, 0.0, 1e6, "give a ratio such as 0.25")
        self.n = 0
        self.crossed_at: int | None = None
        self._logs = [0.0] * len(RATIOS)

    def update(self, arm: int, pi: float) -> None:
        """Take one failing unit: its arm (1 is the challenger) and its own logged pi."""
        arm, pi = _check.arm(arm), _check.propensity(pi)
        if self.crossed_at is not None:
            return
        null = (1.0 + self.tol) * pi
        for i, ratio in enumerate(RATIOS):
            # th_r / th_0 on the challenger, (1 - th_r) / (1 - th_0) on the champion
            shrink = (null + 1.0 - pi) / (ratio * null + 1.0 - pi)
            self._logs[i] += math.log(ratio * shrink if arm else shrink)
        self.n += 1
        if self.wealth * self.level >= 1.0:
            self.crossed_at = self.n

    @property
    def wealth(self) -> float:
        """The evidence: an e-process, rejected at ``1/level``."""
        return sum(math.exp(min(g, 690.0)) for g in self._logs) / len(self._logs)

    @property
    def rejected(self) -> bool:
        """Whether harm was found, at any time."""
        return self.crossed_at is not None

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {
            "kind": self.KIND,
            "level": self.level,
            "tol": self.tol,
            "n": self.n,
            "crossed_at": self.crossed_at,
            "logs": list(self._logs),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a guardrail from `state()`; it goes on with the same bits."""
        _check.kind(state, cls.KIND)
        count = cls(state["level"], state["tol"])
        count.n = state["n"]
        count.crossed_at = state["crossed_at"]
        count._logs = list(state["logs"])
        return count
