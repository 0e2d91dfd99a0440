# SPDX-License-Identifier: Apache-2.0
"""What a monitor found: an alarm with its rate, the size of the change, and what was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from trueup.core.clock import from_us
from trueup.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Found:
    """The state of one monitor after its rows.

    `alarm` is held from the moment `at` (microseconds since 1970) on; `evidence` against `line`
    (both in years) is the statistic. `effect` says how large the change is, in words of `unit`:
    "auc" (1/2: nothing; the chance that a new row lies further out than an old one), or the
    "mean" of a metric, "score" of a batch. `width` is what makes a
    batch: so many runs, or a "day" or "week". `shift` is in standard deviations. `rated` False: the
    conditions of the rate do not hold, `note` says which. `columns` share the rate.
    """

    name: str
    kind: str
    alarm: bool
    rated: bool
    evidence: float
    line: float
    effect: float
    unit: str = "auc"
    shift: float = 0.0
    rows: int = 0
    batches: int = 0
    width: int | str = 1
    correlation: float = 0.0
    columns: int = 1
    at: int | None = None
    note: str = ""

    def words(self) -> str:
        """In a sentence."""
        if not self.batches:
            return f"{self.name}: {self.note or 'no whole batch yet'}"
        state = "alarm" if self.alarm else "no alarm"
        if self.alarm and self.at is not None:
            state += f" since {from_us(self.at):%Y-%m-%d %H:%M}"
        size = {"auc": f"AUC {self.effect:.3f}, shift {self.shift:+.2f} sd"}.get(self.unit, f"{self.unit} {self.effect:.4g}")
        rate = "" if self.rated else f"; no stated rate: {self.note}"
        return (
            f"{self.name}: {state}, evidence {self.evidence:.3g} against {self.line:.3g} after {self.rows:,} rows "
            f"in {self.batches:,} batches; {size}{rate}"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        try:
            return cls(**data)
        except TypeError as error:
            raise DataError(f"expected the keys {[one.name for one in fields(cls)]}: {error}") from None
