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
_EVERY = re.compile(r"every (\w+?)s?(?: (night|morning|evening)| at (\d{1,2})(?::(\d\d))?)?$")
_TIMES = re.compile(r"every (\d+) (minute|hour)s?$")
_HOURS = {"night": 2, "morning": 8, "evening": 20}
_DAY_FIELDS = {"day": "*", "weekday": "1-5", **{name: str(at) for at, name in enumerate(_DAYS)}}


@value("trigger.cron")
class Cron:
    """A schedule; `expression` is five cron fields (`30 2 * * *`, `0 9 * * MON#1`), `@weekly`,
    `nightly`, `every sunday night`, `every weekday at 9:30`, or `every 15 minutes`.

    As a loop's `look` it says when to ask; in `when` it says when to train. `tz` is an IANA name; a
    moment that daylight saving skips comes at the next valid one, and one that it repeats comes
    once. Missed moments count as one: the look that comes late says how many it stands for.
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
        if match and match[1] in _DAY_FIELDS:
            hour = int(match[3]) if match[3] else _HOURS.get(match[2], 0)
            return f"{int(match[4] or 0)} {hour} * * {_DAY_FIELDS[match[1]]}"
        times = _TIMES.match(text)
        if times:
            return f"*/{times[1]} * * * *" if times[2] == "minute" else f"0 */{times[1]} * * *"
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
