# SPDX-License-Identifier: Apache-2.0
"""One gate carries the promise: the paired shadow, or where there is none the first experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueup.release.experiments.ab import AB
from trueup.release.experiments.bandit import Bandit
from trueup.release.risk import Risk
from trueup.release.shadow.shadow import Shadow
from trueup.release.state import LoopState


def carrier(stages: Sequence[Any]) -> Shadow | AB | Bandit | None:
    """The stage that carries the promise: the first Shadow, else the first AB or Bandit."""
    for kinds in (Shadow, (AB, Bandit)):
        for stage in stages:
            if isinstance(stage, kinds):
                return stage
    return None


def unanchored(stages: Sequence[Any], risk: Risk, state: LoopState) -> str | None:
    """Why small losses could add up: the champion is not the anchor, and nothing compares with it.

    While the champion is the anchor there is nothing to add up, and with a margin of 0 no loss is
    accepted at all.
    """
    gate = carrier(stages)
    if gate is None or isinstance(gate, Shadow) or state.anchor in (None, state.champion):
        return None
    if gate.no_worse_by == 0.0 or (risk.creep or 2.0 * gate.no_worse_by) >= 1.0:
        return None
    return (
        f"the champion is not the anchor ({state.anchor}) any more, and an A/B against the champion cannot show that "
        "no run of small losses has added up: put a Shadow before it, which answers for the anchor as well, test with "
        f"no_worse_by=0, or name the champion the anchor: trueup anchor {state.champion} -m WHY"
    )
