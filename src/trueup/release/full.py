# SPDX-License-Identifier: Apache-2.0
"""Full: the challenger becomes the champion."""

from __future__ import annotations

from typing import Any

from trueup.core.values import value
from trueup.release.carrier import unproved
from trueup.release.stage import Ruling, Scene, Terms, Traits


@value("stage.full")
class Full(Traits):
    """Promote. It comes last, and only after the gate that carries the promise has rejected."""

    promotes = True

    def problems(self, terms: Terms) -> list[str]:
        last = terms.stages and terms.stages[-1] is self
        return [] if last else ["Full must be the last stage of a release"]

    def enter(self, scene: Scene) -> dict[str, Any]:
        return {"candidate": scene.release.candidate}

    def rule(self, scene: Scene) -> Ruling:
        release = scene.release
        if words := unproved(scene.terms.stages):  # of a release that began before this was refused
            return Ruling("REFUSE", words)
        if not release.proven:
            return Ruling("REFUSE", "no stage has shown it to be no worse than the champion")
        return Ruling(
            "PROMOTE",
            f"rejected at level {release.level:.3g}: that it is worse than the champion by "
            f"{scene.terms.margin:g} or more at every moment (test {release.k} of this loop's life)",
        )
