# SPDX-License-Identifier: Apache-2.0
"""Which arm a unit gets: a hash of salt and unit against 64-bit cut points, and nothing else."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from xxhash import xxh3_64_intdigest

from trueup.core.errors import ArgumentError
from trueup.route.routing import Assigned, Routing

LONGEST = 1024
"""The longest unit in bytes of UTF-8."""


def position(salt: str, unit: str) -> int:
    """Where a unit lies in [0, 2^64): XXH3-64 over salt, NUL and unit in UTF-8.

    Positions of one salt are uniform, and those of two salts are independent of each other. They
    are the same in every process, on every machine and in every version of Trueup.

    >>> f"{position('exp-1', 'user-1'):016x}"
    '576a19e13a3fed7d'
    """
    return xxh3_64_intdigest(f"{salt}\0".encode() + _encode(unit))


def assign(routing: Routing, unit: str) -> Assigned:
    """The arm of a unit; the same unit and the same routing give the same answer, everywhere.

    A unit is enrolled if its position under "<salt>/in" lies in a slice; it then gets the
    challenger if its position under "<salt>/arm" lies below the slice's pi. The second hash knows
    nothing of the first, so that being enrolled says nothing about the arm. Raises ArgumentError
    for a unit that is no text, is empty, is longer than 1,024 bytes or is not valid Unicode.
    """
    try:
        data = unit.encode()
    except (AttributeError, UnicodeEncodeError):
        data = _encode(unit)
    if not 0 < len(data) <= LONGEST:
        _encode(unit)
    cuts = routing.cuts
    if not cuts.edges:
        return cuts.outside
    edge = bisect_right(cuts.edges, xxh3_64_intdigest(cuts.salt_in + data))
    if not edge & 1:
        return cuts.outside
    below, challenger, champion = cuts.inside[edge >> 1]
    return challenger if xxh3_64_intdigest(cuts.salt_arm + data) < below else champion


def _encode(unit: Any) -> bytes:
    """The bytes of a unit; raises ArgumentError where there is no unit in it."""
    if not isinstance(unit, str):
        raise ArgumentError(
            f"expected the unit as text, got {unit!r:.80} ({type(unit).__name__})",
            cure="pass str(...) of a stable id of the user or the session",
        )
    try:
        data = unit.encode()
    except UnicodeEncodeError:
        raise ArgumentError(
            f"expected a unit in valid Unicode, got {unit!r:.80}",
            cure="decode the id with errors='replace', or pass its hash",
        ) from None
    if not data:
        raise ArgumentError(
            "expected a unit, got an empty text",
            cure="pass a stable id of the user or the session: all empty units would be one unit",
        )
    if len(data) > LONGEST:
        raise ArgumentError(
            f"expected a unit of at most {LONGEST} bytes, got {len(data)}: {unit!r:.40}...",
            cure="pass a shorter id, or a hash of it",
        )
    return data
