# SPDX-License-Identifier: Apache-2.0
"""`trueup demo news`: five weeks of company news, told from the ledger's Decisions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.clock import from_us
from trueup.core.decisions import Decision
from trueup.core.errors import Refused
from trueup.lab.films.demo import WORDS
from trueup.lab.films.tell import Account, Teller
from trueup.lab.news.audience import week_of
from trueup.lab.news.scenes import KEPT, SCENES, table
from trueup.lab.news.weeks import DAYS, Weeks
from trueup.lab.news.world import World, begins
from trueup.loop import why
from trueup.plot import Band, Look, Section, Table, Verdict, save, timeline
from trueup.registry import Reign, reigns

if TYPE_CHECKING:
    from rich.console import Console

    from trueup.loop import Loop

Scores = Mapping[str, Mapping[str, float]]


def demo(
    home: Path | None = None, *, quiet: bool = False, world: World | None = None, seed: int | None = None,
    console: Console | None = None, configure: Callable[[Loop], Loop] | None = None,
) -> Account:
    """Play five weeks in `home` (a new temporary folder where it is None), and tell them.

    The base model is trained first; nothing is downloaded. `seed` is of everything random in it (None: the
    world's own). Each scene holds the ledger's Decisions
    to what it tells; `Account.holds` is False where one did not come out. With `quiet` nothing is
    printed, and the account has it all (`Account.to_json`). `configure` may change the loop that
    is played. Raises Refused where `home` is not empty, MissingDependency without `trueup[lora]`.
    """
    home = Path(home or tempfile.mkdtemp(prefix="trueup-news-")).absolute()
    if home.exists() and any(home.iterdir()):
        raise Refused(
            f"expected an empty folder for the demo, got {home}", cure="name a new one with --home"
        )
    teller = Teller(home, quiet=quiet, console=console, days=DAYS)
    with teller.telling():
        played = world or World()
        made = Weeks(home, played if seed is None else replace(played, seed=seed), progress=teller.progress, configure=configure)
        with closing(made) as weeks:
            for title, tell in SCENES:
                with teller.scene(title):
                    tell(teller, weeks)
            with teller.scene("The five weeks"):
                _look_back(teller, weeks)
    return teller.account


def _look_back(teller: Teller, weeks: Weeks) -> None:
    """What was forgotten, the champions, and where to look further."""
    known = table(teller, weeks)
    cohorts = list(dict.fromkeys(cohort for scores in known.values() for cohort in scores))
    _print(teller, known, cohorts)
    least = min((score for scores in known.values() for score in scores.values()), default=0.0)
    teller.expect(
        len(known) == 1 + len(weeks.world.news) and least >= KEPT,
        f"no cohort was forgotten: the least score of any cohort after any week is {least:.3f}",
        f"every cohort at {KEPT:g} after each of {len(weeks.world.news)} weeks",
    )
    champions = reigns(weeks.ledger, weeks.loop.name)
    page = _page(weeks, known, cohorts, champions)
    teller.say("Champions:")
    teller.items([
        f"{reign.candidate}  {from_us(reign.since):%b %d} to "
        f"{f'{from_us(reign.until):%b %d}' if reign.until else 'now'}: {reign.reason}"
        for reign in champions
    ])
    teller.expect(
        len(champions) == 3, f"{len(champions)} champions, each by a Decision", "three champions: the base and two adapters"
    )
    ends = [one for one in weeks.decisions if one.kind in ("promote", "rollback")]
    same = [why(weeks.ledger, one.id).matches for one in ends]
    teller.expect(
        bool(same) and all(same),
        f"the verdicts of {len(ends)} releases recomputed from the ledger's rows, the same bit by bit: {all(same)}",
        "the same verdicts from the ledger's rows",
    )
    ident = ends[-1].id if ends else weeks.decisions[-1].id
    home = weeks.home
    teller.account.commands = (
        f"trueup --home {home} status", f"trueup --home {home} why {ident}",
        f"trueup --home {home} plan {home / 'loop.py'}",
    )
    teller.say(f"The weeks as a page: {page}")
    teller.say("To look further:")
    for command in teller.account.commands:
        teller.say(command, "bold", indent=4)
    teller.account.scenes[-1].facts.update(
        forgetting={name: dict(scores) for name, scores in known.items()}, timeline=str(page),
        champions=[one.candidate for one in champions],
    )


def _print(teller: Teller, known: Scores, cohorts: Sequence[str]) -> None:
    """The forgetting table: a row a cohort, a column a training."""
    teller.say("What was known of each cohort's golden questions after each training:")
    teller.say(f"{'cohort':<10}" + "".join(f"{name:>9}" for name in known), indent=4)
    for cohort in cohorts:
        cells = [f"{scores[cohort]:.3f}" if cohort in scores else "-" for scores in known.values()]
        teller.say(f"{cohort:<10}" + "".join(f"{cell:>9}" for cell in cells), indent=4)


def by_week(made: Sequence[Decision]) -> list[Look]:
    """What was decided in each week, in one word each and in order."""
    looks = []
    for week, group in groupby(made, key=lambda one: week_of(from_us(one.at))):
        named = [(one, WORDS[one.kind, one.verdict]) for one in group if (one.kind, one.verdict) in WORDS]
        words = list(dict.fromkeys(word for _, word in named))
        told = [word for word in words if word != "rest"] or words
        reasons = "; ".join(dict.fromkeys(one.reason for one, word in named if word in told))
        looks.append(Look(begins(week), told or ["rest"], reasons, f"week {week}"))
    return looks


def _page(weeks: Weeks, known: Scores, cohorts: Sequence[str], champions: Sequence[Reign]) -> Path:
    bands = [
        Band(reign.candidate, from_us(reign.since), from_us(reign.until) if reign.until else None)
        for reign in champions
    ]
    chart = timeline(
        by_week(weeks.decisions), bands, title="Five weeks of news",
        desc="What was decided in each week, and who was champion.",
    )
    forgetting = Table.of(
        ["cohort", *known],
        [[cohort, *(round(scores[cohort], 3) if cohort in scores else None for scores in known.values())] for cohort in cohorts],
        "Share of right answers to held-out questions, after each training",
    )
    decided = Table.of(
        ["decided", "verdict", "reason", "id"],
        [[f"{from_us(one.at):%b %d}", one.verdict, one.reason, one.id] for one in weeks.decisions
         if (one.kind, one.verdict) != ("look", "REST")],
    )
    words = f"{len(weeks.decisions)} Decisions, {len(champions)} champions"
    html, _ = save(
        weeks.home, "Five weeks of news",
        [Section("The weeks", [Verdict(words), chart]), Section("What was forgotten", [forgetting]),
         Section("Decisions", [decided])], name="weeks",
    )
    return html
