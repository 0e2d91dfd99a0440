# SPDX-License-Identifier: Apache-2.0
"""What a business lives by, and failing requests: watched whoever serves, whether or not a release runs (MON-04)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError
from trueup.core.protocols import Facts, Finding
from trueup.core.task import Outcome
from trueup.core.values import value
from trueup.triggers.falls import unrated

WEEK = timedelta(days=7)


@value("watch.business")
class Business:
    """Holds once an outcome such as conversion or revenue has sunk, whoever served it.

    `of` is a boolean or a number of the answers shown; every request counts once its window has closed,
    with what was told by then, else with `absent` where the outcome says what silence means; a number
    outside its bounds counts as the bound. The reference are the values of the `first` time since the
    watch began, or since a person accepted its last alarm (`trueup alerts accept`), and at least
    `least` of them; promotions change nothing. `season` compares each day of the week ("week"), or each hour
    of the day ("day", both in UTC), with the same of the reference. Null: "at every moment the mean is
    at least the lower 95 % limit of its phase in the reference, less `by`" (in the outcome's own
    units); alarms come at most `false_alarms_per_year` (this watch's share of the loop's) times a year
    in expectation while it holds. It fires on evidence AND effect: the last `recent` values must lie below their
    phases' means by more than `by`.
    """

    of: Outcome
    by: float = 0.0
    first: timedelta = 4 * WEEK
    season: Literal["week", "day"] | None = "week"
    least: int = 500
    recent: int = 1_000

    def __post_init__(self) -> None:
        if not isinstance(self.of, Outcome) or self.of.type == "label":
            raise ArgumentError(f"expected a boolean or a number of the answers shown, got {self.of!r:.100}")
        _check(self, (self.of.high - self.of.low))

    @property
    def detector(self) -> str:
        """The name under which its alarms are accepted."""
        return f"business:{self.of.name}"

    def look(self, facts: Facts) -> Finding:
        since = facts.accepted(self.detector)
        values, known = facts.served(self.of, since)
        span = self.of.high - self.of.low

        def own(mean: float) -> float:
            """A mean on [0, 1] in the outcome's own units."""
            return self.of.low + span * (mean if self.of.better == "higher" else 1.0 - mean)

        return _look(self, facts, self.of.name, values, known, since, self.by / span, own)


@value("watch.errors")
class Errors:
    """Holds once the share of failing requests has risen, whoever served them (MON-02).

    The reference are the requests of the `first` time since the watch began, or since a person accepted
    its last alarm, and at least `least`; `by` is a rise of the share that does not matter. `season`,
    `recent`, the null and the rate are those of `Business`.
    """

    by: float = 0.005
    first: timedelta = WEEK
    season: Literal["week", "day"] | None = None
    least: int = 500
    recent: int = 1_000

    def __post_init__(self) -> None:
        _check(self, 1.0)

    @property
    def detector(self) -> str:
        """The name under which its alarms are accepted."""
        return "errors"

    def look(self, facts: Facts) -> Finding:
        since = facts.accepted(self.detector)
        values, known = facts.served(None, since)
        return _look(self, facts, "errors", values, known, since, self.by, lambda mean: 1.0 - mean)


def _check(watch: Business | Errors, span: float) -> None:
    if not 0.0 <= watch.by < span:
        raise ArgumentError(f"expected by from 0 to below {span:g}, got {watch.by!r}")
    if watch.first <= timedelta(0):
        raise ArgumentError(f"expected first above 0, got {watch.first!r}")
    if watch.season not in ("week", "day", None):
        raise ArgumentError(f"expected season week, day or None, got {watch.season!r}")
    if watch.season == "week" and watch.first < WEEK:
        raise ArgumentError(f"expected first of at least a week where the days of the week are told apart, got {watch.first!r}")
    if watch.least < 100 or watch.recent < 1:
        raise ArgumentError(f"expected least of at least 100 and recent of at least 1, got {watch.least!r} and {watch.recent!r}")


def _look(
    watch: Business | Errors, facts: Facts, name: str, values: Sequence[float], known: Sequence[datetime],
    since: datetime | None, tolerance: float, own: Any,
) -> Finding:
    from trueup.monitor import cycle_drift

    n = len(values)
    end = (since or known[0]) + watch.first if n else None
    first = max(watch.least, bisect_right(known, end)) if end is not None else 0
    if not n or n <= first or (end is not None and known[-1] <= end):
        return Finding(False, f"{name}: {n:,} values, still its first {watch.first.days} days", {"n": n})
    found = cycle_drift(
        values, known, first=first, season=watch.season, tolerance=tolerance, recent=watch.recent, name=name,
        false_alarms_per_year=facts.false_alarms_per_year,
    )
    base = sum(values[:first]) / first
    recent = base - found.effect
    evidence: dict[str, Any] = {
        "detector": watch.detector, "accepted": 0 if since is None else to_us(since), "n": n,
        "reference": {"rows": first, "mean": own(base)}, "recent": own(recent), "statistic": found.evidence,
        "threshold": found.line, "false_alarms_per_year": facts.false_alarms_per_year,
    }
    days = "" if watch.season is None else ", each phase against its own"
    words = (
        f"{name} {own(recent):.4g} over the last {min(watch.recent, found.rows):,} of {found.rows:,} requests, {own(base):.4g} in "
        f"its first {watch.first.days} days{days}; evidence {found.evidence:.3g} against {found.line:.3g}"
    )
    words += unrated(found, evidence)
    holds = found.alarm and found.effect > tolerance
    if holds:
        words += f"; once it is understood: trueup alerts accept {watch.detector} -m WHY"
    return Finding(holds, words, evidence)
