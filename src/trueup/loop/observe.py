# SPDX-License-Identifier: Apache-2.0
"""Observe: what the loop would do, as a report, and nothing else (TRU-12).

A look in this mode reads the ledger and adds one record of kind "report". It appends no Decision,
pins no definition, trains nothing and moves no release; requests and labels come in as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.core.errors import Refused
from trueup.core.json import digest
from trueup.core.values import to_json
from trueup.loop.context import Context, plain
from trueup.loop.plan import plan
from trueup.release import LoopState, read

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.loop.plan import Plan
    from trueup.store import Ledger

KIND = "report"


def observe(context: Context) -> dict[str, Any]:
    """Look, and report what would be done. Raises Refused while users are in a running canary, whose
    guardrails nobody would watch."""
    loop, ledger = context.loop, context.ledger
    _, state = read(ledger, loop.name)
    if state.release is not None and state.release.guard is not None:
        raise Refused(
            f"expected no users in a release while {loop.name} only observes, got {state.release.candidate} serving some: "
            "nobody would watch its guardrails",
            cure=f"trueup reject {state.release.candidate} -m \"observing from now on\", or keep the mode until it ends",
        )
    context.say("observe", 0, 0)
    seen = plan(loop, ledger)
    now, cut = to_us(seen.at), ledger.cut()
    ident = f"o-{digest([loop.name, context.digest, cut, now])[:16]}"
    body = {
        **seen.to_json(), "now": now, "cut": cut, "definition": context.digest, "would": would(context, seen, state),
        "recipe": to_json(loop.recipe, context.base), "trainer": to_json(loop.trainer, context.base),
    }
    ledger.put(loop.name, KIND, ident, body)
    return {**body, "id": ident}


def last_report(ledger: Ledger, loop: str, state: LoopState) -> dict[str, Any] | None:
    """The last report, where the loop has done nothing since: what `status` shows of a loop that observes."""
    found = ledger.records(loop, KIND, newest=True, limit=1)
    return found[0] if found and found[0]["now"] > (state.looked or 0) else None


def last_look(loop: Loop, ledger: Ledger, state: LoopState) -> int | None:
    """When this loop looked last: a look that only observed is a report."""
    report = last_report(ledger, loop.name, state) if loop.mode == "observe" else None
    return state.looked if report is None else int(report["now"])


def would(context: Context, seen: Plan, state: LoopState) -> list[str]:
    """What a loop that acts would do at this look, in order."""
    loop, made = context.loop, []
    if state.paused is not None:
        return [f"nothing: it is paused ({state.paused})"]
    if state.champion is None and loop.champion is not None:
        made.append(f"install the definition's {plain(loop.champion)} model as the first champion")
    if state.cycle is not None:
        made.append(f"go on with training {state.cycle['id']}")
    if state.release is not None:
        made.append(f"move the release of {state.release.candidate} on")
    elif state.waiting is not None:
        made.append(f"begin the release of {state.waiting}")
    if not seen.trains:
        return [*made, f"not train: {seen.look.reason}"]
    window = loop.recipe.window
    rows = f"{seen.rows:,} labelled rows, {seen.new_rows:,} of them new"
    if window is not None:
        rows += f", from {from_us(to_us(seen.at - window)):%Y-%m-%d} on"
    made.append(f"train {plain(loop.trainer)} on {rows}: {seen.look.reason}")
    if seen.rows < seen.min_rows:
        made.append(f"stop there: a training takes at least {seen.min_rows:,} rows")
    elif loop.gates:
        made.append(f"ask {len(loop.gates)} gates, then begin a release")
    return made
