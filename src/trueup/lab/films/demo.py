# SPDX-License-Identifier: Apache-2.0
"""`trueup demo`: a year of the films world, told from the ledger's Decisions."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.clock import from_us
from trueup.core.decisions import Decision
from trueup.core.errors import Refused
from trueup.lab.films.scenes import SCENES
from trueup.lab.films.tell import Account, Teller
from trueup.lab.films.world import YEAR, World
from trueup.lab.films.year import Year
from trueup.loop import why
from trueup.plot import Band, Look, Section, Table, Verdict, save, timeline
from trueup.registry import Reign, reigns

if TYPE_CHECKING:
    from rich.console import Console

WORDS = {
    ("look", "REST"): "rest", ("look", "TRAIN"): "trained", ("install", "PROMOTE"): "promoted",
    ("promote", "PROMOTE"): "promoted", ("stop", "REFUSE"): "refused", ("refuse", "REFUSE"): "refused",
    ("rollback", "ROLLBACK"): "rolled back", ("invalid", "INVALID"): "invalid",
}
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
    home = Path(home or tempfile.mkdtemp(prefix="trueup-films-")).absolute()
    if home.exists() and any(home.iterdir()):
        raise Refused(
            f"expected an empty folder for the demo, got {home}", cure="name a new one with --home"
        )
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
    champions = reigns(year.ledger, year.loop.name)
    months = by_month(year.decisions)
    _strip(teller, months)
    pages = _pages(year, months, champions)
    teller.say("Champions:")
    teller.items([
        f"{reign.candidate}  {from_us(reign.since):%b %d} to "
        f"{f'{from_us(reign.until):%b %d}' if reign.until else 'now'}: {reign.reason}"
        for reign in champions
    ])
    teller.expect(
        len(champions) == 3, f"{len(champions)} champions in the year, each by a Decision", "three champions"
    )
    ends = [one for one in year.decisions if one.kind in ("promote", "rollback")]
    same = [why(year.ledger, one.id).matches for one in ends]
    teller.expect(
        bool(same) and all(same),
        f"the verdicts of {len(ends)} releases recomputed from the ledger's rows, the same bit by bit: {all(same)}",
        "the same verdicts from the ledger's rows",
    )
    ident = ends[-1].id if ends else year.decisions[-1].id
    home = year.home
    teller.account.commands = (
        f"trueup --home {home} status", f"trueup --home {home} why {ident}",
        f"trueup --home {home} plan {home / 'loop.py'}",
    )
    teller.say(f"The timeline as a page: {pages}")
    teller.say("To look further:")
    for command in teller.account.commands:
        teller.say(command, "bold", indent=4)
    teller.account.scenes[-1].facts.update(timeline=str(pages), champions=[one.candidate for one in champions])


def by_month(made: Sequence[Decision]) -> list[Look]:
    """What was decided in each month, in one word each and in order; a month with a training does
    not show its rests."""
    looks = []
    for month, group in groupby(made, key=lambda one: from_us(one.at).replace(day=1, hour=0)):
        named = [(one, WORDS[one.kind, one.verdict]) for one in group if (one.kind, one.verdict) in WORDS]
        words = list(dict.fromkeys(word for _, word in named))
        told = [word for word in words if word != "rest"] or words
        why = "; ".join(dict.fromkeys(one.reason for one, word in named if word in told and word != "rest"))
        last = [one.reason for one, _ in named][-1] if named else ""
        looks.append(Look(month.replace(minute=0), told or ["rest"], why or last, f"{month:%b}"))
    return [look for look in looks if look.at.year == YEAR]


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


def _pages(year: Year, months: Sequence[Look], champions: Sequence[Reign]) -> Path:
    bands = [
        Band(reign.candidate, from_us(reign.since), from_us(reign.until) if reign.until else None)
        for reign in champions
    ]
    told = "What was decided in each month, and who was champion."
    chart = timeline(months, bands, title=f"Films in {YEAR}", desc=told)
    table = Table.of(
        ["decided", "verdict", "reason", "id"],
        [[f"{from_us(one.at):%b %d}", one.verdict, one.reason, one.id] for one in year.decisions
         if (one.kind, one.verdict) != ("look", "REST")],
    )
    words = f"{len(year.decisions)} Decisions, {len(champions)} champions"
    html, _ = save(
        year.home, "A year of films",
        [Section("The year", [Verdict(words), chart]), Section("Decisions", [table])], name="timeline",
    )
    return html
