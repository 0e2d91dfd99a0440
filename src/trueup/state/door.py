# SPDX-License-Identifier: Apache-2.0
"""The one door: read a loop's state, and decide what it becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.decisions import Decision, Verdict
from trueup.state.candidates import Candidate
from trueup.state.loop_state import LoopState

if TYPE_CHECKING:
    from trueup.store import Ledger


def read(ledger: Ledger, loop: str) -> tuple[int, LoopState]:
    """The generation and the state of a loop."""
    generation, data = ledger.state(loop)
    return generation, LoopState.from_json(data)


def decide(
    ledger: Ledger, loop: str, generation: int, state: LoopState, *, kind: str, verdict: Verdict,
    reason: str, subject: str | None = None, actor: str = "trueup", level: float | None = None,
    evidence: dict[str, Any] | None = None,
) -> Decision:
    """Append a Decision with the state that follows from it; raises Conflict if the state moved.

    The routing gets the parameters of the candidates that it names.
    """
    state = replace(state, routing=_with_parameters(ledger, loop, state.routing))
    return ledger.decide(
        Decision(
            loop=loop, at=to_us(ledger.clock.now()), kind=kind, verdict=verdict, reason=reason,
            state=state.to_json(), subject=subject, actor=actor, level=level,
            evidence=evidence or {},
        ),
        expect=generation,
    )


def _with_parameters(ledger: Ledger, loop: str, routing: dict[str, Any]) -> dict[str, Any]:
    """The routing with what its candidates say beside their models: prompts, thresholds."""
    given = dict(routing.get("parameters", {}))
    for arm, own in list(given.items()):
        ident = routing.get("arms", {}).get(arm, routing.get(arm) if arm in ("champion", "challenger") else None)
        found = ledger.get(loop, Candidate, ident) if ident else None
        if found is not None and found.parameters and not own:
            given[arm] = found.parameters
    return {**routing, "parameters": given} if given else routing
