# SPDX-License-Identifier: Apache-2.0
"""A loop at work in the films world: users ask, the loop is run when something is due."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.client import connect
from trueup.core.clock import ManualClock
from trueup.core.decisions import Decision
from trueup.core.ids import Ids
from trueup.core.json import dumps
from trueup.data import freeze
from trueup.lab.films.audience import Audience
from trueup.lab.films.world import START, World
from trueup.loop import Loop, load_loop, look_due, run
from trueup.release import LoopState, approve, read
from trueup.store import Ledger

if TYPE_CHECKING:
    from trueup.loop.context import Progress

DAY, HALF = timedelta(days=1), timedelta(hours=12)
APPROVER = "trueup demo (it approves itself, unverified)"


class Year:
    """The home of a demo: its loop file, golden set and ledger, a clock, and the application.

    Raises Refused where `home` holds something already.
    """

    def __init__(self, home: Path, world: World, *, progress: Progress | None = None) -> None:
        self.home, self.world = home, world
        self.loop = write_home(home, world)
        self.clock = ManualClock(START - DAY)
        self.audience = Audience(world)
        self.ledger = Ledger.open(home, clock=self.clock)
        self.ledger.append(self.audience.history(self.loop.name))
        for golden in self.loop.golden():
            freeze(self.ledger, self.loop.name, golden)
        self.decisions: list[Decision] = []
        self.progress = progress
        self.look()
        self.client = connect(
            self.loop.name, home, clock=self.clock, ids=Ids(self.clock, world.seed), acknowledge="enqueue"
        )

    def until(self, moment: datetime, before: Callable[[], None] | None = None) -> list[Decision]:
        """Let the time pass up to `moment`; what was decided meanwhile. `before` is called before
        each run, when all that happened until then is in the ledger."""
        first = len(self.decisions)
        while self.clock.now() < moment:
            serving = bool(self._state().routing.get("slices"))
            tick = min(self.clock.now() + (HALF if serving else DAY), moment)
            self.audience.play(self.client, self.clock, tick)
            self.clock.move_to(tick)
            if self._state().release is not None or look_due(self.loop, self.ledger):
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
        made = run(self.loop, self.ledger, base=self.home, progress=self.progress)
        release = self._state().release
        if release is not None and "by" in release.parameters and release.approval is None:
            made.append(approve(
                self.ledger, self.loop.name, release.candidate, who=APPROVER,
                reason="no worse in shadow, no harm in the canary",
            ))
            made.extend(run(self.loop, self.ledger, base=self.home, progress=self.progress))
        self.decisions.extend(made)

    @property
    def champion(self) -> str | None:
        """Who serves now; None where history was too little to train a first champion."""
        return self._state().champion

    def _state(self) -> LoopState:
        return read(self.ledger, self.loop.name)[1]

    def copy(self, folder: Path) -> Ledger:
        """A copy of the ledger as it is now, open: to see what would have been."""
        copy_home(self.home, folder)
        return Ledger.open(folder, clock=self.clock)

    def close(self) -> None:
        self.client.close()
        self.ledger.close()


def copy_home(home: Path, folder: Path) -> None:
    """Copy a home that is in use. The journal goes through SQLite: whoever reads its file in another
    way lets go of this process's locks on it as he closes it, and another process may then take its
    log away."""
    shutil.copytree(home, folder, ignore=shutil.ignore_patterns("locks", folder.name, "journal.sqlite*"))
    with (
        closing(sqlite3.connect(home / "journal.sqlite")) as mine,
        closing(sqlite3.connect(folder / "journal.sqlite")) as other,
    ):
        mine.backup(other)


def write_home(home: Path, world: World) -> Loop:
    """Write the loop file and its golden set, and load the loop from them."""
    (home / "golden").mkdir(parents=True)
    lines = [dumps(item) for item in Audience(world).golden()]
    (home / "golden" / "films.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("loop.py"), home / "loop.py")
    return load_loop(home / "loop.py")
