# SPDX-License-Identifier: Apache-2.0
"""Triggers that count: rows that came (TRG-04), data that arrived (TRG-05), and what holds back."""

from __future__ import annotations

from datetime import timedelta

from trueup.core.errors import ArgumentError
from trueup.core.protocols import Facts, Finding
from trueup.core.values import value


@value("trigger.rows")
class Rows:
    """Holds once `n` rows fit for training became known since the last training."""

    n: int = 10_000

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ArgumentError(f"expected at least 1 row, got {self.n!r}")

    def look(self, facts: Facts) -> Finding:
        rows = facts.rows(new=True)
        return Finding(
            rows >= self.n, f"{rows:,} of {self.n:,} new rows", {"rows": rows, "wanted": self.n}
        )


@value("trigger.new_data")
class NewData:
    """Holds once an ingestion has completed since the last training."""

    def look(self, facts: Facts) -> Finding:
        done = facts.signals("import", facts.last_trained)
        rows = sum(int(signal.get("new", 0)) for signal in done)
        if rows:
            return Finding(True, f"{len(done)} imports brought {rows:,} new rows", {"rows": rows})
        return Finding(False, "no import has completed since the last training", {"rows": 0})


@value("trigger.nothing_new")
class NothingNew:
    """For `unless`: holds where no row fit for training became known since the last training.

    Before the first one every row counts, those that a model from elsewhere was made on too: the
    ledger cannot tell which they are, and what a first training learns is for the recipe to say.
    """

    def look(self, facts: Facts) -> Finding:
        rows = facts.rows(new=True)
        if rows and facts.last_trained is None:
            return Finding(False, f"never trained here: {rows:,} rows to learn from", {"rows": rows})
        if rows:
            return Finding(False, f"{rows:,} new rows", {"rows": rows})
        return Finding(True, "nothing new to learn from", {"rows": 0})


@value("trigger.cooldown")
class Cooldown:
    """For `unless`: holds for so long after a training (`span`), so that trainings have a most a year.

    A budget, not a threshold: `Cooldown(timedelta(days=28))` allows 13 trainings a year at most, and
    leaves to the reasons in `when` which.
    """

    span: timedelta = timedelta(days=28)

    def __post_init__(self) -> None:
        if self.span <= timedelta(0):
            raise ArgumentError(f"expected a span above 0, got {self.span!r}")

    def look(self, facts: Facts) -> Finding:
        if facts.last_trained is None:
            return Finding(False, "never trained yet", {})
        end = facts.last_trained + self.span
        held = facts.now < end
        return Finding(held, f"{'until' if held else 'since'} {end:%Y-%m-%d %H:%M}: {self.span} after the last training")
