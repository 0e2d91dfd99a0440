# SPDX-License-Identifier: Apache-2.0
"""A row of a file, and the limits of what is read at once."""

from __future__ import annotations

from typing import Any, NamedTuple

from trueup.core.errors import DataError

LONGEST = 16 * 1024 * 1024  # bytes of a row
RAW = 1_000  # characters of a row that are kept where it is quarantined
LARGEST, RATIO = 2**30, 1_000  # bytes that any file may unpack to, and how many times its own size


class Row(NamedTuple):
    """One row: its line (from 1; a Parquet file's row), and its data, or what is wrong with it."""

    line: int
    data: dict[str, Any]
    fault: str = ""
    raw: str = ""


class Unpacked:
    """Counts the bytes that a compressed file unpacks to; refuses one that unpacks to far more than it is."""

    def __init__(self, name: str, size: int) -> None:
        self._name, self._size = name, size
        self._limit = max(LARGEST, RATIO * size)
        self.bytes = 0

    def check(self, total: int) -> None:
        """Raise DataError where `total` bytes are more than a file of this size may hold."""
        self.bytes = total
        if total > self._limit:
            raise DataError(
                f"expected at most {self._limit // 2**20:,} MiB of rows in {self._name}, got more "
                f"out of a file of {self._size:,} bytes",
                cure="a file that unpacks to a thousand times its size is refused: split it, or store it uncompressed",
            )
