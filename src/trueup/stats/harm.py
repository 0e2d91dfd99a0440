# SPDX-License-Identifier: Apache-2.0
"""The burden guardrail: does the challenger make things worse by more than a tolerance?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from trueup.stats import _check
from trueup.stats._twoarm import TwoArm


class HarmTest(TwoArm):
    """Guardrail on a bounded bad outcome (share of failing requests, slowness): roll back?

    Null: ``E[Y(1) - Y(0) | past] <= tol_abs`` at every unit, where Y = 1 is bad.

    Guarantee: ``P(a rollback ever | the challenger is never worse by more than tol_abs)
    <= level``.

    Conditions: those of `ABTest`; the follow-up of a unit is the same in both arms, and only
    matured requests are looked at, in the order of exposure.

    Half of the wealth is the horizon bet (strong against a small, lasting harm), half a mixture
    over odds ratios (fast against a large one). A rollback is decided once and stays.

    Parameters:
        level: of this guardrail, in (0, 1); a quarter of `needless_rollback` by default.
        tol_abs: harm that is tolerated, in units of the outcome, in [0, 1).
        horizon: units of both arms that the canary means to score.
        w: share of the wealth on the mixture, in [0, 1].
        pi_min, pi_max: declared range of the propensities, when they follow from covariates.

    >>> import numpy as np
    >>> rng = np.random.default_rng(6)
    >>> test = HarmTest(level=0.0125, tol_abs=0.01)
    >>> while not test.rejected:
    ...     arm = int(rng.random() < 0.5)
    ...     test.update(arm, float(rng.random() < (0.5 if arm else 0.02)), pi=0.5)
    >>> test.crossed_at
    34

    Source: Waudby-Smith and Ramdas, JRSS B 86 (2024); Lindon, Sanden and Shirikian, KDD 2022.
    """

    KIND = "HarmTest"
    GRID = (0.5, 1.0, 1.5, 2.5, 4.0, 6.0)

    __slots__ = ("crossed_at", "tol_abs")

    def __init__(
        self,
        level: float,
        tol_abs: float = 0.01,
        horizon: int = 5000,
        w: float = 0.5,
        *,
        pi_min: float | None = None,
        pi_max: float | None = None,
    ) -> None:
        self.tol_abs = _check.margin(tol_abs)
        self.crossed_at: int | None = None
        level = _check.level("level", level)
        super().__init__(
            level, horizon, offset=-self.tol_abs, w=w, pi_min=pi_min, pi_max=pi_max, start=1.0
        )

    def update(self, arm: int, y: float, pi: float, *, baseline: float | None = None) -> None:
        """Take one unit: its arm (1 is the challenger), its bad outcome in [0, 1], its pi."""
        if self.crossed_at is not None:
            return
        arm, pi = _check.arm(arm), _check.propensity(pi)
        self._step(arm, y, pi, 1.0 - pi, baseline=baseline)
        if self.wealth * self.level >= 1.0:
            self.crossed_at = self.n

    @property
    def rejected(self) -> bool:
        """Whether harm was found, at any time."""
        return self.crossed_at is not None

    def state(self) -> dict[str, Any]:
        """Everything needed to go on, as plain JSON values."""
        return {
            **self._inner_state(),
            "level": self.level,
            "tol_abs": self.tol_abs,
            "crossed_at": self.crossed_at,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a test from `state()`; it goes on with the same bits."""
        _check.kind(state, cls.KIND)
        test = cls(
            state["level"],
            state["tol_abs"],
            state["horizon"],
            state["w"],
            pi_min=state["pi_min"],
            pi_max=state["pi_max"],
        )
        test.crossed_at = state["crossed_at"]
        return test._restore(state)
