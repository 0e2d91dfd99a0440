# SPDX-License-Identifier: Apache-2.0
"""GrowthBook's hash, for experiments that move over without moving their units."""

from __future__ import annotations

from typing import Literal

from trueup.core.errors import ArgumentError

Hashing = Literal["xxh3", "growthbook-1", "growthbook-2"]
HASHINGS: tuple[Hashing, ...] = ("xxh3", "growthbook-1", "growthbook-2")


def growthbook_hash(seed: str, unit: str, version: int = 2) -> float:
    """Where GrowthBook puts a unit in [0, 1): version 2 in steps of .0001, version 1 of .001.

    `seed` is the experiment's seed, which is its key where none was set. Raises ArgumentError for
    another version. Source: the SDKs' specification, with its published vectors.

    >>> growthbook_hash("seed", "a", 2), growthbook_hash("b", "a", 1)
    (0.0505, 0.946)
    """
    if version == 2:
        return fnv1a_32(str(fnv1a_32(seed + unit))) % 10_000 / 10_000
    if version == 1:
        return fnv1a_32(unit + seed) % 1_000 / 1_000
    raise ArgumentError(f"expected version 1 or 2 of GrowthBook's hash, got {version!r}")


def fnv1a_32(text: str) -> int:
    """FNV-1a in 32 bits over UTF-16 code units, as the first SDK's charCodeAt had it."""
    found = 0x811C9DC5
    data = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(data[::2], data[1::2], strict=True):
        found = (found ^ (low | high << 8)) * 0x01000193 & 0xFFFFFFFF
    return found
