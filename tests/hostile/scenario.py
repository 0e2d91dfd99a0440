# SPDX-License-Identifier: Apache-2.0
"""One hour of a loop's life, to be lived again after a kill: traffic, people, and `run`.

Imported by the tests and, in a process of their own, by what they kill.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from trueup.client import connect
from trueup.core.clock import ManualClock
from trueup.core.ids import Ids
from trueup.loop import load_loop, run
from trueup.release import approve
from trueup.state import read
from trueup.store import Ledger
from trueup.store.sqlite._writer import Writer
from trueup.testing import toy_history, toy_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = 11
UNITS = 40


def at(hour: int) -> ManualClock:
    return ManualClock(START + hour * HOUR)


def live(home: Path, hour: int) -> None:
    """What happens before the look of this hour: requests, labels, an approval."""
    clock = at(hour)
    with Ledger.open(home, clock=clock) as ledger:
        if hour == 0:
            ledger.append(toy_history("toys", toy_rows(60, seed=3), START))
            return
        clock.move_to(START + hour * HOUR - timedelta(minutes=50))
        with connect("toys", home, clock=clock, ids=Ids(clock, hour)) as client:
            for n in range(UNITS):
                clock.advance(timedelta(seconds=20))
                choice = client.choose(f"u{hour}-{n}")
                client.log(choice, f"w1x{n}", client.load(choice).predict(["?"])[0].value, seconds=0.01)
                client.feedback(choice.id, "kind", "plant" if n % 5 else "animal")
        _, state = read(ledger, "toys")
        if state.release is not None and "by" in state.release.parameters:
            approve(ledger, "toys", state.release.candidate, reason="looks right", who="ada")


def look(folder: Path, hour: int, kill: int | None = None) -> int:
    """`run` at this hour; killed as it comes to commit for the time number `kill`. The commits made."""
    count = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def commit(self: Writer, *args: Any) -> Any:
            nonlocal count
            if count == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return function(self, *args)

        return commit

    Writer.append = counted(Writer.append)  # type: ignore[method-assign]
    Writer.run = counted(Writer.run)  # type: ignore[method-assign]
    with Ledger.open(folder / ".trueup", clock=at(hour)) as ledger:
        run(load_loop(folder / "loop.py"), ledger, base=folder)
    return count
