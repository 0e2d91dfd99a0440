# SPDX-License-Identifier: Apache-2.0
"""A ledger with a champion and a challenger that always say one word, and the rows a test wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trueup.core.clock import ManualClock, to_us
from trueup.core.decisions import Decision
from trueup.core.events import Event, outcome
from trueup.core.ids import Ids
from trueup.core.json import dumps
from trueup.core.task import Outcome
from trueup.evaluate import Accuracy
from trueup.models import ConstantModel, load
from trueup.release import Approval, Canary, Full, Risk, Shadow, Terms, advance
from trueup.route import Routing, assign
from trueup.state import LoopState, candidate, decide, read, register
from trueup.store import Ledger

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
LABEL = Outcome.of_input("label", within=HOUR)


class Stand:
    """The stand on which a release is tried: time, traffic, candidates and Decisions."""

    name = "l"

    def __init__(self, home: Path, stages: Sequence[Any] = (), risk: Risk | None = None) -> None:
        self.clock = ManualClock(START)
        self.ledger = Ledger.open(home, clock=self.clock)
        self.ids = Ids(self.clock, 1)
        self.rng = np.random.default_rng(1)
        self.units = 0
        self.stages = stages or [
            Shadow(Accuracy(), no_worse_by=0.05, units=400, max_time=7 * DAY),
            Canary(0.25, 0.5, step=HOUR), Approval(by="owners"), Full(),
        ]  # fmt: skip
        self.risk = risk or Risk()
        self.champion, self.challenger = self.model("old", home), self.model("new", home)
        state = LoopState().serve(self.champion, to_us(START))
        decide(self.ledger, self.name, 0, state, kind="install", verdict="PROMOTE", reason="first")

    def model(self, word: str, home: Path) -> str:
        folder = home / "models" / word
        ConstantModel(word).write(folder, "label")
        return register(self.ledger, self.name, self.ledger.artifacts.put_tree(folder)).id

    def predictor(self, ident: str) -> Any:
        return load(self.ledger.artifacts.path(candidate(self.ledger, self.name, ident).model))

    def terms(self) -> Terms:
        return Terms(self.name, "d" * 64, self.stages, self.risk, [LABEL], self.predictor, 0.05)

    def offer(self, ident: str | None = None) -> None:
        from dataclasses import replace

        generation, state = read(self.ledger, self.name)
        state = replace(state, waiting=ident or self.challenger)
        decide(self.ledger, self.name, generation, state, kind="candidate", verdict="PASS", reason="test")

    def advance(self, by: timedelta = timedelta(0)) -> list[Decision]:
        self.clock.advance(by)
        return list(advance(self.ledger, self.terms()))

    @property
    def state(self) -> LoopState:
        return read(self.ledger, self.name)[1]

    def labelled(self, n: int, new: float, old: float) -> None:
        """n units, of which the challenger is right on a share `new` and the champion on `old`.

        The champion's answer is logged; the challenger always says "new", so a label "new" is one
        that it gets right.
        """
        rows = []
        for _ in range(n):
            self.units += 1
            self.clock.advance(timedelta(seconds=1))
            now, ident = to_us(self.clock.now()), self.ids.new()
            truth = "new" if self.rng.random() < new else "other"
            said = truth if self.rng.random() < old else "wrong"
            rows.append(Event(
                ident, self.name, "interaction", now, now, unit=f"u{self.units}", choice=ident, arm="champion",
                candidate=self.state.champion, input=dumps("x"), output=dumps(said), seconds=0.01,
            ))
            rows.append(outcome(self.name, ident, "label", truth, ts=now, received=now))
        self.ledger.append(rows)

    def served(
        self, n: int, *, failing: tuple[float, float] = (0.02, 0.02), slow: tuple[float, float] = (0.05, 0.05),
        requests: int = 1, gap: timedelta = timedelta(seconds=1), lost: float = 0.0, late: bool = False,
    ) -> int:
        """n fresh units through the router: (champion, challenger) shares of failing and slow requests.

        Returns how many were enrolled.
        """
        routing, rows, enrolled = Routing.from_json(self.state.routing), [], 0
        for _ in range(n):
            self.units += 1
            unit = f"u{self.units}"
            drawn = assign(routing, unit)
            enrolled += drawn.enrolled
            arm = int(drawn.arm == "challenger")
            for _ in range(requests):
                self.clock.advance(gap)
                now, ident = to_us(self.clock.now()), self.ids.new()
                common: dict[str, Any] = {
                    "unit": unit, "choice": ident, "arm": drawn.arm, "candidate": drawn.candidate,
                    "propensity": drawn.propensity, "release": routing.release,
                }
                if drawn.enrolled:
                    rows.append(Event(ident, self.name, "assignment", now, now, **common))
                if self.rng.random() < lost:
                    continue
                error = "boom" if self.rng.random() < failing[arm] else None
                seconds = 9.0 if self.rng.random() < slow[arm] else 0.01
                known = now + (to_us(START + HOUR) - to_us(START) if late and error else 0)
                rows.append(Event(
                    ident, self.name, "interaction", now, known, input=dumps("x"), error=error, seconds=seconds,
                    output=None if error else dumps("new"), **common,
                ))
        self.ledger.append(rows)
        return enrolled


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path / "home")
    yield made
    made.ledger.close()
