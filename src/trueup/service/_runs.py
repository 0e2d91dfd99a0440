# SPDX-License-Identifier: Apache-2.0
"""Runs by name: each cycle that a look began, how far it is, how it ended; and giving one up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from trueup.core.decisions import Decision
from trueup.core.errors import NotFound, Refused
from trueup.loop.cycle import understood
from trueup.release import whoami
from trueup.service.board import service
from trueup.state import Cycle, LoopState, RetryRecord, StepRecord, decide, read

if TYPE_CHECKING:
    from trueup.store import Ledger


@dataclass(frozen=True, slots=True)
class Run:
    """A cycle: `state` is running, held (its loop is paused), unfinished (nothing is at work on it),
    stranded (another version of the pipeline began it, and this one cannot finish it), passed,
    refused, or abandoned. Times are microseconds since 1970."""

    id: str
    loop: str
    state: str
    reason: str
    began: int
    ended: int | None = None
    pipeline: int = 1
    candidate: str | None = None
    decision: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RunSteps:
    """A run, the steps that are recorded of it, and the tries that failed."""

    run: Run
    steps: tuple[StepRecord, ...]
    retries: tuple[RetryRecord, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.run.to_json(),
            "steps": [{"step": one.step, "at": one.at, "seconds": one.seconds} for one in self.steps],
            "retries": [{"step": one.step, "reason": one.reason, "waits": one.waits} for one in self.retries],
        }


def runs(ledger: Ledger, loop: str, *, last: int = 20) -> list[Run]:
    """The last runs of a loop, the newest first."""
    _, state = read(ledger, loop)
    ends: dict[str, Decision] = {}
    found: list[Run] = []
    for decision in ledger.decisions(loop, newest=True):
        ended = decision.evidence.get("cycle")
        if isinstance(ended, str):
            ends.setdefault(ended, decision)
        if decision.kind != "look" or decision.verdict != "TRAIN":
            continue
        cycle = LoopState.from_json(decision.state).cycle
        if cycle is not None:
            found.append(_run(ledger, state, cycle, decision, ends.get(cycle.id)))
            if len(found) == last:
                break
    return found


def steps_of(ledger: Ledger, ident: str, loop: str | None = None) -> RunSteps:
    """A run by its id or the beginning of it, with its steps; raises NotFound."""
    run = find(ledger, ident, loop)
    return RunSteps(
        run, tuple(one for one in ledger.records(run.loop, StepRecord) if one.run == run.id),
        tuple(one for one in ledger.records(run.loop, RetryRecord) if one.run == run.id),
    )


def find(ledger: Ledger, ident: str, loop: str | None = None) -> Run:
    """The run with this id, or the beginning of one."""
    for name in [loop] if loop else ledger.loops():
        for run in runs(ledger, name, last=100_000):
            if run.id.startswith(ident):
                return run
    raise NotFound(f"expected the id of a run, got {ident!r}", cure="trueup runs lists them")


def abandon(
    ledger: Ledger, ident: str, *, reason: str, loop: str | None = None, who: str | None = None
) -> Decision:
    """Give up an unfinished run: its rows stay new, and the alarm that began it unanswered.

    Raises NotFound, or Refused for one that has ended.
    """
    run = find(ledger, ident, loop)
    generation, state = read(ledger, run.loop)
    if state.cycle is None or state.cycle.id != run.id:
        raise Refused(f"expected an unfinished run, got {run.id}, which has ended: {run.reason}")
    return decide(
        ledger, run.loop, generation, state.without_cycle(), kind="abandon", verdict="REFUSE", reason=reason,
        actor=who or whoami(), evidence={"cycle": run.id, "step": "abandon"},
    )


def _run(
    ledger: Ledger, state: LoopState, cycle: Cycle, began: Decision, ended: Decision | None
) -> Run:
    words, why = _state(ledger, state, cycle, began.loop) if ended is None else _ending(ended)
    return Run(
        cycle.id, began.loop, words, why, began.at, None if ended is None else ended.at,
        cycle.pipeline, None if ended is None else ended.evidence.get("candidate"),
        None if ended is None else ended.id,
    )


def _ending(ended: Decision) -> tuple[str, str]:
    words = {"candidate": "passed", "install": "passed", "abandon": "abandoned"}.get(ended.kind, "refused")
    return words, ended.reason


def _state(ledger: Ledger, state: LoopState, cycle: Cycle, loop: str) -> tuple[str, str]:
    try:
        understood(cycle)
    except Refused as error:
        return "stranded", f"{error.message}; {error.cure}"
    if state.paused is not None:
        return "held", f"paused: {state.paused}"
    holds = service(ledger.home)
    at = (holds or {}).get("loops", {}).get(loop, {}).get("doing")
    if holds is not None and at:
        return "running", f"{at['what']} since {at['since'][11:19]} UTC, by process {holds.get('pid', '?')}"
    return "unfinished", "trueup up, or trueup run, goes on with it"
