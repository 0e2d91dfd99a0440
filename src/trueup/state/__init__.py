# SPDX-License-Identifier: Apache-2.0
"""Floor 3: the typed records of a home, and the one door by which a loop's state changes."""

from typing import TYPE_CHECKING

from trueup.core.lazy import lazily

if TYPE_CHECKING:
    from trueup.state.aliases import aliases
    from trueup.state.candidates import Candidate, candidate, candidates, register
    from trueup.state.costs import Cost
    from trueup.state.cycle import Before, Cycle
    from trueup.state.definitions import define, defined, definition
    from trueup.state.door import decide, read
    from trueup.state.kept import PrunedRecord, SnapshotRecord, SweptRecord
    from trueup.state.loop_state import LoopState, Release, ReleaseTest, only
    from trueup.state.publishing import (
        NominatedRecord,
        NominationRecord,
        PublishedRecord,
        PublishingRecord,
    )
    from trueup.state.reports import Report
    from trueup.state.steps import (
        Built,
        GateFinding,
        Judged,
        Registered,
        RetryRecord,
        StepRecord,
        Trained,
    )

__all__ = [
    "Before",
    "Built",
    "Candidate",
    "Cost",
    "Cycle",
    "GateFinding",
    "Judged",
    "LoopState",
    "NominatedRecord",
    "NominationRecord",
    "PrunedRecord",
    "PublishedRecord",
    "PublishingRecord",
    "Registered",
    "Release",
    "ReleaseTest",
    "Report",
    "RetryRecord",
    "SnapshotRecord",
    "StepRecord",
    "SweptRecord",
    "Trained",
    "aliases",
    "candidate",
    "candidates",
    "decide",
    "define",
    "defined",
    "definition",
    "only",
    "read",
    "register",
]

__getattr__ = lazily(__name__, {
    "aliases": "aliases",
    "Candidate": "candidates", "candidate": "candidates",
    "candidates": "candidates", "register": "candidates",
    "Cost": "costs",
    "Before": "cycle", "Cycle": "cycle",
    "PrunedRecord": "kept", "SnapshotRecord": "kept", "SweptRecord": "kept",
    "Built": "steps", "GateFinding": "steps", "Judged": "steps", "Registered": "steps", "RetryRecord": "steps", "StepRecord": "steps", "Trained": "steps",
    "define": "definitions", "defined": "definitions", "definition": "definitions",
    "decide": "door", "read": "door",
    "NominatedRecord": "publishing", "NominationRecord": "publishing", "PublishedRecord": "publishing",
    "PublishingRecord": "publishing", "Report": "reports",
    "LoopState": "loop_state", "Release": "loop_state", "ReleaseTest": "loop_state", "only": "loop_state",
})
