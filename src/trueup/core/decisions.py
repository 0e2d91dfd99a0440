# SPDX-License-Identifier: Apache-2.0
"""Decisions: appended, never changed; undoing one is a new one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from trueup.core.json import digest

Verdict = Literal[
    "TRAIN", "REST", "PASS", "PROMOTE", "HOLD", "PAUSE", "REFUSE", "ROLLBACK", "INVALID", "NOTE"
]
"""What a Decision says: one of ten words."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, on what evidence, at what level, by whom, and the state that followed.

    `state` is the loop's whole state after the decision, so that the state of a loop is that of
    its last Decision, and nothing else can move it. `evidence` holds what the verdict can be
    recomputed from (method, parameters, the ledger's cut, the digest of the scored rows) and what
    came out. `at` is microseconds since 1970. `previous` is the digest of the loop's Decision
    before this one. The store fills in `generation`, `previous` and `id`.
    """

    loop: str
    at: int
    kind: str
    verdict: Verdict
    reason: str
    state: dict[str, Any]
    subject: str | None = None
    actor: str = "trueup"
    level: float | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    generation: int = 0
    previous: str | None = None
    id: str = ""

    def body(self) -> dict[str, Any]:
        """Everything but the id, which is made from it."""
        data = asdict(self)
        del data["id"]
        return data

    def digest(self) -> str:
        """SHA-256 of the body; the id is its first sixteen characters."""
        return digest(self.body())
