# SPDX-License-Identifier: Apache-2.0
"""Who may be drawn at all: holdbacks, layers, overrides, and another system's hash (REL-11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from trueup.core.errors import ArgumentError
from trueup.core.values import value
from trueup.route import Routing


@value("release.population")
class Population:
    """The units that a loop's releases may draw from; everybody else gets the champion.

    `holdback` is a share of the units that no release of this loop ever draws. Loops that name the
    same `layer` and hold ranges [`start`, `stop`) of it that do not overlap never enrol the same
    unit: their experiments exclude each other. `overrides` gives units an arm by hand ({"qa-1":
    "challenger"}) while a release has that arm: flagged, and counted nowhere. `hashing` is "xxh3",
    or "growthbook-1" or "growthbook-2" for an experiment that moves over from GrowthBook with its
    units, whose seed (or key) is then `seed`. With a seed every release draws the same units;
    without one each stage draws afresh.
    """

    holdback: float = 0.0
    layer: str | None = None
    start: float = 0.0
    stop: float = 1.0
    overrides: Mapping[str, str] = field(default_factory=dict)
    hashing: str = "xxh3"
    seed: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.holdback < 1.0:
            raise ArgumentError(f"expected a holdback of at least 0 and below 1, got {self.holdback!r}")
        if self.layer is None and (self.start, self.stop) != (0.0, 1.0):
            raise ArgumentError("expected a layer where start and stop are given", cure="Population(layer='search', ...)")
        if self.hashing != "xxh3" and self.seed is None:
            raise ArgumentError(f"expected a seed with hashing={self.hashing!r}", cure="give GrowthBook's seed or key")
        Routing.from_json({"champion": "c", **self.routing("loop", "salt")})  # raises where nothing could be drawn

    def routing(self, loop: str, salt: str, names: tuple[str, ...] = ("champion", "challenger")) -> dict[str, Any]:
        """What a routing needs of it: the salt, and where they say something spans, overrides, hashing."""
        spans = []
        if self.holdback:
            spans.append({"salt": f"{loop}/holdback", "start": self.holdback, "stop": 1.0})
        if self.layer is not None:
            spans.append({"salt": f"layer/{self.layer}", "start": self.start, "stop": self.stop})
        found: dict[str, Any] = {"salt": salt if self.seed is None else self.seed}
        overrides = {unit: arm for unit, arm in self.overrides.items() if arm in names}
        for name, part, usual in (
            ("within", spans, []), ("overrides", overrides, {}), ("hashing", self.hashing, "xxh3"),
        ):
            if part != usual:
                found[name] = part
        return found
