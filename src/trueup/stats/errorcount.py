# SPDX-License-Identifier: Apache-2.0
"""The count guardrail: which arm did the next failing unit come from?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

from trueup.core.errors import ArgumentError
from trueup.stats import _check

SHARE = 0.9
"""Of the largest loss that a stake may reach where the range of pi is declared."""
RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class ErrorCount:
    """Guardrail that needs no baseline rate: the arms of the units that failed.

    Null: ``P(fail | challenger, past) <= (1 + tol) P(fail | champion, past)`` at every unit. Where
    the probabilities of the arms follow from the unit's context (a contextual bandit), this must hold
    **at every context**, unless `pi_min` and `pi_max` are declared: then the null is about the mean
    over contexts, ``E[Y(1) | past] <= (1 + tol) E[Y(0) | past]``.

    Guarantee: ``P(a rollback ever) <= level`` under the null.

    Conditions: Y is "an error in the unit's follow-up", the same follow-up in both arms (its
    first request by default); failing units come in the order of exposure, each once, with the
    pi that its own arm was drawn with; the count never restarts at a canary step.

    Every failing unit came from the challenger with probability at most ``th(1 + tol)``, where
    ``th(q) = pi q / (pi q + 1 - pi)``. The wealth of each ratio r, against ``th(r (1 + tol))``,
    is a product over units; the mean over r is taken last. It does not see repeated errors of
    one unit: that is what `HarmTest` is for.

    With a declared range, ``S = 1[1] Y / pi - (1 + tol) 1[0] Y / (1 - pi)`` has mean
    ``E[Y(1)] - (1 + tol) E[Y(0)]`` whatever pi(x) is, and is 0 for a unit that did not fail. The
    wealth is ``prod (1 + c_r S)``, where c_r is that of the ratio r at the mean pi of earlier failing
    units, and at most ``.9 (1 - pi_max) / (1 + tol)``. At a constant pi below that cap it is the test
    above. A low floor of the champion, ``1 - pi_max``, costs power: give a bandit that shall be
    guarded a floor of about .3.

    Parameters:
        level: of this guardrail, in (0, 1); a quarter of `needless_rollback` by default.
        tol: tolerated increase of the failure ratio, at least 0 (.25 = a quarter more).
        pi_min, pi_max: declared range of the propensities, when they follow from covariates.

    >>> count = ErrorCount(level=0.0125, tol=0.25)
    >>> for _ in range(20):
    ...     count.update(arm=1, pi=0.5)
    >>> count.rejected, count.crossed_at
    (True, 10)

    Source: Lindon and Malek, NeurIPS 2022; with contexts, Waudby-Smith, Wu, Ramdas, Karampatziakis and
    Mineiro, JRSS B (2024, arXiv 2210.10768).
    """

    KIND = "ErrorCount"
    __slots__ = ("_logs", "_pis", "crossed_at", "level", "n", "pi_max", "pi_min", "tol")

    def __init__(
        self, level: float, tol: float = 0.25, *, pi_min: float | None = None, pi_max: float | None = None
    ) -> None:
        self.pi_min, self.pi_max = _check.propensities(pi_min, pi_max)
        self._pis = 0.0
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
        if self.pi_min is None or self.pi_max is None:
            null = (1.0 + self.tol) * pi
            for i, ratio in enumerate(RATIOS):
                # th_r / th_0 on the challenger, (1 - th_r) / (1 - th_0) on the champion
                shrink = (null + 1.0 - pi) / (ratio * null + 1.0 - pi)
                self._logs[i] += math.log(ratio * shrink if arm else shrink)
        else:
            self._weighted(arm, pi, self.pi_min, self.pi_max)
        self.n += 1
        if self.wealth * self.level >= 1.0:
            self.crossed_at = self.n

    def _weighted(self, arm: int, pi: float, low: float, high: float) -> None:
        """The stakes follow from earlier units; the unit's own pi only weighs its score."""
        if not low * (1 - 1e-12) <= pi <= high * (1 + 1e-12):
            raise ArgumentError(
                f"expected pi in the declared [{low:g}, {high:g}], got {pi!r}; "
                "the experiment is invalid, start a new one with the floor that is in use"
            )
        mean = (self._pis + 0.5 * (low + high)) / (self.n + 1)
        cap = SHARE * (1.0 - high) / (1.0 + self.tol)
        score = 1.0 / pi if arm else -(1.0 + self.tol) / (1.0 - pi)
        for i, ratio in enumerate(RATIOS):
            stake = (ratio - 1.0) * mean * (1.0 - mean) / (ratio * (1.0 + self.tol) * mean + 1.0 - mean)
            self._logs[i] += math.log1p(min(stake, cap) * score)
        self._pis += pi

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
        state: dict[str, Any] = {
            "kind": self.KIND,
            "level": self.level,
            "tol": self.tol,
            "n": self.n,
            "crossed_at": self.crossed_at,
            "logs": list(self._logs),
        }
        declared = {"pi_min": self.pi_min, "pi_max": self.pi_max, "pis": self._pis}
        return state if self.pi_min is None else {**state, **declared}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a guardrail from `state()`; it goes on with the same bits."""
        _check.kind(state, cls.KIND)
        count = cls(state["level"], state["tol"], pi_min=state.get("pi_min"), pi_max=state.get("pi_max"))
        count._pis = state.get("pis", 0.0)
        count.n = state["n"]
        count.crossed_at = state["crossed_at"]
        count._logs = list(state["logs"])
        return count
