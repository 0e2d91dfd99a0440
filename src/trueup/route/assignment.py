# SPDX-License-Identifier: Apache-2.0
"""Which arm a unit gets: a hash of salt and unit against 64-bit cut points, and nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from xxhash import xxh3_64_intdigest

from trueup.core.errors import ArgumentError
from trueup.route.growthbook import growthbook_hash
from trueup.route.policy import probabilities
from trueup.route.routing import DIGITS, Assigned, Routing, Slice, drawn

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


def assign(routing: Routing, unit: str, context: Mapping[str, Any] | None = None) -> Assigned:
    """The arm of a unit; the same unit, routing and context give the same answer, everywhere.

    A unit is enrolled if its position under "<salt>/in" lies in a slice, and in every span of the
    routing; it then gets the challenger if its position under "<salt>/arm" lies below the slice's
    pi. The second hash knows nothing of the first, so that being enrolled says nothing about the
    arm. Several challengers take their probabilities from 0 upwards, in order. `context` matters
    only where a policy makes the probabilities of it. Raises ArgumentError for a unit that is no
    text, is empty, is longer than 1,024 bytes or is not valid Unicode.
    """
    try:
        data = unit.encode()
    except (AttributeError, UnicodeEncodeError):
        data = _encode(unit)
    if not 0 < len(data) <= LONGEST:
        _encode(unit)
    cuts = routing.cuts
    if not cuts.edges and not cuts.overrides:
        return cuts.outside
    if not cuts.plain:
        return _with_care(routing, unit, data, context)
    edge = bisect_right(cuts.edges, xxh3_64_intdigest(cuts.salt_in + data))
    if not edge & 1:
        return cuts.outside
    bounds, answers, _ = cuts.inside[edge >> 1]
    return answers[bisect_right(bounds, xxh3_64_intdigest(cuts.salt_arm + data))]


def _with_care(routing: Routing, unit: str, data: bytes, context: Mapping[str, Any] | None) -> Assigned:
    """The arm where there are overrides, spans, a policy, or another hash."""
    cuts = routing.cuts
    if unit in cuts.overrides:
        return cuts.overrides[unit]
    for salt, start, stop in cuts.within:
        if not start <= xxh3_64_intdigest(salt + data) < stop:
            return cuts.outside
    if routing.hashing != "xxh3":
        return _as_growthbook(routing, unit)
    edge = bisect_right(cuts.edges, xxh3_64_intdigest(cuts.salt_in + data))
    if not edge & 1:
        return cuts.outside
    inside = cuts.inside[edge >> 1]
    if inside.part.policy is not None:
        shares = probabilities(inside.part.policy, context)
        weights = tuple(zip(routing.names[1:], shares[1:], strict=True))
        inside = drawn(routing, inside.part, weights, told=True)
    return inside.answers[bisect_right(inside.bounds, xxh3_64_intdigest(cuts.salt_arm + data))]


def _as_growthbook(routing: Routing, unit: str) -> Assigned:
    """GrowthBook's way: one hash; variation 0 is the champion, and coverage takes the lower part of
    each variation's range. A slice is the coverage from its start to its stop."""
    at = growthbook_hash(routing.salt, unit, int(routing.hashing[-1]))
    for inside in routing.cuts.inside:
        edge = 0.0
        for arm, weight in _variations(inside.part):
            if edge + inside.part.start * weight <= at < edge + inside.part.stop * weight:
                return next(one for one in inside.answers if one.arm == arm)
            edge += weight
    return routing.cuts.outside


def _variations(part: Slice) -> list[tuple[str, float]]:
    weights = part.weights or (("challenger", part.pi),)
    return [("champion", round(1.0 - sum(p for _, p in weights), DIGITS)), *weights]


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
