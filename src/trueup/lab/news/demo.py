# SPDX-License-Identifier: Apache-2.0
"""`trueup demo news`: five weeks of company news, told from the ledger's Decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.decisions import Decision
from trueup.lab.course import bands, decided, ending, looks
from trueup.lab.news.audience import week_of
from trueup.lab.news.scenes import KEPT, SCENES, table
from trueup.lab.news.weeks import DAYS, Weeks
from trueup.lab.news.world import World, begins
from trueup.lab.played import fresh
from trueup.lab.tell import Account, Teller
from trueup.plot import Look, Section, Table, Verdict, save, timeline
from trueup.registry import reigns

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
    home = fresh(home, "news")
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
    ending(teller, weeks, _page(weeks, known, cohorts), "three champions: the base and two adapters")
    teller.account.scenes[-1].facts.update(forgetting={name: dict(scores) for name, scores in known.items()})


def _print(teller: Teller, known: Scores, cohorts: Sequence[str]) -> None:
    """The forgetting table: a row a cohort, a column a training."""
    teller.say("What was known of each cohort's golden questions after each training:")
    teller.say(f"{'cohort':<10}" + "".join(f"{name:>9}" for name in known), indent=4)
    for cohort in cohorts:
        cells = [f"{scores[cohort]:.3f}" if cohort in scores else "-" for scores in known.values()]
        teller.say(f"{cohort:<10}" + "".join(f"{cell:>9}" for cell in cells), indent=4)


def by_week(made: Sequence[Decision]) -> list[Look]:
    """What was decided in each week."""
    return looks(made, lambda at: begins(week_of(at)), lambda start: f"week {week_of(start)}")


def _page(weeks: Weeks, known: Scores, cohorts: Sequence[str]) -> Path:
    champions = reigns(weeks.ledger, weeks.loop.name)
    chart = timeline(
        by_week(weeks.decisions), bands(champions), title="Five weeks of news",
        desc="What was decided in each week, and who was champion.",
    )
    forgetting = Table.of(
        ["cohort", *known],
        [[cohort, *(round(scores[cohort], 3) if cohort in scores else None for scores in known.values())] for cohort in cohorts],
        "Share of right answers to held-out questions, after each training",
    )
    words = f"{len(weeks.decisions)} Decisions, {len(champions)} champions"
    html, _ = save(
        weeks.home, "Five weeks of news",
        [Section("The weeks", [Verdict(words), chart]), Section("What was forgotten", [forgetting]),
         Section("Decisions", [decided(weeks.decisions)])], name="weeks",
    )
    return html
