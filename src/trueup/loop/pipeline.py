# SPDX-License-Identifier: Apache-2.0
"""Pipelines and their steps: named functions, JSON in and JSON out, recorded once (ORC-07).

A step runs at least once and has at most one recorded result: its key is the run, its name and the
digest of its input, and the first record stands. A run that was killed goes on after the last
recorded step. `Step.function` is `package.module:function`, so that an engine can call it too, with
a Context that opens anywhere (`Context.open`). `typed` makes one of a function over dataclasses.
Conditions are data in a result, never branches of the engine: a stage that finds that an earlier
one has ended the run hands that on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeAlias, TypeVar, overload

from trueup.core.errors import (
    Busy,
    Conflict,
    StoreError,
    TrainingRetryable,
    TrueupError,
    full,
    of_disk,
)
from trueup.core.json import digest
from trueup.core.records import from_plain, to_plain
from trueup.core.values import resolve
from trueup.loop.context import Context
from trueup.state.steps import RetryRecord, StepRecord

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
_AGAIN = (TrainingRetryable, ConnectionError, TimeoutError)
"""What another try may cure, whatever the step; what a step's own room knows to be so is its own affair."""

StepFunction: TypeAlias = Callable[[Context, Mapping[str, Any]], dict[str, Any]]
"""What a step performs: JSON in and JSON out, so that any engine can call it by name."""


def typed(given: type[I]) -> Callable[[Callable[[Context, I], object]], StepFunction]:
    """Make a StepFunction of a function that takes a dataclass and gives one: both are JSON at its border.

    Raises DataError where the input is not what the dataclass says.
    """

    def wrap(function: Callable[[Context, I], object]) -> StepFunction:
        @wraps(function)
        def call(context: Context, data: Mapping[str, Any]) -> dict[str, Any]:
            output: dict[str, Any] = to_plain(function(context, from_plain(given, data)))
            return output

        return call

    return wrap


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline.

    `needs` names the steps whose outputs it gets. Where it fails in a way that may pass (a lost
    connection, a time-out, TrainingRetryable) it is tried `retries` more times, the first after
    `delay` seconds and then after `backoff` times as many; the waits are recorded, so that a kill
    does not shorten them. `seconds` limits each try: it ends at the next place where the step says
    how far it is (None: no limit; a training has its loop's budget). `resources` is what an engine
    should set aside for it ({"cpu": 1, "gpu": 0, "megabytes": 4096}).
    """

    name: str
    function: str
    needs: tuple[str, ...] = ()
    retries: int = 0
    delay: float = 300.0
    backoff: float = 2.0
    seconds: float | None = None
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Steps in an order in which each comes after what it needs.

    `version` changes with the steps; `finishes` names the older versions whose runs these steps can
    finish.
    """

    name: str
    version: int
    steps: tuple[Step, ...]
    finishes: tuple[int, ...] = ()

    def inputs(self, step: Step, run: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What a step gets: the run's own data, and the outputs that it needs."""
        return {"run": dict(run), **{name: outputs[name] for name in step.needs}}


class Stopped(Exception):
    """A run ends without a result, for a reason that people should read."""

    def __init__(self, step: str, reason: str, evidence: dict[str, Any]) -> None:
        super().__init__(reason)
        self.step, self.reason, self.evidence = step, reason, evidence


def ended(step: str, reason: str, evidence: dict[str, Any]) -> dict[str, Any]:
    """The output of a stage that ends its run."""
    return {"stopped": {"step": step, "reason": reason, "evidence": evidence}}


def broken(error: Exception) -> dict[str, Any]:
    """The output of a stage that raised."""
    if isinstance(error, TrueupError):
        return ended("cycle", error.message, {"code": error.code, "cure": error.cure})
    return ended("cycle", f"{type(error).__name__}: {error}", {})


Drive: TypeAlias = Callable[[Context, Pipeline, Mapping[str, Any]], dict[str, Any]]
"""Performs a pipeline for a run ({"id", ...}) to its end, and gives its last step's output."""


def follow(context: Context, pipeline: Pipeline, run: Mapping[str, Any]) -> dict[str, Any]:
    """Perform a pipeline here and now, step after step."""
    outputs: dict[str, Any] = {}
    for step in pipeline.steps:
        outputs[step.name] = attempt(context, run["id"], step, pipeline.inputs(step, run, outputs))
    last: dict[str, Any] = outputs[pipeline.steps[-1].name]
    return last


def attempt(context: Context, run: str, step: Step, data: dict[str, Any]) -> dict[str, Any]:
    """The output of a stage of a run, within its limits, tried again where that may help.

    What it raises, other than that the ledger is busy or full, is a result: {"stopped": ...}. What
    a stage finds is recorded by the steps that it performs; itself it is cheap to repeat.
    """
    for earlier in data.values():
        if isinstance(earlier, dict) and earlier.get("stopped"):
            return {"stopped": earlier["stopped"]}
    function: StepFunction = resolve(step.function)
    while True:
        tried = _waited(context, run, step)
        try:
            return function(context.within(step.seconds), data)
        except Stopped as stop:
            return ended(stop.step, stop.reason, stop.evidence)
        except (Busy, Conflict, StoreError):
            raise  # no fault of the step's: it goes on at the next run
        except Exception as error:  # a part's own code may raise anything: the loop must live on
            if isinstance(error, OSError) and full(error):
                raise of_disk(error) from error  # room may be made: neither a result nor a try
            if not isinstance(error, _AGAIN) or tried >= step.retries:
                return broken(error)
            wait = step.delay * step.backoff**tried
            context.ledger.add(context.loop.name, f"{run}/{step.name}/{tried + 1}", RetryRecord(
                run, step.name, f"{type(error).__name__}: {error}", wait, time.time() + wait,
            ))


def _waited(context: Context, run: str, step: Step) -> int:
    """How often a stage has failed so far; what is left of the wait before its next try is over."""
    tried, last = 0, None
    while tried < step.retries:
        found = context.ledger.get(context.loop.name, RetryRecord, f"{run}/{step.name}/{tried + 1}")
        if found is None:
            break
        tried, last = tried + 1, found
    if last is not None:
        left = min(last.waits, last.again - time.time())
        if left > 0:
            context.wait(step.name, left)
    return tried


@overload
def perform(context: Context, run: str, step: Step, data: object) -> dict[str, Any]: ...
@overload
def perform(context: Context, run: str, step: Step, data: object, output: type[O]) -> O: ...
def perform(context: Context, run: str, step: Step, data: object, output: Any = dict) -> Any:
    """The recorded output of this step on this input, computed now if it is not there yet.

    `data` is JSON, or a dataclass that is written as JSON; the output is read as one where `output` is given.
    """
    ledger, loop, plain = context.ledger, context.loop.name, to_plain(data)
    key = f"{run}/{step.name}/{digest(plain)[:16]}"
    done = ledger.get(loop, StepRecord, key)
    if done is None:
        began = time.perf_counter()
        context.say(step.name, 0, 0)
        function: StepFunction = resolve(step.function)
        found = function(context, plain)
        ledger.add(loop, key, StepRecord(run, step.name, plain, found, round(time.perf_counter() - began, 3)))
        done = ledger.get(loop, StepRecord, key)
        assert done is not None
    return from_plain(output, done.output)
