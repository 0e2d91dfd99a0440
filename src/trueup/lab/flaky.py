# SPDX-License-Identifier: Apache-2.0
"""A trainer whose runs die: of memory, of a lost network, of SIGTERM and of SIGKILL, for real."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from trueup.core.errors import ArgumentError, UnknownName
from trueup.core.protocols import Capabilities, RunContext, Trainer, TrainJob, TrainResult
from trueup.core.values import to_json, value

FAULTS = ("memory", "network", "SIGTERM", "SIGKILL")
STEPS = 20
"""Steps that a training takes before it dies, where it keeps checkpoints."""
_COUNT = "deaths.txt"


@value("lab.flaky")
class Flaky:
    """`of`, whose attempts each die with probability `share`, of one of `faults` in turn.

    `memory` takes memory until the budget is spent, once a training; `network` raises
    ConnectionResetError; `SIGTERM` and `SIGKILL` are sent to the process itself. Death comes halfway,
    or after the model was written and before that was said. Where `of` keeps checkpoints it comes
    twenty steps after the last one, SIGTERM is a warning there (as of a machine that is taken away),
    and only the last of several deaths waits for the model. `deaths` is how often a training dies at
    most (None: for ever). Which attempts die is drawn from `seed` and the training's key, so that a
    drill can be played again.
    """

    of: Trainer
    share: float = 0.5
    faults: tuple[str, ...] = FAULTS
    seed: int = 0
    deaths: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.of, Trainer):
            raise ArgumentError(f"expected a trainer, got {self.of!r:.80}")
        if not 0 <= self.share <= 1:
            raise ArgumentError(f"expected a share in [0, 1], got {self.share!r}")
        for fault in self.faults:
            if fault not in FAULTS:
                raise UnknownName("fault", str(fault), FAULTS)

        if self.deaths is not None and self.deaths < 0:
            raise ArgumentError(f"expected deaths of at least 0, got {self.deaths!r}")

    @property
    def requires(self) -> tuple[tuple[str, str], ...]:
        return tuple(getattr(self.of, "requires", ()))

    @property
    def capabilities(self) -> Capabilities:
        return self.of.capabilities

    @property
    def base(self) -> Any:
        return getattr(self.of, "base", None)

    @property
    def rebase_every(self) -> Any:
        return getattr(self.of, "rebase_every", None)

    @property
    def hinders(self) -> Any:
        return getattr(self.of, "hinders", None)

    def fit(self, job: TrainJob, context: RunContext) -> TrainResult:
        """What `of` gives, unless this attempt is one of those that die."""
        fault, late = self._drawn(context.workdir.parent)
        inner = replace(job, trainer=to_json(self.of))
        if fault is None:
            return self.of.fit(inner, context)
        result = self.of.fit(inner, context if late else _Dying(context, fault, job.budget.megabytes, self._keeps))
        if result.status == "completed":
            _die(fault, job.budget.megabytes)
        return result

    @property
    def _keeps(self) -> bool:
        return self.of.capabilities.resume != "none"

    def _drawn(self, home: Path) -> tuple[str | None, bool]:
        """The fault of this attempt, and whether it waits for the model; counted on the disk, since
        an attempt that dies can say nothing."""
        file = home / _COUNT
        before = file.read_text("ascii").split() if file.exists() else []
        rng = Random(f"{self.seed}/{home.name}/{len(before)}")
        turn = int(home.name, 16) + len(before)
        fault = self.faults[turn % len(self.faults)] if self.faults and rng.random() < self.share else None
        died = sum(one != "none" for one in before)
        if died == self.deaths or (fault == "memory" and fault in before):
            fault = None
        with file.open("a", encoding="ascii") as lines:
            lines.write(f"{fault or 'none'}\n")
        late = 0 < died == (self.deaths or 0) - 1 if self._keeps else rng.random() < 0.5
        return fault, late


class _Dying:
    """A context in which a training dies: at a report of its second half, or after some steps."""

    def __init__(self, context: RunContext, fault: str, megabytes: int, keeps: bool) -> None:
        self.workdir, self.checkpoints, self.starved = context.workdir, context.checkpoints, context.starved
        self._context, self._fault, self._megabytes = context, fault, megabytes
        self._keeps, self._asked = keeps, 0

    def report(self, step: int, total: int, **metrics: float) -> None:
        self._context.report(step, total, **metrics)
        if 2 * step >= total and not self._keeps:
            _die(self._fault, self._megabytes)

    def should_stop(self) -> bool:
        self._asked += 1
        if self._keeps and self._asked == STEPS + 1:
            if self._fault == "SIGTERM":
                os.kill(os.getpid(), signal.SIGTERM)  # whoever trains may still write a checkpoint
            else:
                _die(self._fault, self._megabytes)
        return self._context.should_stop()


def _die(fault: str, megabytes: int) -> None:
    if fault == "network":
        raise ConnectionResetError("the connection to the store of data was lost")
    if fault == "memory":
        held: list[Any] = []
        while True:  # whoever watches ends this
            held.append(b"x" * (min(64, megabytes) << 20))
            time.sleep(0.01)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.Signals[fault])
    time.sleep(60)
