# SPDX-License-Identifier: Apache-2.0
"""A loop at work in the films world: users ask, the loop is run when something is due."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.decisions import Decision
from trueup.core.json import dumps
from trueup.data import freeze
from trueup.lab.films.audience import Audience
from trueup.lab.films.world import START, World
from trueup.lab.played import Played
from trueup.loop import Loop, load_loop
from trueup.release import approve

if TYPE_CHECKING:
    from trueup.loop.context import Progress

DAY, HALF = timedelta(days=1), timedelta(hours=12)
APPROVER = "trueup demo (it approves itself, unverified)"


class Year(Played):
    """The home of a demo: its loop file, golden set and ledger, a clock, and the application.

    Raises Refused where `home` holds something already.
    """

    def __init__(self, home: Path, world: World, *, progress: Progress | None = None) -> None:
        self.world, self.audience = world, Audience(world)
        loop = write_home(home, world)
        super().__init__(
            home, loop, START - DAY, self.audience.history(loop.name), seed=world.seed, progress=progress
        )

    def ready(self) -> None:
        for golden in self.loop.golden():
            freeze(self.ledger, self.loop.name, golden)

    def until(self, moment: datetime, before: Callable[[], None] | None = None) -> list[Decision]:
        """Let the time pass up to `moment`; what was decided meanwhile. `before` is called before
        each run, when all that happened until then is in the ledger."""
        first = len(self.decisions)
        while self.clock.now() < moment:
            serving = bool(self.state().routing.get("slices"))
            tick = min(self.clock.now() + (HALF if serving else DAY), moment)
            self.audience.play(self.client, self.clock, tick)
            self.clock.move_to(tick)
            if self.due:
                self.client.flush()
                if before is not None:
                    before()
                self.look()
            if self.progress is not None:
                self.progress(f"{tick - HALF:%B}", (tick - START) // DAY, 365)
        self.client.flush()
        return self.decisions[first:]

    def look(self) -> None:
        """Run the loop, and approve the candidate that waits for it."""
        super().look()
        release = self.state().release
        if release is not None and "by" in release.parameters and release.approval is None:
            self.decisions.append(approve(
                self.ledger, self.loop.name, release.candidate, who=APPROVER,
                reason="no worse in shadow, no harm in the canary",
            ))
            super().look()


def write_home(home: Path, world: World) -> Loop:
    """Write the loop file and its golden set, and load the loop from them."""
    (home / "golden").mkdir(parents=True)
    lines = [dumps(item) for item in Audience(world).golden()]
    (home / "golden" / "films.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("loop.py"), home / "loop.py")
    return load_loop(home / "loop.py")
