# SPDX-License-Identifier: Apache-2.0
"""Steps: named functions, JSON in and JSON out, recorded once (ORC-07).

A step runs at least once and has at most one recorded result: its key is the run, its name and the
digest of its input, and the first record stands. A run that was killed goes on after the last
recorded step. `Step.function` is `package.module:function`, so that an engine can call it too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueup.core.json import digest
from trueup.core.values import resolve

if TYPE_CHECKING:
    from trueup.loop.context import Context

KIND = "step"
StepFunction = Callable[["Context", dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline."""

    name: str
    function: str


def perform(context: Context, run: str, step: Step, data: dict[str, Any]) -> dict[str, Any]:
    """The recorded output of this step on this input, computed now if it is not there yet."""
    ledger, loop = context.ledger, context.loop.name
    key = f"{run}/{step.name}/{digest(data)[:16]}"
    done = ledger.get(loop, KIND, key)
    if done is None:
        began = time.perf_counter()
        context.say(step.name, 0, 0)
        function: StepFunction = resolve(step.function)
        output = function(context, data)
        ledger.put(loop, KIND, key, {
            "run": run, "step": step.name, "input": data, "output": output,
            "seconds": round(time.perf_counter() - began, 3),
        })
        done = ledger.get(loop, KIND, key)
        assert done is not None
    result: dict[str, Any] = done["output"]
    return result
