# SPDX-License-Identifier: Apache-2.0
"""`run`: one look at a loop. It finishes what was begun, moves its release on, and asks whether to train."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.clock import from_us, to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Conflict
from trueup.core.parameters import typed
from trueup.core.values import to_json
from trueup.loop.card import write_card
from trueup.loop.context import Context, Progress
from trueup.loop.cycle import finish
from trueup.loop.lineage import stored
from trueup.loop.look import look
from trueup.loop.observe import last_look, observe
from trueup.loop.receipts import keep_receipts
from trueup.release import Ruling, advance
from trueup.state import decide, read, register

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger


SEAL_ROWS = 250_000
SEAL_AFTER_US = 7 * 86_400_000_000


def run(
    loop: Loop, ledger: Ledger, *, base: Path | None = None, now: bool = False,
    progress: Progress | None = None,
) -> list[Decision]:
    """Do what is due: finish a cycle that was interrupted, advance the release, look, train.

    Safe to kill and to call again at any moment. `now` looks even where the schedule says later. With
    mode="observe" it decides nothing, and adds a report of what it would do.
    Raises Busy, naming the process, where another one is at work on this loop.
    """
    from trueup.store import lock

    with lock(ledger.home, f"run-{loop.name}"):
        context = Context(loop, ledger, base=base, progress=progress)
        if loop.mode == "observe":
            return tick(context, now=now)
        context.pin()
        seen: list[Ruling] = []
        made: list[Decision | None] = [again(install, context), again(finish, context)]
        made.extend(_advance(context, seen))
        if now or look_due(loop, ledger):
            made.append(again(partial(look, ask=now), context))
            made.append(again(finish, context))
            made.extend(_advance(context, seen))
        return _kept(context, made, seen)


def tick(context: Context, *, now: bool = False) -> list[Decision]:
    """`run` without its cycles, for whoever holds the loop's lock and performs them beside it."""
    if context.loop.mode == "observe":
        if now or look_due(context.loop, context.ledger):
            observe(context)
        return []
    context.pin()
    seen: list[Ruling] = []
    made: list[Decision | None] = [again(install, context)]
    made.extend(_advance(context, seen))
    if now or look_due(context.loop, context.ledger):
        made.append(again(partial(look, ask=now), context))
        made.extend(_advance(context, seen))
    return _kept(context, made, seen)


def _kept(context: Context, made: list[Decision | None], seen: list[Ruling]) -> list[Decision]:
    """What was decided, once its receipts and the card of what runs are written, and old events sealed."""
    found = [decision for decision in made if decision is not None]
    keep_receipts(context.ledger, found)
    write_card(context.loop, context.ledger, seen, found)
    _seal(context)
    if any(decision.kind == "look" for decision in found):
        context.ledger.give_back()
    return found


def _seal(context: Context) -> None:
    """Move old events from the journal to history, once there are enough for it to be worth while."""
    ledger = context.ledger
    before = to_us(ledger.clock.now()) - SEAL_AFTER_US
    if ledger.cut() >= SEAL_ROWS:
        context.say("sealing old events", 0, 0)
        ledger.seal(before, min_rows=SEAL_ROWS)


def look_due(loop: Loop, ledger: Ledger) -> bool:
    """Whether a look is due: the schedule has come round since the last one, or there was none."""
    _, state = read(ledger, loop.name)
    if state.paused is not None:
        return False
    looked = last_look(loop, ledger, state)
    if looked is None:
        return True
    return loop.look.due(from_us(looked), ledger.clock.now()) is not None


def again(act: Callable[[Context], Decision | None], context: Context) -> Decision | None:
    """Act; where a person decided at the same moment, theirs stands: read the state, and act again."""
    while True:
        try:
            return act(context)
        except Conflict:
            continue


def _advance(context: Context, seen: list[Ruling]) -> list[Decision]:
    made = []
    for decision in advance(context.ledger, context.terms(), lambda digest: context.under(digest).terms(), seen.append):
        made.append(decision)
        context.say(f"release: {decision.kind}", 0, 0)
    return made


def install(context: Context) -> Decision | None:
    """Make the definition's model the first champion, where there is none yet."""
    loop, ledger = context.loop, context.ledger
    generation, state = read(ledger, loop.name)
    if state.champion is not None or loop.champion is None:
        return None
    found = register(
        ledger, loop.name, stored(context, loop.champion), trainer=to_json(loop.champion, context.base),
        parameters=typed(loop.task.parameters, {}),
    )
    after = state.serve(found.id, to_us(ledger.clock.now()))
    return decide(
        ledger, loop.name, generation, after, kind="install", verdict="PROMOTE", subject=found.id,
        reason="the first champion, named by the loop's definition", evidence={"loop": context.digest},
    )


def request(ledger: Ledger, loop: str, who: str) -> None:
    """Ask for a training at the next look."""
    from trueup.core.events import Event
    from trueup.core.ids import Ids
    from trueup.core.json import dumps

    now = to_us(ledger.clock.now())
    ledger.append([
        Event(Ids(ledger.clock).new(), loop, "signal", now, name="train", extra=dumps({"by": who}))
    ])


