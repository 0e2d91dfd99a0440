# SPDX-License-Identifier: Apache-2.0
"""The shortest change of what was seen that would have turned a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueup.core.errors import UnknownName
from trueup.core.facts import Note
from trueup.release import evidence_of

if TYPE_CHECKING:
    from trueup.core.decisions import Decision
    from trueup.store import Ledger

INVALID = "without this it would not have been INVALID: {reason}"


def turning(ledger: Ledger, decision: Decision) -> Note | None:
    """What would have turned the verdict that this Decision's evidence carries; None where its kind is not
    known here, or nothing can be said."""
    evidence = decision.evidence
    invalid = evidence.get("result", {}).get("invalid")
    if invalid or decision.verdict == "INVALID":  # where its rows do not say it: a changed metric, a count that fell
        return Note("evidence.invalid", {"reason": invalid or decision.reason}, INVALID)
    if "method" not in evidence:
        return None
    try:
        kind = evidence_of(evidence["method"])
    except UnknownName:
        return None
    if not kind.portable:
        return None
    parameters, now = evidence["parameters"], evidence["now"]
    return kind.counterfactual(kind.rows(ledger, decision.loop, parameters, evidence["cut"], now), parameters, now)
