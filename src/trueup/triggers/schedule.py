# SPDX-License-Identifier: Apache-2.0
"""Schedules: cron expressions with a time zone, and the words people use for them (TRG-01)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from trueup.core.errors import ArgumentError
from trueup.core.protocols import Facts, Finding
from trueup.core.values import value

_WORDS = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "nightly": "0 2 * * *",
    "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *",
    "yearly": "0 0 1 1 *",
}
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_EVERY = re.compile(r"every (\w+?)s?(?: (night|morning))?$")


@value("trigger.cron")
class Cron:
    """A schedule; `expression` is five cron fields, `@weekly`, `nightly`, or `every sunday night`.

    As a loop's `look` it says when to ask; in `when` it says when to train. `tz` is an IANA name;
    moments that daylight saving skips run at the next valid one. Missed moments count once.
    """

    expression: str
    tz: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.tz)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ArgumentError(f"expected an IANA time zone such as Europe/Berlin, got {self.tz!r}") from None
        try:
            next(CronSim(self.fields, datetime(2026, 1, 1, tzinfo=UTC)))
        except (CronSimError, StopIteration) as error:
            raise ArgumentError(
                f"expected a schedule such as '0 2 * * *', '@weekly' or 'every sunday night', "
                f"got {self.expression!r} ({error})"
            ) from None

    @property
    def fields(self) -> str:
        """The five cron fields that the expression stands for."""
        text = self.expression.strip().lower()
        if text.lstrip("@") in _WORDS:
            return _WORDS[text.lstrip("@")]
        match = _EVERY.match(text)
        if match and match[1] in _DAYS:
            hour = {"night": 2, "morning": 8, None: 0}[match[2]]
            return f"0 {hour} * * {_DAYS.index(match[1])}"
        return self.expression

    def next(self, after: datetime) -> datetime:
        """The first moment after `after`, in UTC."""
        found: datetime = next(CronSim(self.fields, after.astimezone(ZoneInfo(self.tz))))
        return found.astimezone(UTC)

    def due(self, since: datetime, now: datetime) -> tuple[datetime, int] | None:
        """The latest moment in (since, now], and how many lay there; None where there is none."""
        latest, count = None, 0
        for moment in CronSim(self.fields, since.astimezone(ZoneInfo(self.tz))):
            at = moment.astimezone(UTC)
            if at > now:
                break
            latest, count = at, count + 1
            if count >= 100_000:
                break
        return None if latest is None else (latest, count)

    def look(self, facts: Facts) -> Finding:
        if facts.last_trained is None:
            return Finding(True, f"{self.expression}: never trained yet")
        due = self.due(facts.last_trained, facts.now)
        if due:
            return Finding(True, f"{self.expression}: due since {due[0]:%Y-%m-%d %H:%M}")
        after = self.next(facts.now)
        return Finding(False, f"{self.expression}: next on {after:%Y-%m-%d %H:%M}")


def period(schedule: Cron, at: datetime) -> timedelta:
    """The time between two moments of a schedule around `at`."""
    first = schedule.next(at)
    return schedule.next(first) - first
