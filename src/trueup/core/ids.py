# SPDX-License-Identifier: Apache-2.0
"""UUIDv7 ids: they sort by time, and never repeat within a process (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable

from trueup.core.clock import Clock, SystemClock, to_us


class Ids:
    """Makes UUIDv7 ids from a clock; with a seed, the same clock gives the same ids."""

    def __init__(self, clock: Clock | None = None, seed: int | None = None) -> None:
        self._clock = clock or SystemClock()
        self._bits: Callable[[int], int]
        if seed is None:
            self._bits = _system_bits
        else:
            self._bits = random.Random(seed).getrandbits
        self._lock = threading.Lock()
        self._last = 0

    def new(self) -> str:
        """The next id: 36 characters, greater than all ids made before by this object."""
        return self.at(to_us(self._clock.now()))

    def at(self, us: int) -> str:
        """An id for a moment given in microseconds since 1970."""
        head = ((us // 1000) << 12) | (us % 1000 * 4096 // 1000)
        with self._lock:
            if head <= self._last:
                head = self._last + 1
            self._last = head
        tail = self._bits(62)
        number = (head >> 12 << 80) | (0x7 << 76) | ((head & 0xFFF) << 64) | (0b10 << 62) | tail
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _system_bits(n: int) -> int:
    return int.from_bytes(os.urandom(8), "big") >> (64 - n)
