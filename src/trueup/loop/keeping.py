# SPDX-License-Identifier: Apache-2.0
"""Once a day, what a loop's `keep` does not hold is thrown away, and a Decision says what (TRN-12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Busy, Conflict
from trueup.core.values import from_json, to_json
from trueup.state import decide, definition, read
from trueup.state.kept import SweptRecord

if TYPE_CHECKING:
    from trueup.loop.context import Context
    from trueup.registry import Keep, Pruned
    from trueup.store import Ledger

KIND = "prune"
"""The Decision that says what goes."""


def sweep(context: Context) -> Decision | None:
    """Prune the loop as its `keep` says, once a day (UTC, of the ledger's clock); what was decided, if
    anything goes.

    A projection: whoever calls it holds the loop already, or need not. The Decision stands before the
    first file goes, and a sweep that was killed is finished by the next, without a second one. A loop
    that only observes, is paused, or is at work on a cycle throws nothing away, and nothing goes while a
    backup is made.
    """
    from trueup.registry import throw_away

    loop, ledger = context.loop, context.ledger
    if loop.keep is None or loop.mode == "observe":
        return None
    day = f"{from_us(to_us(ledger.clock.now())):%Y-%m-%d}"
    if ledger.get(loop.name, SweptRecord, day) is not None:
        return None
    _, state = read(ledger, loop.name)
    if state.paused is not None or state.cycle is not None:
        return None
    last = ledger.decisions(loop.name, kind=KIND, newest=True, limit=1)
    made: list[Decision] = []
    try:
        done = throw_away(ledger, loop.name, loop.keep, before=lambda going: made.extend(_said(context, going, last)))
    except Busy:
        return None  # a backup is being made, or a person prunes: at the next tick
    said = (made or last)[0] if done.folders else None
    ledger.add(loop.name, day, SweptRecord(
        done.bytes, None if said is None else said.id, None if said is None else said.reason
    ))
    return made[0] if made else None


def swept(ledger: Ledger, loop: str) -> SweptRecord | None:
    """The last day of the last thirty on which anything went."""
    return next((one for one in ledger.records(loop, SweptRecord, newest=True, limit=30) if one.decision), None)


def keep_of(ledger: Ledger, loop: str) -> Keep:
    """What the loop's last definition keeps; the default where it says nothing."""
    from trueup.registry import Keep

    found = definition(ledger, loop)
    kept = found[1].get("keep") if found else None
    return Keep() if kept is None else from_json(kept)


def _said(context: Context, going: Pruned, last: list[Decision]) -> list[Decision]:
    """The Decision about what goes; none where nothing does, or the last one names all of it already."""
    loop, ledger = context.loop.name, context.ledger
    told = _names(last[0].evidence) if last else set()
    if not going.folders or _names(going.to_json()) <= told:
        return []
    evidence = {name: part for name, part in going.to_json().items() if name not in ("dry", "kept", "sizes")}
    while True:
        generation, state = read(ledger, loop)
        try:
            return [decide(
                ledger, loop, generation, state, kind=KIND, verdict="NOTE", reason=words(going),
                evidence={**evidence, "keep": to_json(context.loop.keep), "kept": len(going.kept)},
            )]
        except Conflict:
            continue


def words(going: Pruned) -> str:
    """What goes, in a sentence."""
    counts = (
        (len(going.candidates), "model"), (len(going.snapshots), "Snapshot's rows"),
        (sum(name.startswith("work/") for name in going.folders), "work folder"),
    )
    parts = [f"{n:,} {what}{'s' if n > 1 and what[-1] != 's' else ''}" for n, what in counts if n]
    return f"thrown away: {', '.join(parts)} ({going.bytes / 1e6:,.1f} MB): none ever served, and nothing holds it"


def _names(body: dict[str, Any]) -> set[str]:
    return {*body["candidates"], *body["snapshots"], *body["folders"]}
