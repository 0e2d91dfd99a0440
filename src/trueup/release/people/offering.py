# SPDX-License-Identifier: Apache-2.0
"""Offering a candidate that no training made: a prompt, a threshold, a temperature (REL-14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trueup.core.decisions import Decision
from trueup.core.errors import Refused
from trueup.core.parameters import Parameter, typed
from trueup.models import load, require_parameters
from trueup.release.people.acting import whoami
from trueup.state import Candidate, decide, definition, read, register
from trueup.state import candidate as registered

if TYPE_CHECKING:
    from trueup.store import Ledger


def offer(
    ledger: Ledger, loop: str, candidate: str | None = None, *, reason: str,
    parameters: Mapping[str, Any] | None = None, declared: Sequence[Parameter] = (), who: str | None = None,
) -> Decision:
    """Let a candidate wait for its release: it goes the way of any trained model.

    With `parameters` it is a new candidate: the model of `candidate` (None: of the champion) with
    these values, over its own, checked against those that the task has `declared`. Raises Refused
    where it serves already or is being released, or where the loop's release has a Shadow and the model
    takes no parameters; and NotFound for an unknown candidate.
    """
    generation, state = read(ledger, loop)
    if candidate is None and state.champion is None:
        raise Refused(f"{loop} has no champion whose model could be offered", cure="name a candidate")
    base = registered(ledger, loop, candidate or str(state.champion))
    ident = base.id
    found = typed(declared, {**base.parameters, **parameters}) if parameters else base.parameters
    if state.champion is not None:
        champion = registered(ledger, loop, state.champion)
        _judgeable(ledger, loop, {"what is offered": replace(base, parameters=found), f"the champion {champion.id}": champion})
    if parameters:
        ident = register(
            ledger, loop, base.model, snapshot=base.snapshot, parent=base.id, trainer=base.trainer, code=base.code,
            metrics=base.metrics, facts={"offered": True}, parameters=found,
        ).id
    if ident == state.champion:
        raise Refused(f"{ident} serves already: there is nothing to offer", cure="give parameters that differ")
    if state.release is not None and state.release.candidate == ident:
        raise Refused(f"{ident} is being released already", cure="trueup status")
    evidence: dict[str, Any] = {"parameters": registered(ledger, loop, ident).parameters}
    if state.waiting not in (None, ident):
        evidence["superseded"] = state.waiting
    return decide(
        ledger, loop, generation, replace(state, waiting=ident), kind="candidate", verdict="PASS", reason=reason,
        subject=ident, actor=who or whoami(), evidence=evidence,
    )


def _judgeable(ledger: Ledger, loop: str, candidates: Mapping[str, Candidate]) -> None:
    """Raises Refused where the release of the loop's last definition has a Shadow, which would judge these
    candidates by their models' answers, and a model takes no parameters."""
    _, body = definition(ledger, loop) or ("", {})
    if not any(part.get("kind") == "stage.shadow" for part in body.get("release", ())):
        return
    for name, one in candidates.items():
        if one.parameters:
            require_parameters(load(ledger.artifacts.path(one.model), trust_code=True), one.parameters, name)
