# SPDX-License-Identifier: Apache-2.0
"""The promise of a loop: what it may get wrong, and how often."""

from __future__ import annotations

from typing import Literal

from trueup.core.errors import ArgumentError
from trueup.core.values import value


@value("risk")
class Risk:
    """The error levels of a loop.

    `wrong_promotion`: P(ever promoting a model worse than the champion by the margin) over
    `per` (a life, a calendar year in UTC, or each release). `needless_rollback`: P(rolling back a harmless
    challenger), a release. `creep`: the loss against the anchor that no run of promotions may
    reach, on the scorer's scale; None means twice the margin of the gate that carries the promise.
    """

    wrong_promotion: float = 0.05
    needless_rollback: float = 0.05
    creep: float | None = None
    per: Literal["life", "year", "release"] = "life"

    def __post_init__(self) -> None:
        for name in ("wrong_promotion", "needless_rollback"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ArgumentError(f"expected {name} between 0 and 1, got {getattr(self, name)!r}")
        if self.creep is not None and not 0.0 < self.creep < 1.0:
            raise ArgumentError(f"expected creep between 0 and 1, got {self.creep!r}")
        if self.per not in ("life", "year", "release"):
            raise ArgumentError(f"expected per life, year or release, got {self.per!r}")
