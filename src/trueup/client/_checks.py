# SPDX-License-Identifier: Apache-2.0
"""The application's own mistakes, found before anything is written."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from trueup.core.clock import to_us
from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import dumps

EARLIEST_US, LATEST_US = 100_000_000_000_000, 253_402_300_800_000_000
"""1973 to 9999: seconds, milliseconds and nanoseconds of our time lie outside."""
LONGEST = 1024
"""The longest id, name or key in characters."""


def text_of(what: str, value: Any) -> str:
    """The canonical JSON of a value; raises DataError where JSON, or Unicode, cannot hold it."""
    try:
        text = dumps(value)
        if not text.isascii():
            text.encode()
    except RecursionError:
        raise DataError(f"expected {what} as plain JSON, got one nested too deeply") from None
    except UnicodeEncodeError as error:
        raise DataError(
            f"expected {what} in valid Unicode, got a lone surrogate at character {error.start}",
            cure="decode the bytes with errors='replace'",
        ) from None
    return text


def name_of(what: str, value: Any) -> str:
    """An id, name or key; raises ArgumentError unless it is a text of 1 to 1,024 characters."""
    if isinstance(value, str) and 0 < len(value) <= LONGEST:
        if value.isascii():
            return value
        try:
            value.encode()
            return value
        except UnicodeEncodeError:
            pass
    raise ArgumentError(f"expected {what} as a text of 1 to {LONGEST} characters, got {value!r:.80}")


def moment_of(ts: datetime | int) -> int:
    """Microseconds since 1970 from a datetime (naive: UTC) or from such a number."""
    if isinstance(ts, datetime):
        return to_us(ts)
    if isinstance(ts, int) and not isinstance(ts, bool) and EARLIEST_US <= ts < LATEST_US:
        return ts
    raise ArgumentError(
        f"expected ts as a datetime or as microseconds since 1970, got {ts!r:.80}",
        cure="pass a datetime with its time zone",
    )


def seconds_of(seconds: Any) -> float | None:
    """How long the answer took; raises ArgumentError unless it is a finite number of 0 or more."""
    if seconds is None:
        return None
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 <= seconds <= sys.float_info.max
    ):
        raise ArgumentError(f"expected seconds as a number of 0 or more, got {seconds!r:.80}")
    return float(seconds)


def held(what: str, value: Any, unfit: dict[str, str]) -> str | None:
    """The canonical JSON of a value; None where JSON cannot hold it, with the reason in `unfit`."""
    try:
        return text_of(what, value)
    except DataError as error:
        unfit[what] = error.message[:200].encode("utf-8", "replace").decode()
        return None


def extra_of(propensity: Any, unfit: dict[str, str]) -> str | None:
    """What an interaction says beside its fields: the answer's propensity, and what was set aside with
    its reason. Raises ArgumentError for a propensity outside (0, 1]."""
    shown = _shown_with(propensity)
    if not unfit:
        return shown
    return dumps({"unfit": unfit} if propensity is None else {"propensity": float(propensity), "unfit": unfit})


def _shown_with(propensity: Any) -> str | None:
    if propensity is None:
        return None
    if isinstance(propensity, bool) or not isinstance(propensity, int | float) or not 0.0 < propensity <= 1.0:
        raise ArgumentError(
            f"expected a propensity above 0 and at most 1, got {propensity!r:.80}",
            cure="pass the probability with which this answer was drawn, as explore() gives it",
        )
    return f'{{"propensity":{float(propensity)!r}}}'


def error_of(error: Any) -> str | None:
    """The error as text that the ledger can hold, whatever bytes it was made of."""
    if error is None:
        return None
    if not isinstance(error, str) or not error:
        raise ArgumentError(
            f"expected error as a text or None, got {error!r:.80}", cure="pass repr(error)"
        )
    return error.encode("utf-8", "replace").decode()
