# SPDX-License-Identifier: Apache-2.0
"""The cycle that a loop's state names while a training is unfinished."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Before:
    """What the state said before a cycle began: it says so again where the cycle ends without a candidate.

    `trained` is the last training's moment (us), `trained_cut` the ledger's cut that it saw, and
    `accepted` since when (us) each detector counts.
    """

    trained: int | None = None
    trained_cut: int | None = None
    accepted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cycle:
    """An unfinished training: from the look that began it to a candidate, or a refusal.

    `cut` and `now` (us) are those of the look, `loop` the digest of the definition that it runs under,
    and `pipeline` the version of the steps that began it.
    """

    id: str
    cut: int
    now: int
    loop: str
    pipeline: int = 1
    before: Before = field(default_factory=Before)
