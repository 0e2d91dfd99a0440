# SPDX-License-Identifier: Apache-2.0
"""`run`: one tick of a loop, from its definition and a ledger; and a person's request for a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.clock import to_us
from trueup.core.decisions import Decision
from trueup.loop.context import Context, Progress
from trueup.loop.tick import tick

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger


def run(
    loop: Loop, ledger: Ledger, *, base: Path | None = None, now: bool = False,
    progress: Progress | None = None,
) -> list[Decision]:
    """The Decisions of one `tick`, which says more. Raises Busy where another process is at work on this loop."""
    return list(tick(Context(loop, ledger, base=base, progress=progress), now=now).decisions)


def request(ledger: Ledger, loop: str, who: str) -> None:
    """Ask for a training at the next look."""
    from trueup.core.events import Event
    from trueup.core.ids import Ids
    from trueup.core.json import dumps

    now = to_us(ledger.clock.now())
    ledger.append([
        Event(Ids(ledger.clock).new(), loop, "signal", now, name="train", extra=dumps({"by": who}))
    ])
