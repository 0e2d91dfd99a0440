# SPDX-License-Identifier: Apache-2.0
"""Candidates: what was trained, from what, and how it did (REG-01, REG-02)."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.errors import NotFound
from trueup.core.json import digest
from trueup.core.records import record
from trueup.core.references import Ref

if TYPE_CHECKING:
    from trueup.store import Ledger


@record("candidate", body=("id",))
class Candidate:
    """A model with its lineage. Its id is made from the lineage, so that the same work done twice
    is one candidate.

    `snapshot` is the dataset it learned from, `parent` the candidate it went on from or was to
    replace, `trainer` the trainer's JSON, `code` the digest of its code, `metrics` and `facts`
    what training and gates reported. `parameters` are the typed values beside the model that the
    application gets with it: a prompt, a threshold. `created` is microseconds since 1970.
    """

    id: str
    loop: str
    model: Ref
    created: int
    snapshot: str | None = None
    parent: str | None = None
    trainer: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def base(self) -> Ref | None:
        """The frozen model that an adapter answers on, among the artifacts; None for whole models."""
        tree = self.facts.get("base_tree")
        return Ref(f"artifacts/{tree[:2]}/{tree}", tree) if isinstance(tree, str) else None


def register(
    ledger: Ledger, loop: str, model: Ref, *, snapshot: str | None = None,
    parent: str | None = None, trainer: dict[str, Any] | None = None, code: str = "",
    metrics: dict[str, Any] | None = None, facts: dict[str, Any] | None = None,
    parameters: dict[str, Any] | None = None,
) -> Candidate:
    """Record a candidate; the same lineage gives the same id, and the first record stands."""
    lineage = {
        "loop": loop, "model": model.sha256, "snapshot": snapshot, "parent": parent,
        "trainer": trainer or {}, "code": code,
    }
    if parameters:
        lineage["parameters"] = parameters
    ident = f"c-{digest(lineage)[:16]}"
    ledger.add(loop, ident, Candidate(
        ident, loop, model, to_us(ledger.clock.now()), snapshot, parent, trainer or {}, code,
        metrics or {}, facts or {}, parameters or {},
    ))
    return candidate(ledger, loop, ident)


def candidate(ledger: Ledger, loop: str, ident: str) -> Candidate:
    """The candidate with this id, or with the only id that begins so; raises NotFound."""
    found = ledger.get(loop, Candidate, ident)
    if found is None:
        near = [one for one in candidates(ledger, loop) if one.id.startswith(ident)]
        if len(near) == 1:
            return near[0]
        raise NotFound(
            f"expected a candidate of {loop}, got {ident!r}",
            cure=f"one of {', '.join(one.id for one in near)}" if near else "trueup status lists them",
        )
    return found


def candidates(ledger: Ledger, loop: str) -> list[Candidate]:
    """All candidates of a loop, oldest first."""
    return ledger.records(loop, Candidate)
