# SPDX-License-Identifier: Apache-2.0
"""The account of a demo: scenes, each with its numbers and with what had to come out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@dataclass
class Scene:
    """One scene: what was said, what had to hold and whether it did, and its facts."""

    title: str
    lines: list[str] = field(default_factory=list)
    checks: list[tuple[bool, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return all(held for held, _ in self.checks)


@dataclass
class Account:
    """What a demo gave. `holds` is False where a scene did not come out as told."""

    home: Path
    scenes: list[Scene] = field(default_factory=list)
    commands: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return all(scene.holds for scene in self.scenes)

    def to_json(self) -> dict[str, Any]:
        return {
            "home": str(self.home), "holds": self.holds, "seconds": round(self.seconds, 1),
            "commands": list(self.commands),
            "scenes": [
                {"title": scene.title, "holds": scene.holds, "seconds": round(scene.seconds, 1),
                 "checks": [{"holds": held, "what": what} for held, what in scene.checks],
                 "facts": scene.facts, "lines": scene.lines}
                for scene in self.scenes
            ],
        }


class Teller:
    """Tells scenes as they happen, with a bar while time passes; with `quiet`, only writes them down."""

    def __init__(self, home: Path, *, quiet: bool = False, console: Console | None = None, days: int = 365) -> None:
        self.account, self.days = Account(home), days
        self.console = console or Console(quiet=quiet, highlight=False)
        self._bar = Progress(
            SpinnerColumn(), TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn(),
            console=self.console, transient=True, disable=quiet or not self.console.is_terminal,
        )
        self._task = self._bar.add_task("the world", total=days)
        self._began = time.perf_counter()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """While this is open the bar is shown, and the whole is timed."""
        with self._bar:
            try:
                yield
            finally:
                self.account.seconds = time.perf_counter() - self._began

    @contextmanager
    def scene(self, title: str) -> Iterator[Scene]:
        """A scene under its heading, timed; `say`, `expect` and facts belong to it."""
        scene = Scene(title)
        self.account.scenes.append(scene)
        began = time.perf_counter()
        self.console.print()
        self.console.rule(f"[bold]{escape(title)}", align="left", style="dim")
        try:
            yield scene
        finally:
            scene.seconds = time.perf_counter() - began

    def say(self, text: str, style: str = "", indent: int = 0) -> None:
        """A sentence, or a line below one."""
        self.account.scenes[-1].lines.append(" " * indent + text)
        self.console.print(" " * indent + escape(text), style=style or None, soft_wrap=True)

    def items(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.say(line, "dim", indent=4)

    def expect(self, holds: bool, what: str, wanted: str) -> bool:
        """What came out, said with a mark and remembered; where it did not, what was wanted."""
        told = what if holds else f"expected {wanted}; got {what or 'nothing of the kind'}"
        self.account.scenes[-1].checks.append((bool(holds), told))
        mark = "[green]✓[/]" if holds else "[bold red]✗ did not come out:[/]"
        self.console.print(f"  {mark} {escape(told)}", soft_wrap=True)
        return bool(holds)

    def progress(self, what: str, done: int, total: int) -> None:
        """How far the year is, or which step is at work."""
        if total == self.days:
            self._bar.update(self._task, description=what, completed=done)
        else:
            self._bar.update(self._task, description=what)

    def count(self, what: str, done: int, total: int) -> None:
        """`done` of `total`: on a terminal in the bar, elsewhere a line each tenth."""
        if self.console.is_terminal:
            self._bar.update(self._task, description=f"{what} {done:,} of {total:,}", completed=done, total=total)
        elif done == total or (total >= 10 and done % (total // 10) == 0):
            self.console.print(f"    {what} {done:,} of {total:,}", style="dim", soft_wrap=True)
