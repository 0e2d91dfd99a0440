# SPDX-License-Identifier: Apache-2.0
"""One cycle, from "train" to a candidate that waits or a refusal that says why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.core.errors import Busy, Conflict, Refused, StoreFull, full, of_disk
from trueup.core.protocols import TrainJob
from trueup.core.records import from_plain, to_plain
from trueup.core.values import to_json
from trueup.loop.context import Context
from trueup.loop.costs import pay
from trueup.loop.lineage import anew, said
from trueup.loop.pipeline import Drive, Pipeline, Step, Stopped, broken, follow, perform, typed
from trueup.loop.steps import GATES, REGISTER, SNAPSHOT, START, TRAIN, golden_files
from trueup.state import decide, read
from trueup.state.cycle import Cycle
from trueup.state.steps import (
    Built,
    CycleResult,
    GatesInput,
    Judged,
    Registered,
    RegisterInput,
    SnapshotInput,
    Start,
    StartInput,
    Trained,
    TrainInput,
)

CYCLE = Pipeline("cycle", 2, (
    Step("snapshot", "trueup.loop.cycle:build"),
    Step("train", "trueup.loop.cycle:train", ("snapshot",), resources={"cpu": 1}),
    Step("gates", "trueup.loop.cycle:judge", ("snapshot", "train"), retries=2, delay=60.0),
    Step("register", "trueup.loop.cycle:enlist", ("snapshot", "train", "gates"), retries=2, delay=60.0),
), finishes=(1,))
"""A training retries within its loop's budget; the other stages where a connection was lost.

Version 2 says where a training starts, before the Snapshot is built; a run of version 1 is begun
anew from its recorded steps."""


def finish(context: Context, drive: Drive = follow) -> Decision | None:
    """Run, or go on with, the cycle that the loop's state names, under the definition that it began
    with; None where there is none, or the loop is paused.

    `drive` performs its pipeline: here and now, or on an engine. Raises Refused for a cycle that
    another version of the pipeline began and this one cannot finish.
    """
    _, state = read(context.ledger, context.loop.name)
    cycle = state.cycle
    if cycle is None or state.paused is not None or context.loop.mode == "observe":
        return None
    began = understood(cycle)
    try:
        made = drive(context.under(cycle.loop), CYCLE, to_plain(cycle))
    except (Busy, Conflict, StoreFull):
        raise  # no fault of the cycle's: it goes on at the next run
    except OSError as error:
        if full(error):
            raise of_disk(error) from error
        made = broken(error)
    except Exception as error:  # a definition that cannot be read any more, an engine that failed
        made = broken(error)
    older = {} if began == CYCLE.version else {"pipeline": {"began": began, "finished": CYCLE.version}}
    if made.get("stopped"):
        stop = made["stopped"]
        return _close(context, cycle.id, stop["step"], stop["reason"], {**stop["evidence"], **older})
    return _hand_over(context, cycle.id, from_plain(CycleResult, made), older)


def understood(cycle: Cycle) -> int:
    """The version of the pipeline that began a cycle; raises Refused where this one cannot finish it."""
    if cycle.pipeline != CYCLE.version and cycle.pipeline not in CYCLE.finishes:
        raise Refused(
            f"expected a run of pipeline {CYCLE.version}, got {cycle.id}, which pipeline {cycle.pipeline} began",
            cure=f"install the Trueup that began it, or: trueup runs abandon {cycle.id} --reason '...'",
        )
    return cycle.pipeline


@dataclass(frozen=True, slots=True)
class BuildInput:
    """What the stage that builds the Snapshot gets: the run is the cycle."""

    run: Cycle


@dataclass(frozen=True, slots=True)
class TrainingInput:
    """What the training's stage gets."""

    run: Cycle
    snapshot: Built


@dataclass(frozen=True, slots=True)
class JudgeInput:
    """What the gates' stage gets."""

    run: Cycle
    snapshot: Built
    train: Trained


@dataclass(frozen=True, slots=True)
class EnlistInput:
    """What the registration's stage gets."""

    run: Cycle
    snapshot: Built
    train: Trained
    gates: Judged


@typed(BuildInput)
def build(context: Context, given: BuildInput) -> Built:
    """The stage that builds the Snapshot, or says why there is none."""
    from trueup.train import goes_on, refuse

    loop, cycle = context.loop, given.run
    refuse(loop.trainer, loop.task.answers, stateful=goes_on(loop.trainer), weights=False)
    _, state = read(context.ledger, loop.name)
    trainer = to_json(loop.trainer, context.base)
    start = perform(context, cycle.id, START, StartInput(state.champion, cycle.now, trainer), Start)
    asked = SnapshotInput(cycle.cut, cycle.now, to_json(loop.recipe, context.base), golden_files(context))
    rows = start.rows
    after = replace(asked, after=rows.after, parents=rows.parents, labels=rows.labels)
    built = perform(context, cycle.id, SNAPSHOT, after, Built)
    if built.unknown:  # a step that pipeline 1 recorded looked for none
        start = anew(start, f"labels that the champion does not know: {', '.join(built.unknown[:5])}", cycle.now)
        built = perform(context, cycle.id, SNAPSHOT, asked, Built)
    if built.refusal:
        raise Stopped("snapshot", built.refusal, {"funnel": built.funnel, "start": said(start)})
    return replace(built, start=start)


@typed(TrainingInput)
def train(context: Context, given: TrainingInput) -> Trained:
    """The stage that trains on the Snapshot."""
    loop, cycle, built, start = context.loop, given.run, given.snapshot, given.snapshot.beginning
    assert built.data is not None
    job = TrainJob(
        loop=loop.name, trainer=to_json(loop.trainer, context.base), data=built.data,
        output=loop.task.answers, seed=loop.seed, budget=loop.budget,
        init=None if start is None else start.init, base=None if start is None else start.base,
    )
    trained = perform(context, cycle.id, TRAIN, TrainInput(job.to_json()), Trained)
    pay(context, cycle.id, trained)
    if trained.model is None:
        raise Stopped("train", trained.reason, {"attempts": trained.attempts, "snapshot": built.snapshot})
    return trained


@typed(JudgeInput)
def judge(context: Context, given: JudgeInput) -> Judged:
    """The stage that asks the gates, against whoever is champion by now."""
    cycle, trained = given.run, given.train
    assert trained.model is not None
    _, state = read(context.ledger, context.loop.name)
    judged = perform(context, cycle.id, GATES, GatesInput(
        trained.model, state.champion, cycle.cut, cycle.now, given.snapshot.snapshot, golden_files(context),
        to_json(context.loop.gates, context.base), trained.metrics,
    ), Judged)
    return replace(judged, champion=state.champion)


@typed(EnlistInput)
def enlist(context: Context, given: EnlistInput) -> CycleResult:
    """The stage that registers the candidate; one that failed a gate is kept, and goes no further."""
    from trueup.train.code import of

    loop, built, trained, judged = context.loop, given.snapshot, given.train, given.gates
    assert trained.model is not None
    assert judged.champion is not UNSET
    start = said(built.beginning)
    made = perform(context, given.run.id, REGISTER, RegisterInput(
        trained.model, built.snapshot, judged.champion, to_json(loop.trainer, context.base), of(type(loop.trainer)),
        trained.metrics, {**trained.facts, "seconds": trained.seconds, "start": start},
    ), Registered)
    assert made.candidate is not None
    found = CycleResult(made.candidate, built.snapshot, built.funnel, judged.gates, judged.report, start)
    if not judged.passed:
        failed = "; ".join(gate.reason for gate in judged.gates if not gate.passed)
        raise Stopped("gates", failed, to_plain(found))
    return found


def _close(
    context: Context, cycle: str, step: str, reason: str, evidence: dict[str, Any]
) -> Decision | None:
    """The cycle ends without a candidate. Where no gate was reached its rows stay new, and the alarm
    that began it unanswered. None where somebody has ended it meanwhile."""
    generation, state = read(context.ledger, context.loop.name)
    if state.cycle is None or state.cycle.id != cycle:
        return None
    after = replace(state, cycle=None) if step == "gates" else state.without_cycle()
    return decide(
        context.ledger, context.loop.name, generation, after,
        kind="stop", verdict="REFUSE", reason=f"{step}: {reason}", subject=evidence.get("candidate"),
        evidence={"cycle": cycle, "step": step, **evidence},
    )


def _hand_over(context: Context, cycle: str, result: CycleResult, older: dict[str, Any]) -> Decision | None:
    """The candidate waits for its release; the first one ever, without a champion, serves at once."""
    generation, state = read(context.ledger, context.loop.name)
    if state.cycle is None or state.cycle.id != cycle:
        return None
    ident, evidence = result.candidate, {"cycle": cycle, **to_plain(result), **older}
    now = to_us(context.ledger.clock.now())
    if state.champion is None and context.loop.mode != "propose":
        after = replace(state.serve(ident, now), cycle=None)
        kind, verdict, reason = "install", "PROMOTE", "the first champion: there was none to compare it with"
    elif ident == state.champion:
        after = replace(state, cycle=None)
        kind, verdict, reason = "stop", "REFUSE", "training gave the champion again: nothing to release"
    else:
        after = replace(state, cycle=None, waiting=ident, proposal=None)
        kind, verdict, reason = "candidate", "PASS", _passed(result)
        if state.waiting is not None:
            reason += f"; it supersedes {state.waiting}, which had not begun"
            evidence["superseded"] = state.waiting
    return decide(
        context.ledger, context.loop.name, generation, after, kind=kind, verdict=verdict,  # type: ignore[arg-type]
        reason=reason, subject=ident, evidence=evidence,
    )


def _passed(result: CycleResult) -> str:
    words = "; ".join(gate.reason for gate in result.gates) or "no gates: fresh traffic will judge it"
    start = result.start or {}
    return f"{words}; trained {start['mode']}: {start['reason']}" if start.get("parent") or start.get("forced") else words
