# SPDX-License-Identifier: Apache-2.0
"""Datasets that were made, and models and datasets that were deleted on purpose."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from trueup.core.records import record
from trueup.core.references import Ref


@record("snapshot")
class SnapshotRecord:
    """A dataset: its manifest (recipe, parents, counts, funnel) and where its rows lie."""

    manifest: dict[str, Any]
    data: Ref
    id: str = ""
    at: int = 0


@record("pruned")
class PrunedRecord:
    """A candidate's model, or a Snapshot's data, that was deleted on purpose."""

    model: Ref | UnsetType = UNSET
    data: Ref | UnsetType = UNSET
    id: str = ""
    at: int = 0

    @property
    def gone(self) -> list[Ref]:
        """What was deleted."""
        return [one for one in (self.model, self.data) if isinstance(one, Ref)]


@record("swept")
class SweptRecord:
    """A day on which the loop's retention was applied: bytes freed, and the Decision that says what went."""

    bytes: int
    decision: str | None = None
    words: str | None = None
    id: str = ""
    at: int = 0
