# SPDX-License-Identifier: Apache-2.0
"""`tick`: one pass over a loop. It finishes what was begun, moves the release on, and asks whether to train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.clock import from_us, to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Conflict
from trueup.core.parameters import typed
from trueup.core.values import to_json
from trueup.loop.card import write_card
from trueup.loop.cycle import finish
from trueup.loop.lineage import stored
from trueup.loop.look import look
from trueup.loop.observe import last_look, observe
from trueup.loop.pipeline import Drive, follow
from trueup.loop.receipts import keep_receipts
from trueup.release import Ruling, advance
from trueup.state import Cycle, LoopState, Report, decide, read, register

if TYPE_CHECKING:
    from trueup.loop.context import Context
    from trueup.loop.definition import Loop
    from trueup.store import Ledger

SEAL_ROWS = 250_000
SEAL_AFTER_US = 7 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick of a loop did, and what comes next.

    `at` is its moment by the ledger's clock, `decisions` what was decided in order, and `rulings` what
    was ruled of the running release, including rulings that say wait. `looked` is whether a look was
    made, and `report` what a loop that only observes reported there. `next_look` is None while the loop
    is paused or its cycle is unfinished, and `cycle` that cycle. `receipts` are the files of promotions.
    """

    loop: str
    at: datetime
    decisions: tuple[Decision, ...] = ()
    rulings: tuple[Ruling, ...] = ()
    looked: bool = False
    next_look: datetime | None = None
    cycle: Cycle | None = None
    paused: str | None = None
    report: Report | None = None
    receipts: tuple[Path, ...] = ()


def tick(context: Context, *, now: bool = False, drive: Drive | None = follow, held: bool = False) -> Tick:
    """Do what is due: finish an interrupted cycle, advance the release, look, train.

    Safe to kill and to call again at any moment. `now` looks even where the schedule says later.
    `drive` performs the loop's cycle here and now, or on an engine; None leaves it to the caller, who
    finds it in `Tick.cycle`. `held` says that the caller holds the loop's lock already. With
    mode="observe" it decides nothing, and adds a report of what it would do. Raises Busy, naming the
    process, where another one is at work on this loop.
    """
    from trueup.store import lock

    loop, ledger = context.loop, context.ledger
    with nullcontext() if held else lock(ledger.home, f"run-{loop.name}"):
        if loop.mode == "observe":
            looked = now or look_due(loop, ledger)
            return _tick(context, [], [], looked, observe(context) if looked else None)
        context.pin()
        seen: list[Ruling] = []
        made = [*_acted(install, context), *_finished(context, drive), *_advanced(context, seen)]
        looked = now or look_due(loop, ledger)
        if looked:
            made += _acted(partial(look, ask=now), context)
            made += _finished(context, drive)
            made += _advanced(context, seen)
        return _tick(context, made, seen, looked)


def _tick(
    context: Context, made: list[Decision], seen: list[Ruling], looked: bool, report: Report | None = None
) -> Tick:
    """What was done, once receipts and the card of what runs are written, and old events sealed."""
    loop, ledger = context.loop, context.ledger
    receipts: list[Path] = []
    if loop.mode != "observe":
        receipts = keep_receipts(ledger, made)
        write_card(loop, ledger, seen, made)
        _seal(context)
        if any(decision.kind == "look" for decision in made):
            ledger.give_back()
    _, state = read(ledger, loop.name)
    waits = state.paused is not None or (state.cycle is not None and loop.mode != "observe")
    return Tick(
        loop.name, ledger.clock.now(), tuple(made), tuple(seen), looked, None if waits else _next_look(loop, ledger, state),
        state.cycle, state.paused, report, tuple(receipts),
    )


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
    return looked is None or loop.look.due(from_us(looked), ledger.clock.now()) is not None


def _next_look(loop: Loop, ledger: Ledger, state: LoopState) -> datetime:
    """When the schedule asks for the next look: now, where none was made yet."""
    looked = last_look(loop, ledger, state)
    return ledger.clock.now() if looked is None else loop.look.next(from_us(looked))


def again(act: Callable[[Context], Decision | None], context: Context) -> Decision | None:
    """Act; where a person decided at the same moment, theirs stands: read the state, and act again."""
    while True:
        try:
            return act(context)
        except Conflict:
            continue


def _acted(act: Callable[[Context], Decision | None], context: Context) -> list[Decision]:
    made = again(act, context)
    return [] if made is None else [made]


def _finished(context: Context, drive: Drive | None) -> list[Decision]:
    return [] if drive is None else _acted(partial(finish, drive=drive), context)


def _advanced(context: Context, seen: list[Ruling]) -> Iterator[Decision]:
    for decision in advance(context.ledger, context.terms(), lambda digest: context.under(digest).terms(), seen.append):
        yield decision
        context.say(f"release: {decision.kind}", 0, 0)


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
