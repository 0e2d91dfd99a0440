# SPDX-License-Identifier: Apache-2.0
"""A trigger on a score that another tool computes, with a stated rate (TRG-07, TRU-03)."""

from __future__ import annotations

import math
from typing import Any

from trueup.core.errors import ArgumentError
from trueup.core.protocols import Facts, Finding
from trueup.core.values import value


@value("trigger.told")
class Told:
    """Holds once a drift score that another tool computes has become larger than it was.

    Evidently, NannyML, alibi-detect or a script of your own scores a batch in its own environment,
    on its own schedule, and says so: `client.signal("psi", value=0.13)`. `name` is the signal's name, `field`
    what holds the number, larger where the batch is stranger. The first `calibration` scores (20 or more)
    since the champion's promotion, or since the last alarm that a training answered, are the
    reference; each later one is ranked among those before it. While batches are exchangeable, alarms
    come at most `false_alarms_per_year` (this detector's share of the loop's) times a year in
    expectation. `above` is the size that you care about, such as your present threshold: it then fires
    only if the last score reaches it as well. Where neighbouring scores resemble each other it says "no stated
    rate". `seed` breaks ties.
    """

    name: str
    field: str = "value"
    above: float | None = None
    calibration: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.name or not self.field:
            raise ArgumentError(f"expected the names of a signal and of its field, got {self.name!r} and {self.field!r}")
        if self.above is not None and not math.isfinite(self.above):
            raise ArgumentError(f"expected a finite number for above, got {self.above!r}")
        if self.calibration < 20:
            raise ArgumentError(f"expected at least 20 scores for calibration, got {self.calibration!r}")

    @property
    def detector(self) -> str:
        """The name under which its alarms are accepted."""
        return f"told:{self.name}" if self.field == "value" else f"told:{self.name}.{self.field}"

    def look(self, facts: Facts) -> Finding:
        from trueup.monitor import told_drift

        said = list(zip(*facts.numbers(self.name, self.field, facts.reference(self.detector)), strict=True))
        kept = [one for one in said if math.isfinite(one[0])]
        scores, times = [score for score, _ in kept], [at for _, at in kept]
        found = told_drift(
            scores, times, calibration=self.calibration, false_alarms_per_year=facts.false_alarms_per_year,
            seed=self.seed, name=self.name,
        )
        felt = self.above is None or (bool(scores) and scores[-1] >= self.above)
        evidence: dict[str, Any] = {
            "detector": self.detector, "n": found.rows, "last": scores[-1] if scores else None, "above": self.above,
            "statistic": found.evidence, "threshold": found.line, "false_alarms_per_year": facts.false_alarms_per_year,
        }
        words = found.words()
        if len(said) > len(kept):
            evidence["without a number"] = len(said) - len(kept)
            words += f"; {len(said) - len(kept):,} said no number in {self.field}"
        if not found.rated:
            evidence["no stated rate"] = found.note
        if found.alarm and not felt:
            words += f"; below {self.above:g}, the size that matters"
        return Finding(found.alarm and felt, words, evidence)
