# SPDX-License-Identifier: Apache-2.0
"""Approval: a person reads the report and says yes (REG-03, HIT-01)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from trueup.core.values import value
from trueup.release.stage import Ruling, Scene, Terms


@value("stage.approval")
class Approval:
    """Wait until a person approves this very candidate.

    `by` names who may; it is recorded, and the identity is called unverified. `max_time` (None:
    for ever) ends the wait as a refusal.
    """

    by: str = "anybody"
    max_time: timedelta | None = None

    def problems(self, terms: Terms) -> list[str]:
        return []

    def enter(self, scene: Scene) -> dict[str, Any]:
        return {"by": self.by, "candidate": scene.release.candidate, "since": scene.now}

    def rule(self, scene: Scene) -> Ruling:
        given = scene.release.approval
        if given is not None and given["candidate"] == scene.release.candidate:
            return Ruling("PASS", f"approved by {given['who']}: {given['reason']}")
        waited = timedelta(microseconds=scene.now - scene.release.entered)
        if self.max_time is not None and waited >= self.max_time:
            return Ruling("REFUSE", f"nobody approved it within {self.max_time}")
        return Ruling("HOLD", f"waits for {self.by}: trueup approve {scene.release.candidate}")
