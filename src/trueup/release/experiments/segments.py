# SPDX-License-Identifier: Apache-2.0
"""Segments of an experiment: reported beside the verdict, never deciding it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from trueup.core.facts import Table

MOST = 20
"""Values of one segment that are told apart; the others are put together."""


class Segments:
    """Sums by (segment, value, arm). "history" is always one of them: units that were never seen
    before the experiment are a segment of their own (VAL-11)."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._sums: dict[str, dict[str, dict[str, list[float]]]] = {
            name: defaultdict(lambda: defaultdict(lambda: [0.0, 0.0])) for name in ("history", *names)
        }

    def add(self, one: Mapping[str, Any]) -> None:
        """Count a scored unit."""
        if one["y"] is None:
            return
        context = one["context"] if isinstance(one["context"], Mapping) else {}
        for name, values in self._sums.items():
            value = ("known" if one["known"] else "new") if name == "history" else str(context.get(name, "unknown"))[:64]
            if value not in values and len(values) >= MOST:
                value = "other"
            cell = values[value][one["arm"]]
            cell[0] += 1.0
            cell[1] += one["y"]

    def result(self) -> dict[str, Any]:
        """{segment: {value: {arm: {"units", "mean"}}}}"""
        return {
            name: {
                value: {
                    arm: {"units": int(cell[0]), "mean": cell[1] / cell[0]} for arm, cell in sorted(arms.items())
                }
                for value, arms in sorted(values.items())
            }
            for name, values in self._sums.items()
        }


def segment_facts(segments: Mapping[str, Any]) -> tuple[Table, ...]:
    """A table for each segment: every value's mean and units, by arm."""
    return tuple(
        Table(
            f"by {segment} (reported, decides nothing)", (segment, "arm", "mean", "units"),
            tuple((value, arm, cell["mean"], cell["units"]) for value, arms in values.items() for arm, cell in arms.items()),
        )
        for segment, values in segments.items() if values
    )
