# SPDX-License-Identifier: Apache-2.0
"""Publishing a loop, and listening to what people mark in a registry elsewhere (TRG-08).

Neither is a part of `run`: a registry that is slow or gone holds up no decision.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Busy, Conflict, ModelError, NotFound, Refused, StoreFull, TrueupError
from trueup.core.records import to_plain
from trueup.core.references import Ref
from trueup.core.values import to_json
from trueup.loop.context import Context, Progress
from trueup.loop.pipeline import perform
from trueup.loop.steps import GATES, golden_files
from trueup.registry import Nomination, Published, Publisher, deliver, missed, nominated
from trueup.state import (
    LoopState,
    NominatedRecord,
    NominationRecord,
    candidate,
    decide,
    read,
    register,
)
from trueup.state.steps import GatesInput, Judged

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger


def publish(
    loop: Loop, ledger: Ledger, *, progress: Progress | None = None, force: bool = False, thorough: bool = False,
    dry: bool = False,
) -> list[Published]:
    """Show the loop wherever `Loop(publish=[...])` says; one result a target, in order.

    Raises for nothing that a target does: that is in its result, in `status`, and tried again
    later. `force` asks a target that is left alone after a failure; `thorough` trusts no record of
    what was shown and compares all of it; `dry` changes nothing. A loop that only observes is shown
    nowhere.
    """
    if loop.mode == "observe":
        return []
    return [
        deliver(ledger, loop.name, part, thorough=thorough, dry=dry, force=force, say=progress)
        for part in loop.publish
    ]


def listen(
    loop: Loop, ledger: Ledger, *, base: Path | None = None, progress: Progress | None = None, force: bool = False,
) -> list[Decision]:
    """Take up the models that people have marked for release elsewhere, each once.

    A marked version is brought here, checked (its manifest and digests; formats that are code are
    refused, and nothing is unpickled), passes the loop's gates like any other, and waits for its
    release. Every one ends in a Decision: PASS, or REFUSE and why. While the loop is paused nothing
    is taken up, nor by two processes at once; a target that cannot be reached is tried again later.
    It waits for no run and holds none up: like a person, it decides on the state that it has read.
    A loop that only observes takes up nothing.
    """
    made: list[Decision] = []
    if loop.mode == "observe":
        return made
    for part in loop.publish:
        for found in nominated(ledger, loop.name, part, force=force):
            if ledger.get(loop.name, NominatedRecord, found.key) is None:
                made += _take_up(Context(loop, ledger, base=base, progress=progress), part, found)
    return made


def follow(context: Context) -> None:
    """Listen, then publish: what a service calls after each tick. Raises where a target failed."""
    listen(context.loop, context.ledger, base=context.base)
    if words := unpublished(publish(context.loop, context.ledger)):
        raise TrueupError(words)


def unpublished(shown: list[Published]) -> str | None:
    """What a publishing failed to show, in words; None where it failed nowhere."""
    return "; ".join(f"not published to {one.target}: {one.error}" for one in shown if one.error is not None) or None


def _take_up(context: Context, part: Publisher, found: Nomination) -> list[Decision]:
    from trueup.store import lock

    loop, ledger = context.loop.name, context.ledger
    with suppress(Busy), lock(ledger.home, f"listen-{loop}"):
        _, state = read(ledger, loop)
        if state.paused is not None or ledger.get(loop, NominatedRecord, found.key) is not None:
            return []
        context.pin()
        again = not ledger.add(loop, found.key, NominationRecord(found.words, found.by, dict(found.source), ledger.cut()))
        decision = _decided(ledger, loop, found) if again else None
        if decision is None:
            decision = _judge(context, part, found)
        if decision is None:
            return []
        ledger.add(loop, found.key, NominatedRecord(decision.id, decision.subject))
        return [decision]
    return []


def _decided(ledger: Ledger, loop: str, found: Nomination) -> Decision | None:
    """The Decision about a nomination that was taken up before: a kill may have come after it."""
    for decision in ledger.decisions(loop, newest=True):
        if decision.evidence.get("nomination") == found.key:
            return decision
    return None


class _Later(Exception):
    """The registry cannot be reached: the next look tries again."""


def _judge(context: Context, part: Publisher, found: Nomination) -> Decision | None:
    """Bring it, register it, ask the gates, and decide; None where its registry cannot be reached."""
    evidence: dict[str, Any] = {"nomination": found.key, "source": dict(found.source)}
    ident = None
    try:
        ident = _ours(context, part, found)
        _, state = read(context.ledger, context.loop.name)
        if (there := _on_its_way(ident, state)) is not None:
            return _close(context, found, ident, f"{found.words}, but {ident} {there}", evidence)
        judged = _gates(context, found.key, ident, state)
    except _Later:
        return None
    except (Busy, Conflict, StoreFull):
        raise  # no fault of the model's: it is taken up again at the next look
    except TrueupError as error:
        return _close(context, found, ident, f"{found.words}, but it is refused: {error.message}",
                      {**evidence, "code": error.code, "cure": error.cure})  # fmt: skip
    except Exception as error:  # a gate's own code may raise anything: the loop must live on
        return _close(context, found, ident, f"{found.words}, but {type(error).__name__}: {error}", evidence)
    evidence |= {"candidate": ident, "gates": to_plain(judged.gates), "report": to_plain(judged.report)}
    words = "; ".join(gate.reason for gate in judged.gates if gate.passed is judged.passed)
    if not judged.passed:
        return _close(context, found, ident, f"{found.words}; gates: {words}", evidence)
    words = words or "no gates: fresh traffic will judge it"
    return _close(context, found, ident, f"{found.words}; {words}", evidence, passed=True)


def _on_its_way(ident: str, state: LoopState) -> str | None:
    """Why a candidate needs no start, if it needs none."""
    if ident == state.champion:
        return "serves already"
    if ident == state.waiting:
        return "waits already"
    return "is being released already" if state.release and ident == state.release.candidate else None


def _ours(context: Context, part: Publisher, found: Nomination) -> str:
    """The candidate's id: one of ours, or one made of what lies in the registry."""
    ledger, loop = context.ledger, context.loop.name
    if found.candidate is not None:
        with suppress(NotFound):  # pruned here, or a tag that somebody wrote: what lies there counts
            known = candidate(ledger, loop, found.candidate)
            ledger.artifacts.path(known.model)
            return known.id
    model = _stored(context, part, found)
    _, state = read(ledger, loop)
    return register(ledger, loop, model, parent=state.champion, facts={"imported": dict(found.source), **_base(ledger, model)}).id


def _base(ledger: Ledger, model: Ref) -> dict[str, Any]:
    """The digests of an adapter's base, as a training of ours would tell them: it is kept with the adapter."""
    from trueup.models import read_manifest
    from trueup.models.adapter import base_of

    manifest = read_manifest(ledger.artifacts.path(model))
    return {} if manifest.format != "adapter" else dict(zip(("base", "base_tree"), base_of(manifest), strict=True))


def _stored(context: Context, part: Publisher, found: Nomination) -> Ref:
    """The model's folder in the artifacts: only what its manifest names, and read as data once."""
    from trueup.models import checked_data, load

    ledger = context.ledger
    folder = ledger.home / "work" / f"nominated-{found.key}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        try:
            there = part.fetch(found, ledger, folder / "there")
        except (Refused, ModelError):
            raise
        except Exception as error:
            missed(ledger, context.loop.name, part, error)
            raise _Later from error
        manifest = checked_data(there, folder / "clean")
        if manifest.answers != context.loop.task.answers:
            raise ModelError(f"expected a model that answers {context.loop.task.answers}, got {manifest.answers}")
        made = ledger.artifacts.put_tree(folder / "clean")
        load(ledger.artifacts.path(made))
        return made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _gates(context: Context, key: str, ident: str, state: LoopState) -> Judged:
    """The loop's gates on a candidate, as a recorded step of its own run."""
    ledger, loop = context.ledger, context.loop
    begun = ledger.get(loop.name, NominationRecord, key)
    assert begun is not None
    found = candidate(ledger, loop.name, ident)
    if loop.gates and state.champion and found.parameters != candidate(ledger, loop.name, state.champion).parameters:
        for one in (ident, state.champion):  # gates would compare answers without what tells the two apart
            context.predictor(one)
    return perform(context, key, GATES, GatesInput(
        found.model, state.champion, begun.cut, begun.at, golden=golden_files(context),
        gates=to_json(loop.gates, context.base), parameters=found.parameters,
    ), Judged)


def _close(
    context: Context, found: Nomination, ident: str | None, reason: str, evidence: dict[str, Any], *,
    passed: bool = False,
) -> Decision:
    """Refuse it; or let it wait for its release, in the place of one that waits and has not begun."""
    ledger, loop = context.ledger, context.loop.name
    while True:
        generation, state = read(ledger, loop)
        kind, verdict, after = "stop", "REFUSE", state
        words, told = reason, dict(evidence)
        if passed and state.champion is None and ident is not None:
            after = state.serve(ident, to_us(ledger.clock.now()))
            kind, verdict = "install", "PROMOTE"
            words += "; the first champion: there was none to compare it with"
        elif passed:
            after = replace(state, waiting=ident)
            kind, verdict = "candidate", "PASS"
            if state.waiting is not None:
                words += f"; it supersedes {state.waiting}, which had not begun"
                told["superseded"] = state.waiting
        try:
            return decide(
                ledger, loop, generation, after, kind=kind, verdict=verdict, reason=words,  # type: ignore[arg-type]
                subject=ident, actor=found.by, evidence=told,
            )
        except Conflict:
            continue
