# SPDX-License-Identifier: Apache-2.0
"""One gate carries the promise: the paired shadow, or where there is none the first experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trueup.release.risk import Risk
from trueup.release.shadow.asking import Unloadable, require_judgeable
from trueup.release.stage import Terms
from trueup.state import LoopState

if TYPE_CHECKING:
    from trueup.store import Ledger


def carrier(stages: Sequence[Any]) -> Any:
    """The deciding stage: the first among those of the highest rank that can carry the promise, or None."""
    return max((stage for stage in stages if stage.carries), key=lambda stage: stage.carries, default=None)


def unanchored(stages: Sequence[Any], risk: Risk, state: LoopState) -> str | None:
    """Why small losses could add up: the champion is not the anchor, and nothing compares with it.

    While the champion is the anchor there is nothing to add up, and with a margin of 0 no loss is
    accepted at all.
    """
    gate = carrier(stages)
    if gate is None or gate.anchored or state.anchor in (None, state.champion):
        return None
    if gate.no_worse_by == 0.0 or (risk.creep or 2.0 * gate.no_worse_by) >= 1.0:
        return None
    return (
        f"the champion is not the anchor ({state.anchor}) any more, and an A/B against the champion cannot show that "
        "no run of small losses has added up: put a Shadow before it, which answers for the anchor as well, test with "
        f"no_worse_by=0, or name the champion the anchor: trueup anchor {state.champion} -m WHY"
    )


def unproved(stages: Sequence[Any]) -> str | None:
    """Why what the deciding stage proves would not be what goes on: a later stage chooses another candidate."""
    gate = carrier(stages)
    at = next((at for at, stage in enumerate(stages) if stage is gate), len(stages))
    later = next((stage for stage in stages[at + 1 :] if stage.chooses()), None)
    if later is None:
        return None
    name, before = type(later).__name__, type(gate).__name__
    return (
        f"the {before} proves the candidate that enters it, and the {name}(arms=...) after it lets one of its arms go on, "
        f"which nothing has proved: put the {name} before the {before}, or let it decide alone"
    )


def unjudgeable(ledger: Ledger, terms: Terms, candidates: Sequence[str | None]) -> str | None:
    """Why a Shadow of this release may not judge these candidates by the answers of their models, if it may not."""
    if not any(stage.judges for stage in terms.stages):
        return None
    try:
        require_judgeable(ledger, terms, candidates)
    except Unloadable as error:
        return str(error)
    return None
