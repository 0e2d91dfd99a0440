# SPDX-License-Identifier: Apache-2.0
"""`trueup demo`: a year of the films world, told from the ledger's Decisions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.decisions import Decision
from trueup.lab.course import bands, decided, ending, looks
from trueup.lab.films.scenes import SCENES
from trueup.lab.films.world import YEAR, World
from trueup.lab.films.year import Year
from trueup.lab.played import fresh
from trueup.lab.tell import Account, Teller
from trueup.plot import Look, Section, Verdict, save, timeline
from trueup.registry import reigns

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {
    "rest": "dim", "trained": "cyan", "promoted": "green", "refused": "yellow", "rolled back": "red",
    "invalid": "red",
}


def demo(
    home: Path | None = None, *, quiet: bool = False, world: World | None = None, seed: int | None = None,
    console: Console | None = None,
) -> Account:
    """Play a simulated year in `home` (a new temporary folder where it is None), and tell it.

    `seed` is of everything random in it (None: the world's own).

    Each scene holds the ledger's Decisions to what it tells; `Account.holds` is False where one
    did not come out. With `quiet` nothing is printed, and the account has it all
    (`Account.to_json`). The home keeps the ledger, the loop file, the golden set and the timeline.
    Raises Refused where `home` is not empty.
    """
    home = fresh(home, "films")
    teller = Teller(home, quiet=quiet, console=console)
    world = world or World()
    played = world if seed is None else replace(world, seed=seed)
    with teller.telling(), closing(Year(home, played, progress=teller.progress)) as year:
        for title, tell in SCENES:
            with teller.scene(title):
                tell(teller, year)
            if year.champion is None:
                return teller.account
        with teller.scene("The year"):
            _look_back(teller, year)
    return teller.account


def _look_back(teller: Teller, year: Year) -> None:
    """The timeline, the champions, and where to look further."""
    months = by_month(year.decisions)
    _strip(teller, months)
    ending(teller, year, _page(year, months), "three champions", " in the year")


def by_month(made: Sequence[Decision]) -> list[Look]:
    """What was decided in each month of the year."""
    found = looks(made, lambda at: at.replace(day=1, hour=0, minute=0), lambda month: f"{month:%b}")
    return [look for look in found if look.at.year == YEAR]


def _strip(teller: Teller, months: Sequence[Look]) -> None:
    """The timeline on the terminal: a column a month."""
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, 1))
    for _ in months:
        grid.add_column()
    grid.add_row(*(f"[bold]{look.name}[/]" for look in months))
    for at in range(max(len(look.words) for look in months)):
        words = [look.words[at] if at < len(look.words) else "" for look in months]
        grid.add_row(*(f"[{_STYLES[word]}]{word}[/]" if word else "" for word in words))
    teller.console.print(grid)
    teller.account.scenes[-1].facts["months"] = {look.name: list(look.words) for look in months}


def _page(year: Year, months: Sequence[Look]) -> Path:
    champions = reigns(year.ledger, year.loop.name)
    told = "What was decided in each month, and who was champion."
    chart = timeline(months, bands(champions), title=f"Films in {YEAR}", desc=told)
    words = f"{len(year.decisions)} Decisions, {len(champions)} champions"
    html, _ = save(
        year.home, "A year of films",
        [Section("The year", [Verdict(words), chart]), Section("Decisions", [decided(year.decisions)])], name="timeline",
    )
    return html
