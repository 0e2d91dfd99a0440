# SPDX-License-Identifier: Apache-2.0
"""The funnel: how many rows went into each step, how many came out, and why the others did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One step: rows in, rows dropped by reason, rows out, and what else it had to say.

    `part` says which rows it saw: new, replay, or all.
    """

    name: str
    rows_in: int
    rows_out: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    part: str = "new"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "part": self.part,
            "in": self.rows_in,
            "out": self.rows_out,
            "dropped": dict(sorted(self.dropped.items())),
            "facts": dict(self.facts),
        }


@dataclass(frozen=True, slots=True)
class Funnel:
    """The steps of one build, in order."""

    steps: tuple[FunnelStep, ...] = ()

    def to_json(self) -> list[dict[str, Any]]:
        return [step.to_json() for step in self.steps]

    @classmethod
    def from_json(cls, data: list[dict[str, Any]]) -> Funnel:
        return cls(
            tuple(
                FunnelStep(step["name"], step["in"], step["out"], step["dropped"], step["facts"], step["part"])
                for step in data
            )
        )

    def dropped(self, name: str) -> int:
        """How many rows the steps of this name dropped, whatever the reason."""
        return sum(sum(step.dropped.values()) for step in self.steps if step.name == name)

    def lines(self) -> list[str]:
        """The funnel for people: a line a step, a line a reason below it."""
        lines = []
        for step in self.steps:
            part = "" if step.part == "new" else f" ({step.part})"
            lines.append(f"{step.name + part:<28}{step.rows_in:>10,} -> {step.rows_out:>9,}")
            lines += [f"    {n:>10,}  {reason}" for reason, n in _by_size(step.dropped)]
            lines += [f"                {fact}" for fact in _told(step.facts)]
        return lines


def _by_size(dropped: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(dropped.items(), key=lambda pair: (-pair[1], pair[0]))


def _told(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, fact in facts.items():
        if isinstance(fact, list):
            for item in fact:
                told = ", ".join(f"{key} {part}" for key, part in item.items()) if isinstance(item, Mapping) else item
                lines.append(f"{name}: {told}")
        elif isinstance(fact, Mapping):
            lines.append(f"{name}: " + ", ".join(f"{key} {part}" for key, part in fact.items()))
        else:
            lines.append(f"{name}: {fact}")
    return lines
