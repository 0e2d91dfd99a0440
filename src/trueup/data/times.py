# SPDX-License-Identifier: Apache-2.0
"""Moments in the spellings that files have, and which spelling a column has."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from trueup.core.clock import to_us
from trueup.core.errors import DataError
from trueup.core.scalars import whole

_EARLIEST, _LATEST = -5_364_662_400_000_000, 7_258_118_400_000_000  # 1800 to 2200
_SMALLEST = 1e8  # seconds since 1970: 1973. A smaller number is a date, or told by its column
_SECOND, _DAY = 1_000_000, 86_400_000_000
_EXCEL = -25_569 * _DAY  # 1899-12-30
# A number is seconds, milliseconds, microseconds or nanoseconds since 1970, by its size.
_UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (math.inf, 1e-3))
_FIXED = {"seconds": 1e6, "milliseconds": 1e3, "microseconds": 1.0, "nanoseconds": 1e-3}
_ORDERS = ("day-first", "month-first")
SPELLINGS = (*_ORDERS, "excel-days", "years", "yyyymm", *_FIXED)
"""How a column of times can be spelt where it is not ISO 8601, a name of a month, or seconds since 1970."""
ENOUGH = 0.9  # of a column's values: one typing error hides no column

_SHORT = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: at + 1 for at, name in enumerate(_SHORT)}
_MON = r"(?P<mon>[A-Za-z]{3,9})\.?"
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d{1,9}))?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
_ZONE = r"(?P<zone>Z|z|UTC|GMT|[A-Z]{3,4}|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?)"
_REST = rf"(?:(?:\s*,\s*|[T\s:]\s*|\s+at\s+){_CLOCK})?\s*{_ZONE}?(?:\s*\[[\w/+-]+\])?(?:\s*\([A-Za-z ]+\))?"
_WEEKDAY = r"(?:(?:[Mm]on|[Tt]ue|[Ww]ed|[Tt]hu|[Ff]ri|[Ss]at|[Ss]un)[a-z]*\.?,?\s+)?"
_FORMS = tuple(re.compile(_WEEKDAY + form, re.ASCII) for form in (
    r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})" + _REST,
    r"(?P<a>\d{1,2})(?P<sep>[-/.])(?P<b>\d{1,2})(?P=sep)(?P<y>\d{4}|\d{2})" + _REST,
    r"(?P<d>\d{1,2})(?:st|nd|rd|th|\.)?[-/ .]\s*" + _MON + r"[-/ .,]\s*(?P<y>\d{4}|\d{2})" + _REST,
    _MON + r"[-/ ](?P<d>\d{1,2})(?:st|nd|rd|th)?,?[-/ ]\s*(?P<y>\d{4})" + _REST,
    r"(?P<y>\d{4})[-/ ]" + _MON + r"[-/ ](?P<d>\d{1,2})" + _REST,
    _MON + r"\s+(?P<d>\d{1,2})\s+" + _CLOCK + rf"(?:\s+{_ZONE})?" + r"\s+(?P<y>\d{4})",
))
_ZONES = {"Z": 0, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a column of times is spelt: `name` is one of SPELLINGS, "" where each value says it itself,
    None where they are no times. `doubt` are the spellings that read every value alike. `share` of the
    values can be read."""

    name: str | None
    doubt: tuple[str, ...] = ()
    share: float = 0.0


def parse_time(given: Any, spelling: str = "") -> int:
    """Microseconds since 1970 in UTC; a time without a zone is UTC. Raises DataError.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, told by their size;
    20260314 is a date. Days before months, Excel's days, years and months without a day are read where
    `spelling` (one of SPELLINGS) says so.
    """
    us = _parse(given, spelling)
    if us is None or not _EARLIEST <= us < _LATEST:
        as_what = f" ({spelling})" if spelling else ""
        raise DataError(
            f"expected a time between 1800 and 2200{as_what}, got {given!r:.60}",
            cure="write times as 2026-03-14T15:09:26Z, as dates, or as seconds since 1970; "
            f"or name how the column is written: --map SPELLING=COLUMN, of {', '.join(SPELLINGS)}",
        )
    return us


def spelling_from(counted: Mapping[frozenset[str], int]) -> Spelling:
    """The spelling, where so many values have been read by each set of them."""
    total = sum(counted.values())
    scores: Counter[str] = Counter()
    for names, times in counted.items():
        scores.update(dict.fromkeys(names, times))
    if not total or not scores:
        return Spelling(None)
    best = max(scores.values())
    alike = [name for name in ("", *SPELLINGS) if scores[name] == best]
    share = best / total
    if share < ENOUGH:
        return Spelling(None, share=share)
    if "" in alike or len(alike) == 1:
        return Spelling(alike[0], share=share)
    return Spelling(None, tuple(alike), share)


def readings(given: Any) -> frozenset[str]:
    """The spellings that read a value."""
    if isinstance(given, datetime | date):
        return _ALL
    if isinstance(given, str):
        text = given.strip()
        if not _is_number(text):
            plain = _inside(_text(text, ""))
            return _ALL if plain else frozenset(one for one in _ORDERS if _inside(_text(text, one)))
        given = float(text)
    if isinstance(given, bool) or not isinstance(given, int | float) or not -math.inf < given < math.inf:
        return frozenset()
    return frozenset(one for one in ("", "excel-days", "years", "yyyymm") if _inside(_of_number(given, one)))


_ALL = frozenset({"", *_ORDERS})


def _inside(us: int | None) -> bool:
    return us is not None and _EARLIEST <= us < _LATEST


def _parse(given: Any, spelling: str) -> int | None:
    if isinstance(given, datetime):
        return to_us(given)
    if isinstance(given, date):
        return _day(given.year, given.month, given.day)
    if isinstance(given, bool):
        return None
    if isinstance(given, str):
        text = given.strip()
        if not _is_number(text):
            return _text(text, spelling)
        given = int(text) if text.lstrip("+-").isdigit() else float(text)
    if not isinstance(given, int | float) or not -math.inf < given < math.inf:
        return None
    return _of_number(given, "" if spelling in _ORDERS else spelling)


def _is_number(text: str) -> bool:
    return len(text) < 64 and text.isascii() and text.lstrip("+-").replace(".", "", 1).isdigit()


def _of_number(number: float, spelling: str) -> int | None:
    given: int | float = whole(number)
    if spelling in _FIXED:
        return _exact(given, _FIXED[spelling]) if abs(given) < 1e300 else None
    if spelling == "excel-days":  # 1954 to 2119: other numbers are more often amounts
        return _EXCEL + round(given * _DAY) if 20_000 <= given < 80_000 else None
    if isinstance(given, int):
        if spelling == "years":
            return _day(given, 1, 1) if 1800 <= given < 2200 else None
        if spelling == "yyyymm":
            return _day(given // 100, given % 100, 1) if 180_000 <= given < 220_000 else None
        if 18_000_000 <= given < 22_000_000:
            return _day(given // 10_000, given // 100 % 100, given % 100)
    if spelling or given < _SMALLEST:
        return None
    return next((_exact(given, factor) for limit, factor in _UNITS if given < limit), None)


def _exact(given: int | float, factor: float) -> int:
    if isinstance(given, float):
        return round(given * factor)
    return given * int(factor) if factor >= 1 else given // 1000


def _text(given: str, order: str) -> int | None:
    if not 6 <= len(given) <= 64:
        return None
    try:
        return to_us(datetime.fromisoformat(given))
    except ValueError:
        pass
    for form in _FORMS:
        if found := form.fullmatch(given):
            return _moment(found.groupdict(), order)
    return None


def _moment(part: dict[str, str | None], order: str) -> int | None:
    """The parts of a date and a clock as microseconds; None where they are none."""
    year = int(part["y"] or 0)
    if len(part["y"] or "") == 2:
        year += 1900 if year >= 69 else 2000
    month, day = part.get("m"), part.get("d")
    if part.get("mon"):
        name = str(part["mon"]).lower()
        at = _MONTHS.get("sep" if name == "sept" else name if len(name) == 3 else name[:3])
        if at is None or (len(name) > 4 and not _FULL[at - 1].startswith(name)):
            return None
        month = str(at)
    elif part.get("sep"):
        first, second = str(part["a"]), str(part["b"])
        if not order:
            if part["sep"] != "." or int(second) > 12:
                return None  # day or month first: a dot says day, any other only its column
            order = "day-first"
        day, month = (first, second) if order == "day-first" else (second, first)
    us = _day(year, int(month or 0), int(day or 0))
    clock, zone = _clock(part), _zone(part.get("zone"))
    return None if us is None or clock is None or zone is None else us + clock - zone


def _day(year: int, month: int, day: int) -> int | None:
    try:
        return to_us(datetime(year, month, day, tzinfo=UTC))
    except ValueError:
        return None


def _clock(part: dict[str, str | None]) -> int | None:
    if part.get("hour") is None:
        return 0
    hour, minute, second = int(part["hour"] or 0), int(part["minute"] or 0), int(part["second"] or 0)
    if half := part.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return (hour * 3600 + minute * 60 + second) * _SECOND + int((part.get("part") or "0").ljust(6, "0")[:6])


def _zone(text: str | None) -> int | None:
    """The offset in microseconds; None for a zone whose name is not known."""
    if text is None:
        return 0
    known = _ZONES.get(text.upper())
    if known is not None:
        return known * 3600 * _SECOND
    found = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?", text)
    if found is None:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    if offset >= timedelta(hours=24):
        return None
    return int(timezone(-offset if found[1] == "-" else offset).utcoffset(None) / timedelta(microseconds=1))


_FULL = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december")
