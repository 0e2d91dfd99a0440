# SPDX-License-Identifier: Apache-2.0
"""A loop at work in the news world: the desk publishes, readers ask, the loop is run when it is due."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.decisions import Decision
from trueup.core.json import dumps
from trueup.data import Mapping, import_file
from trueup.lab.news.audience import Audience, golden, published, taught, week_of
from trueup.lab.news.base import make_base
from trueup.lab.news.world import DAY, START, World, begins
from trueup.lab.played import Played
from trueup.loop import Loop, load_loop

if TYPE_CHECKING:
    from trueup.loop.context import Progress

HALF = timedelta(hours=12)
DAYS = 35


class Weeks(Played):
    """The home of the demo: its loop file, base model, golden set and ledger, a clock, the newspaper.

    `configure` may change the loop that the file gives (a test plays a smaller one).
    """

    def __init__(
        self, home: Path, world: World, *, progress: Progress | None = None,
        configure: Callable[[Loop], Loop] | None = None,
    ) -> None:
        self.home, self.world, self.progress = home, world, progress  # the base model is made before there is a loop
        (home / "golden").mkdir(parents=True)
        make_base(
            home / "models" / "base", taught(world.told(0)), steps=world.steps, seed=world.seed,
            say=lambda step, steps: self._say(f"base model, step {step} of {steps}", 0),
        )
        self.publish(0)
        shutil.copyfile(Path(__file__).with_name("loop.py"), home / "loop.py")
        loop = load_loop(home / "loop.py")
        loop = loop if configure is None else configure(loop)
        self.audience = Audience(world, loop.name)
        super().__init__(home, loop, START, self.audience.history(), seed=world.seed, progress=progress)

    def _say(self, what: str, done: int) -> None:
        if self.progress is not None:
            self.progress(what, done, DAYS)

    def publish(self, week: int) -> None:
        """The desk's golden questions as they stand in a week: new ones, and answers that changed."""
        lines = [dumps(item) for item in golden(self.world, week)]
        (self.home / "golden" / "facts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def bring(self, week: int) -> None:
        """Import the desk's file of a week."""
        path = self.home / f"desk-week-{week}.jsonl"
        path.write_text("".join(dumps(row) + "\n" for row in published(self.world, week)), encoding="utf-8")
        columns = Mapping(input="question", outcomes={"answer": "answer"}, unit="unit", ts="ts")
        import_file(
            self.ledger, path, self.loop.name, columns, task=self.loop.task, outcomes=self.loop.outcomes
        )

    def until(self, moment: datetime, before: Callable[[], Any] | None = None) -> list[Decision]:
        """Let the time pass up to `moment`; what was decided meanwhile. `before` is called before
        each run, when all that happened until then is in the ledger."""
        first = len(self.decisions)
        while self.clock.now() < moment:
            start = self.clock.now()
            serving = bool(self.state().routing.get("slices"))
            week = week_of(start)
            tick = min(start + (HALF if serving else DAY), begins(week + 1), moment)
            if start == begins(week):
                self.publish(week)
            self.audience.play(self.client, self.clock, tick)
            self.client.flush()
            self.clock.move_to(tick)
            if tick == begins(week + 1) and week in self.world.news:
                self.bring(week)
            if self.due:
                if before is not None:
                    before()
                self.look()
            self._say(f"week {week}", (tick - START) // DAY)
        return self.decisions[first:]
