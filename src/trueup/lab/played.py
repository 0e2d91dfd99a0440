# SPDX-License-Identifier: Apache-2.0
"""A loop at work in a simulated world: its home, ledger and clock, its application, and what was decided."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.client import connect
from trueup.core.clock import ManualClock
from trueup.core.decisions import Decision
from trueup.core.errors import Refused
from trueup.core.events import Event
from trueup.core.ids import Ids
from trueup.loop import Loop, look_due, run
from trueup.state import LoopState, read
from trueup.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trueup.loop.context import Progress


def fresh(home: Path | None, name: str) -> Path:
    """A demo's empty home: a new temporary folder where it is None; raises Refused for one that holds something."""
    home = Path(home or tempfile.mkdtemp(prefix=f"trueup-{name}-")).absolute()
    if home.exists() and any(home.iterdir()):
        raise Refused(f"expected an empty folder for the demo, got {home}", cure="name a new one with --home")
    return home


class Played:
    """The loop of a file in `home` from its first look on; `history` is what was known before."""

    def __init__(
        self, home: Path, loop: Loop, start: datetime, history: Sequence[Event], *, seed: int, progress: Progress | None = None,
    ) -> None:
        self.home, self.loop, self.progress = home, loop, progress
        self.clock = ManualClock(start)
        self.ledger = Ledger.open(home, clock=self.clock)
        self.ledger.append(history)
        self.decisions: list[Decision] = []
        self.ready()
        self.look()
        self.client = connect(loop.name, home, clock=self.clock, ids=Ids(self.clock, seed), acknowledge="enqueue")

    def ready(self) -> None:
        """What comes before the first look."""

    def look(self) -> None:
        """Run the loop."""
        self.decisions.extend(run(self.loop, self.ledger, base=self.home, progress=self.progress))

    @property
    def due(self) -> bool:
        """Whether there is something to do: a release runs, or a look is due."""
        return self.state().release is not None or look_due(self.loop, self.ledger)

    @property
    def champion(self) -> str | None:
        """Who serves now; None where history was too little to train a first champion."""
        return self.state().champion

    def state(self) -> LoopState:
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
