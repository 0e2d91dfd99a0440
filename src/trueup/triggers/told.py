# SPDX-License-Identifier: Apache-2.0
"""Triggers from what people and systems say: feedback, and alerts (TRG-07)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from trueup.core.errors import ArgumentError
from trueup.core.protocols import Facts, Finding
from trueup.core.task import Outcome
from trueup.core.values import value

BAD = 0.5
"""A piece of feedback whose value, scaled so that 1 is the best, lies below this is bad."""


def _since(facts: Facts, detector: str, within: timedelta) -> datetime:
    """Where counting begins: the window's start, or later what a training has answered already."""
    window, reference = facts.now - within, facts.reference(detector)
    return window if reference is None else max(window, reference)


@value("trigger.feedback")
class Feedback:
    """Holds once feedback on the served answers has become bad: as a rate, or as a plain count.

    `of` is an outcome of the answer that was shown (thumbs, stars, an error report), or the loop's
    label, where bad is an answer that was corrected. With `above`, the null hypothesis is "at every
    moment the mean badness (the share of thumbs-down, of corrections) is at most `above`": while it
    holds, alarms come at most `false_alarms_per_year` (this detector's share of the loop's) times a
    year in expectation, as for `Falls`, and the last `recent` values must lie above it as well. With
    `at_least`, it counts bad pieces within the time `within`, and states no rate. What one training
    has answered is not counted again.
    """

    of: Outcome
    above: float | None = None
    at_least: int | None = None
    within: timedelta = timedelta(days=7)
    recent: int = 200

    def __post_init__(self) -> None:
        if (self.above is None) == (self.at_least is None):
            raise ArgumentError(
                f"expected above (a share) or at_least (a count), got above={self.above!r}, at_least={self.at_least!r}",
                cure="Feedback(thumbs, above=0.3) or Feedback(reports, at_least=20)",
            )
        if self.above is not None and not 0.0 < self.above < 1.0:
            raise ArgumentError(f"expected above between 0 and 1, got {self.above!r}")
        if self.at_least is not None and self.at_least < 1:
            raise ArgumentError(f"expected at_least of 1 or more, got {self.at_least!r}")
        if self.within <= timedelta(0) or self.recent < 1:
            raise ArgumentError(f"expected within and recent above 0, got {self.within!r}, {self.recent!r}")

    @property
    def detector(self) -> str:
        """The name under which its alarms are accepted."""
        return f"feedback:{self.of.name}"

    @property
    def rated(self) -> bool:
        """Whether it states a rate, and so takes a share of the loop's false alarms."""
        return self.above is not None

    def look(self, facts: Facts) -> Finding:
        return self._count(facts) if self.above is None else self._rate(facts, self.above)

    def _count(self, facts: Facts) -> Finding:
        assert self.at_least is not None
        since = _since(facts, self.detector, self.within)
        values, _ = self._values(facts, since)
        bad = sum(one < BAD for one in values)
        words = f"{bad:,} of {len(values):,} pieces of {self.of.name} since {since:%Y-%m-%d %H:%M} are bad, at least {self.at_least:,} wanted"
        return Finding(bad >= self.at_least, words, {
            "detector": self.detector, "bad": bad, "n": len(values), "wanted": self.at_least,
        })

    def _rate(self, facts: Facts, above: float) -> Finding:
        from trueup.monitor import mean_drift

        since = facts.reference(self.detector)
        values, known = self._values(facts, since)
        if not len(values):
            return Finding(False, f"{self.of.name}: no feedback", {"detector": self.detector, "n": 0})
        found = mean_drift(
            values, known, floor=1.0 - above, since=since, recent=self.recent, name=self.of.name,
            false_alarms_per_year=facts.false_alarms_per_year,
        )
        bad = 1.0 - found.effect
        words = (
            f"{self.of.name} bad in {bad:.3f} of the last {min(self.recent, found.rows)} of {found.rows:,}, line {above:g}; "
            f"evidence {found.evidence:.3g} against {found.line:.3g}"
        )
        evidence: dict[str, Any] = {
            "detector": self.detector, "n": found.rows, "recent": bad, "line": above, "statistic": found.evidence,
            "threshold": found.line, "false_alarms_per_year": facts.false_alarms_per_year,
        }
        if not found.rated:
            evidence["no stated rate"] = found.note
            words += f"; no stated rate: {found.note}"
        return Finding(found.alarm and bad > above, words, evidence)

    def _values(self, facts: Facts, since: datetime | None) -> tuple[Sequence[float], Sequence[datetime]]:
        """Values on [0, 1], 1 the best, with the times they became known; out of bounds are left out."""
        if self.of.label:
            from trueup.evaluate import Accuracy

            return facts.scores(Accuracy(), since)
        told = zip(*facts.outcomes(self.of.name, since), strict=True)
        kept = [(self.of.scaled(one), at) for one, at in told if self.of.low <= one <= self.of.high]
        return [one for one, _ in kept], [at for _, at in kept]


@value("trigger.alert")
class Alert:
    """Holds once a system has said `name` at least `at_least` times within the time `within`.

    What is counted are the ledger's signals: those of Trueup (`client_fault`, `exposures_lost`,
    `events_lost`, each with its count), and what your own monitoring says with
    `client.signal("drift", ...)`. What one training has answered is not counted again. It states no
    rate of false alarms.
    """

    name: str
    at_least: int = 1
    within: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        if not self.name:
            raise ArgumentError("expected the name of a signal, got ''")
        if self.at_least < 1:
            raise ArgumentError(f"expected at_least of 1 or more, got {self.at_least!r}")
        if self.within <= timedelta(0):
            raise ArgumentError(f"expected within above 0, got {self.within!r}")

    @property
    def detector(self) -> str:
        """The name under which its alarms are accepted."""
        return f"alert:{self.name}"

    @property
    def rated(self) -> bool:
        """It states no rate, and takes no share of the loop's false alarms."""
        return False

    def look(self, facts: Facts) -> Finding:
        since = _since(facts, self.detector, self.within)
        times = sum(_count(one.get("count", 1)) for one in facts.signals(self.name, since))
        words = f"{self.name} said {times:,} times since {since:%Y-%m-%d %H:%M}, at least {self.at_least:,} wanted"
        return Finding(times >= self.at_least, words, {
            "detector": self.detector, "times": times, "wanted": self.at_least,
        })


def _count(said: Any) -> int:
    """How often a signal says that it happened; once where it says nothing that can be counted."""
    return said if isinstance(said, int) and not isinstance(said, bool) and said > 0 else 1
