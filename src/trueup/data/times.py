# SPDX-License-Identifier: Apache-2.0
"""Moments in the spellings that files have: ISO 8601, seconds since 1970, dates."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

from trueup.core.clock import to_us
from trueup.core.errors import DataError

_FORMATS = ("%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y")
_LATEST = 7_258_118_400_000_000  # 2200-01-01
# A number is seconds, milliseconds, microseconds or nanoseconds since 1970, by its size.
_UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (math.inf, 1e-3))


def parse_time(given: Any) -> int:
    """Microseconds since 1970 in UTC; a time without a zone is UTC. Raises DataError.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, told by their size.
    """
    us = _parse(given)
    if us is None or not 0 <= us < _LATEST:
        raise DataError(
            f"expected a time between 1970 and 2200, got {given!r:.60}",
            cure="write times as 2026-03-14T15:09:26Z, as dates, or as seconds since 1970",
        )
    return us


def _parse(given: Any) -> int | None:
    if isinstance(given, datetime):
        return to_us(given)
    if isinstance(given, date):
        return to_us(datetime(given.year, given.month, given.day, tzinfo=UTC))
    if isinstance(given, bool):
        return None
    if isinstance(given, int):
        return _number(given)
    if isinstance(given, float):
        return _number(given) if math.isfinite(given) else None
    return _text(given.strip()) if isinstance(given, str) else None


def _number(given: float) -> int:
    for limit, factor in _UNITS:
        if abs(given) < limit:
            return round(given * factor) if isinstance(given, float) else _exact(given, factor)
    return -1


def _exact(given: int, factor: float) -> int:
    return given * int(factor) if factor >= 1 else given // 1000


def _text(given: str) -> int | None:
    if len(given) > 64:
        return None
    try:
        return to_us(datetime.fromisoformat(given))
    except ValueError:
        pass
    try:
        number = float(given)
        return _number(int(given) if given.lstrip("+-").isdigit() else number) if math.isfinite(number) else None
    except ValueError:
        pass
    for form in _FORMATS:
        try:
            return to_us(datetime.strptime(given, form).replace(tzinfo=UTC))
        except ValueError:
            continue
    return None
