# SPDX-License-Identifier: Apache-2.0
"""Observe: what the loop would do, as a report, and nothing else (TRU-12).

A look in this mode reads the ledger and adds one record of kind "report". It appends no Decision,
pins no definition, trains nothing and moves no release; requests and labels come in as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.core.json import digest
from trueup.core.records import from_plain
from trueup.core.values import to_json
from trueup.loop.context import Context, plain
from trueup.state import LoopState, Report, read

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.loop.plan import Plan
    from trueup.store import Ledger

KIND = "report"


def observe(context: Context) -> Report:
    """Look, and report what would be done, with the dataset that would be made. A running release stands
    as it is; where users are in it, the report says that nobody watches its guardrails (`unwatched`)."""
    from trueup.loop.plan import plan

    loop, ledger = context.loop, context.ledger
    generation, state = read(ledger, loop.name)
    context.say("observe", 0, 0)
    seen = plan(loop, ledger)
    now, cut = to_us(seen.at), ledger.cut()
    ident = f"o-{digest([loop.name, context.digest, generation, cut, now])[:16]}"
    body = {
        **seen.to_json(), "now": now, "cut": cut, "definition": context.digest, "would": would(context, seen, state),
        "unwatched": state.release.candidate if state.release is not None and _serves(state) else None,
        "dataset": _dataset(context, state, cut, now) if seen.trains else None,
        "recipe": to_json(loop.recipe, context.base), "trainer": to_json(loop.trainer, context.base),
    }
    report = from_plain(Report, {**body, "id": ident})
    ledger.add(loop.name, ident, report)
    return report


def _serves(state: LoopState) -> bool:
    """Whether users are in the running release."""
    return state.release is not None and state.release.guard is not None and state.paused is None


def _dataset(context: Context, state: LoopState, cut: int, now: int) -> dict[str, Any] | None:
    """What the training's dataset would be, rows by step, without making it: {"funnel", "refusal"}; None
    where a teacher would have to be asked."""
    from trueup.core.errors import TrueupError
    from trueup.data import preview, teaches
    from trueup.loop.fits import fit_of
    from trueup.loop.lineage import expected
    from trueup.loop.steps import items_of

    loop, ledger = context.loop, context.ledger
    if teaches(loop.recipe) or any(getattr(one, "teacher", None) is not None for one in loop.golden()):
        return None
    try:
        found = preview(
            loop.recipe, ledger, loop=loop.name, target=loop.label.name, cut=cut, now_us=now, seed=loop.seed,
            golden=[items_of(context, one, cut, now) for one in loop.golden()], after=expected(context, state.champion, now),
            fit=fit_of(loop),
        )
    except TrueupError as error:  # a report says what there is to say, whatever the rows are like
        return {"funnel": [], "refusal": error.message}
    return {"funnel": found.funnel.to_json(), "refusal": found.refusal}


def last_report(ledger: Ledger, loop: str, state: LoopState) -> dict[str, Any] | None:
    """The last report, where the loop has done nothing since: what `status` shows of a loop that observes."""
    found = ledger.records(loop, KIND, newest=True, limit=1)
    return found[0] if found and found[0]["now"] > (state.looked or 0) else None


def last_look(loop: Loop, ledger: Ledger, state: LoopState) -> int | None:
    """When this loop looked last: a look that only observed is a report."""
    report = last_report(ledger, loop.name, state) if loop.mode == "observe" else None
    return state.looked if report is None else int(report["now"])


def report_lines(report: dict[str, Any]) -> list[str]:
    """A report for people: what would be done, and the rows of the dataset by step."""
    from trueup.data import Funnel

    lines = [f"  {words}" for words in report["would"]]
    dataset = report.get("dataset")
    if dataset is not None:
        lines += ["its dataset would be", *(f"  {line}" for line in Funnel.from_json(dataset["funnel"]).lines())]
        if dataset["refusal"]:
            lines.append(f"  none: {dataset['refusal']}")
    return lines


def would(context: Context, seen: Plan, state: LoopState) -> list[str]:
    """What a loop that acts would do at this look, in order."""
    loop, made = context.loop, []
    if state.paused is not None:
        return [f"nothing: it is paused ({state.paused})"]
    if state.champion is None and loop.champion is not None:
        made.append(f"install the definition's {plain(loop.champion)} model as the first champion")
    if state.cycle is not None:
        made.append(f"go on with training {state.cycle.id}")
    if state.release is not None:
        left = (
            "; observing, it leaves it as it stands: it goes on serving a part of the users, and nobody watches its guardrails "
            f"(trueup reject {state.release.candidate} ends it)"
        )
        made.append(f"move the release of {state.release.candidate} on{left if _serves(state) else ''}")
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
