# SPDX-License-Identifier: Apache-2.0
"""Time is passed in: a system clock that never runs backwards, and one that a test moves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, overload

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Whatever tells the time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock; a jump back is held at the latest time seen by this process."""

    def __init__(self) -> None:
        self._latest = 0.0

    def now(self) -> datetime:
        seconds = time.time()
        if seconds < self._latest:
            seconds = self._latest
        else:
            self._latest = seconds
        return datetime.fromtimestamp(seconds, UTC)


class ManualClock:
    """A clock that stands still until it is moved: for tests, simulations and demos."""

    def __init__(self, start: datetime) -> None:
        self._now = utc(start)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by

    def move_to(self, moment: datetime) -> None:
        self._now = utc(moment)


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; a naive one is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly."""
    return (utc(moment) - EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The inverse of `to_us`."""
    return EPOCH + timedelta(microseconds=us)


class Moments(Sequence[datetime]):
    """Many moments, kept as microseconds since 1970 and made datetimes where one is asked for.

    >>> Moments([0, 1_000_000])[1].isoformat(), len(Moments([0, 5])[1:])
    ('1970-01-01T00:00:01+00:00', 1)
    """

    __slots__ = ("us",)

    def __init__(self, us: Sequence[int]) -> None:
        self.us = us

    @overload
    def __getitem__(self, at: int) -> datetime: ...
    @overload
    def __getitem__(self, at: slice) -> Moments: ...
    def __getitem__(self, at: int | slice) -> datetime | Moments:
        return Moments(self.us[at]) if isinstance(at, slice) else from_us(self.us[at])

    def __len__(self) -> int:
        return len(self.us)


def all_us(moments: Sequence[datetime]) -> Sequence[int]:
    """Moments in microseconds since 1970."""
    return moments.us if isinstance(moments, Moments) else [to_us(one) for one in moments]
