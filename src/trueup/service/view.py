# SPDX-License-Identifier: Apache-2.0
"""A live view of the service on a terminal: a row a loop, and the last lines of its log."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trueup.service.log import Line
from trueup.service.words import doing, projection_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from trueup.service.serve import Service

LINES = 12


class View:
    """Give `tell` to `up` as its `tell`, and `watch` as its `watch`."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=LINES)
        self._service: Service | None = None

    def tell(self, line: Line) -> None:
        self._lines.append(line)

    def watch(self, service: Service) -> None:
        self._service = service

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw it twice a second for as long as this lasts; the last picture stays."""
        from rich.console import Console
        from rich.live import Live

        over = threading.Event()
        with Live(self.picture(), console=Console(), auto_refresh=False) as live:
            def draw() -> None:
                while not over.wait(0.5):
                    live.update(self.picture(), refresh=True)

            thread = threading.Thread(target=draw, daemon=True)
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()
                live.update(self.picture(), refresh=True)

    def picture(self) -> RenderableType:
        """What there is to see now."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        board: dict[str, Any] = self._service.board.read() if self._service else {"loops": {}, "projections": {}}
        table = Table(box=None, pad_edge=False)
        for head in ("loop", "does", "next look", "what it would do"):
            table.add_column(head, overflow="fold")
        for name, facts in sorted(board["loops"].items()):
            table.add_row(*(Text(cell) for cell in row(name, facts)))
        lines = [Text(line, style="yellow") for line in projection_lines(board)]
        lines += [Text(str(line), style={"error": "red", "warning": "yellow"}.get(line.level, "dim")) for line in self._lines]
        return Group(table, *lines, Text("Ctrl-C stops it; what runs goes on at the next start", style="dim"))


def row(name: str, facts: dict[str, Any]) -> tuple[str, str, str, str]:
    """A loop's line: its name, what it does, when it looks next, and what it would do."""
    would = facts.get("would") or {}
    after = (facts.get("next_look") or "-")[:16].replace("T", " ")
    word = {True: "train: ", False: "rest: ", None: ""}[would.get("trains")]
    return name, "; ".join(doing(facts)) or "waits", after, f"{word}{would.get('reason', '')}"[:160]

