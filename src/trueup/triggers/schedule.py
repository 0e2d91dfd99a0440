# SPDX-License-Identifier: Apache-2.0
"""Schedules: cron expressions with a time zone, and the words people use for them (TRG-01)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
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
_TIMES = re.compile(r"every (?:(\d{1,9}) )?(minute|hour)s?$")
_HOURS = {"night": 2, "morning": 8, "evening": 20}
_DAY_FIELDS = {"day": "*", "weekday": "1-5", **{name: str(at) for at, name in enumerate(_DAYS)}}
_MINUTES = {"minute": 1, "hour": 60}
_LONGEST = 366 * 24 * 60
"""Minutes between two moments of a schedule at most."""
ANCHOR = datetime(1970, 1, 1, tzinfo=UTC)
"""The moment from which intervals are counted that cron cannot say."""
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


@value("trigger.cron")
class Cron:
    """A schedule; `expression` is five cron fields (`30 2 * * *`, `0 9 * * MON#1`), `@weekly`,
    `nightly`, `every sunday night`, `every weekday at 9:30`, or `every 15 minutes`.

    As a loop's `look` it says when to ask; in `when` it says when to train. `tz` is an IANA name; a
    moment that daylight saving skips comes at the next valid one, and one that it repeats comes
    once. Missed moments count as one: the look that comes late says how many it stands for.

    `every N minutes` and `every N hours` keep the clock of `tz` where N divides an hour or a day
    (`every 6 hours`: 0:00, 6:00, 12:00, 18:00). Any other N (`every 45 minutes`, `every 25 hours`)
    counts elapsed time from 1 January 1970, 00:00 UTC: all gaps are N, in daylight saving too, and `tz`
    does not matter. The longest N is 366 days. In five cron fields a step begins anew each hour or day:
    `*/45 * * * *` comes at :00 and :45.
    """

    expression: str
    tz: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.tz)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ArgumentError(f"expected an IANA time zone such as Europe/Berlin, got {self.tz!r}") from None
        minutes = self._minutes
        if minutes is not None and not 1 <= minutes <= _LONGEST:
            raise ArgumentError(
                f"expected an interval from 1 minute to 366 days, got {self.expression!r}",
                cure="write such as 'every 90 minutes', or 'yearly'",
            )
        fields = self.fields
        try:
            if fields is not None:
                next(CronSim(fields, datetime(2026, 1, 1, tzinfo=UTC)))
        except (CronSimError, StopIteration) as error:
            raise ArgumentError(
                f"expected a schedule such as '0 2 * * *', '@weekly', 'every sunday night' or 'every 90 minutes', "
                f"got {self.expression!r} ({error})"
            ) from None

    @property
    def fields(self) -> str | None:
        """The five cron fields that the expression stands for; None where they cannot say it."""
        text = self.expression.strip().lower()
        if text.lstrip("@") in _WORDS:
            return _WORDS[text.lstrip("@")]
        match = _EVERY.match(text)
        if match and match[1] in _DAY_FIELDS:
            hour = int(match[3]) if match[3] else _HOURS.get(match[2], 0)
            return f"{int(match[4] or 0)} {hour} * * {_DAY_FIELDS[match[1]]}"
        minutes = self._minutes
        if not minutes:
            return self.expression
        if 60 % minutes == 0:
            return f"*/{minutes} * * * *" if minutes < 60 else _WORDS["hourly"]
        hours, rest = divmod(minutes, 60)
        if rest == 0 and 24 % hours == 0:
            return f"0 */{hours} * * *" if hours < 24 else _WORDS["daily"]
        return None

    @property
    def _minutes(self) -> int | None:
        """The minutes of `every N minutes` and `every N hours`; None for other expressions."""
        times = _TIMES.match(self.expression.strip().lower())
        return int(times[1] or 1) * _MINUTES[times[2]] if times else None

    def next(self, after: datetime) -> datetime:
        """The first moment after `after`, in UTC."""
        return next(self._after(after))

    def due(self, since: datetime, now: datetime) -> tuple[datetime, int] | None:
        """The latest moment in (since, now], and how many lay there; None where there is none.

        The count is exact. It takes at most a step for each day between them, and one for each moment of
        the first day, the last day, and the days next to a change of the clock.
        """
        if now <= since:
            return None
        if self.fields is None:
            step = timedelta(minutes=self._minutes or 1)
            last = (now - ANCHOR) // step
            count = last - (since - ANCHOR) // step
            return (ANCHOR + last * step, count) if count else None
        zone = ZoneInfo(self.tz)
        first, last_day = since.astimezone(zone).date() + DAY, now.astimezone(zone).date()
        if (last_day - first).days < 2:
            return _listed(self._after(since), now)
        parts = [_listed(self._after(since), self._midnight(first) - SECOND)]
        parts += self._whole_days(first, last_day)
        start = self._midnight(last_day) - SECOND
        parts.append(_listed(self._after(start), now))
        found = [part for part in parts if part is not None]
        return (found[-1][0], sum(count for _, count in found)) if found else None

    def _whole_days(self, first: date, stop: date) -> list[tuple[datetime, int]]:
        """The latest moment and the count for runs of whole days of the zone, in order.

        A day whose clock does not change near it has as many moments as the fields have times.
        """
        sim = CronSim(self.fields, datetime(2026, 1, 1, tzinfo=UTC))
        usual = len(sim.seconds) * len(sim.minutes) * len(sim.hours)
        latest = time(max(sim.hours), max(sim.minutes), max(sim.seconds))
        zone, day = ZoneInfo(self.tz), first
        found: list[tuple[datetime, int]] = []
        while day < stop:
            if day.month in sim.months and sim.match_day(day):
                if self._steady(day):
                    found.append((datetime.combine(day, latest, zone).astimezone(UTC), usual))
                else:
                    moments = self._after(self._midnight(day) - SECOND)
                    part = _listed(moments, self._midnight(day + DAY) - SECOND)
                    found += [part] if part else []
            day += DAY
        return found

    def _steady(self, day: date) -> bool:
        """Whether the clock of the zone is the same from the day before to the day after."""
        zone = ZoneInfo(self.tz)
        noted = {datetime.combine(day + near * DAY, time(), zone).utcoffset() for near in (-1, 0, 1, 2)}
        return len(noted) == 1

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self.tz)).astimezone(UTC)

    def _after(self, after: datetime) -> Iterator[datetime]:
        """The moments after `after` in order, each once, in UTC."""
        if self.fields is None:
            step = timedelta(minutes=self._minutes or 1)
            number = (after - ANCHOR) // step
            while True:
                number += 1
                yield ANCHOR + number * step
        last = after
        for moment in CronSim(self.fields, after.astimezone(ZoneInfo(self.tz))):
            at: datetime = moment.astimezone(UTC)
            if at > last:  # an hour that is repeated is counted once, at its first passing
                last = at
                yield at

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


def _listed(moments: Iterator[datetime], until: datetime) -> tuple[datetime, int] | None:
    """The latest of the moments up to `until`, and how many there are."""
    latest, count = None, 0
    for at in moments:
        if at > until:
            break
        latest, count = at, count + 1
    return None if latest is None else (latest, count)
