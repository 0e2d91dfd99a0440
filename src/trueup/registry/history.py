# SPDX-License-Identifier: Apache-2.0
"""Who served production when, read off the Decisions (REG-05)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trueup.store import Ledger


@dataclass(frozen=True, slots=True)
class Reign:
    """A champion's time: from the Decision that made it one to the one that ended it.

    Times are microseconds since 1970; `until` is None for the present champion.
    """

    candidate: str
    since: int
    until: int | None
    decision: str
    reason: str


def reigns(ledger: Ledger, loop: str) -> list[Reign]:
    """Every champion in order of time; one that came back has two reigns."""
    found: list[Reign] = []
    for decision in ledger.decisions(loop):
        champion = decision.state.get("champion")
        if champion is None or (found and found[-1].candidate == champion):
            continue
        if found:
            last = found[-1]
            found[-1] = Reign(last.candidate, last.since, decision.at, last.decision, last.reason)
        found.append(Reign(champion, decision.at, None, decision.id, decision.reason))
    return found


def served(ledger: Ledger, loop: str) -> set[str]:
    """Every candidate that ever answered a user, as champion or in a slice: never thrown away."""
    found = {reign.candidate for reign in reigns(ledger, loop)}
    for decision in ledger.decisions(loop):
        routing = decision.state.get("routing") or {}
        if routing.get("challenger") and routing.get("slices"):
            found.add(routing["challenger"])
    return found
