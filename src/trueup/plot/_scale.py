# SPDX-License-Identifier: Apache-2.0
"""Axes: where a number stands in pixels, which ticks are drawn, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from trueup.core.clock import utc

X: TypeAlias = float | int | date | datetime
Tick: TypeAlias = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers from `low` to `high` onto pixels from `start` to `stop`, straight or by logarithm."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, number: float) -> float:
        if self.log:
            number = math.log10(max(number, self.low))
            low, high = math.log10(self.low), math.log10(self.high)
        else:
            low, high = self.low, self.high
        share = (number - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.stop - self.start)


def to_number(x: X) -> float:
    """A moment as seconds since 1970, a number as itself."""
    if isinstance(x, datetime):
        return utc(x).timestamp()
    if isinstance(x, date):
        return datetime(x.year, x.month, x.day, tzinfo=UTC).timestamp()
    return float(x)


def step_for(low: float, high: float, most: int) -> float:
    """The least of 1, 2, 5 times a power of ten that needs at most `most` steps."""
    raw = (high - low) / max(most, 1) or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= raw * (1 - 1e-9))


def number_ticks(low: float, high: float, unit: str = "", most: int = 5) -> list[Tick]:
    """Round numbers between low and high."""
    step = step_for(low, high, most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [(i * step, write(i * step, unit, step)) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[Tick]:
    """Powers of ten, thinned to about seven."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, math.ceil((last - first + 1) / 7))
    return [(10.0**e, _power(e)) for e in range(first, last + 1) if e % every == 0]


def _power(exponent: int) -> str:
    return f"{10.0**exponent:,.{max(0, -exponent)}f}" if -3 <= exponent <= 5 else f"1e{exponent}"


def write(number: float, unit: str = "", step: float | None = None) -> str:
    """A number with its unit; "%" takes a share: 0.25 is written 25%."""
    if unit == "%":
        number, step = number * 100, None if step is None else step * 100
    if step is not None:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        words = f"{number + 0.0:,.{decimals}f}" if decimals <= 6 and abs(number) < 1e9 else f"{number:.4g}"
    elif number and abs(number) < 1e-3:
        words = f"{number:.2g}"
    elif abs(number) < 1 and number and unit != "%":
        words = f"{number:.3f}"
    elif abs(number) >= 1000:
        words = f"{number:,.0f}"
    else:
        words = f"{number:.1f}" if unit == "%" else f"{number:.4g}"
    return words + ("%" if unit == "%" else f" {unit}" if unit else "")


_TIMES: tuple[tuple[timedelta, str], ...] = (
    (timedelta(minutes=1), "%H:%M"), (timedelta(minutes=5), "%H:%M"),
    (timedelta(minutes=15), "%H:%M"), (timedelta(hours=1), "%d %H:%M"),
    (timedelta(hours=6), "%d %H:%M"), (timedelta(days=1), "%Y-%m-%d"),
    (timedelta(days=2), "%Y-%m-%d"), (timedelta(days=7), "%Y-%m-%d"), (timedelta(days=14), "%Y-%m-%d"),
)  # fmt: skip
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)


def time_ticks(low: float, high: float, most: int = 6) -> list[Tick]:
    """Round moments between two, given and returned as seconds since 1970."""
    for step, form in _TIMES:
        if (high - low) / step.total_seconds() <= most:
            return _ticks(_every(low, high, step), form)
    months = (high - low) / (30.44 * 86400)
    every = next((m for m in _MONTHS if months / m <= most), _MONTHS[-1])
    return _ticks(_first_days(low, high, every), "%Y" if every >= 12 else "%Y-%m")


def _ticks(moments: Iterator[float], form: str) -> list[Tick]:
    return [(at, datetime.fromtimestamp(at, UTC).strftime(form)) for at in moments]


def _every(low: float, high: float, step: timedelta) -> Iterator[float]:
    seconds = step.total_seconds()
    at = math.ceil(low / seconds) * seconds
    while at <= high:
        yield at
        at += seconds


def _first_days(low: float, high: float, every: int) -> Iterator[float]:
    start = datetime.fromtimestamp(low, UTC)
    month = math.ceil((start.year * 12 + start.month - 1) / every) * every
    while month < 9999 * 12:
        at = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()
        if at > high:
            return
        if at >= low:
            yield at
        month += every


def x_axis(timed: bool, low: float, high: float, unit: str, most: int) -> list[Tick]:
    """Ticks of a horizontal axis."""
    return time_ticks(low, high, most) if timed else number_ticks(low, high, unit, most)


def write_x(timed: bool, span: float) -> Callable[[float], str]:
    """How the x values are written in a table: moments to the day or the minute, else numbers."""
    if not timed:
        return lambda x: f"{x:,.10g}" if abs(x) < 1e10 else f"{x:.6g}"
    form = "%Y-%m-%d" if span >= 5 * 86400 else "%Y-%m-%d %H:%M"
    return lambda x: datetime.fromtimestamp(x, UTC).strftime(form)
