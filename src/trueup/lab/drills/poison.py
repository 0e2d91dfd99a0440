# SPDX-License-Identifier: Apache-2.0
"""One user floods the feedback with false labels: the cap holds what they can do to the model."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from trueup.core.clock import to_us
from trueup.lab.drills._drill import Drill, explained

if TYPE_CHECKING:
    from trueup.core.decisions import Decision
    from trueup.lab.films import Year
    from trueup.lab.tell import Teller

SHARE = 0.01     # of the rows of a window, what one unit may contribute
BOUND = 0.05     # of accuracy on the golden set, what the flood may cost the flooded genre
UNITS = 3_000
WHO = "the poison drill"
WEEK = datetime(2025, 1, 6, tzinfo=UTC)     # the look after the flood


def _run(teller: Teller, seed: int) -> None:
    from trueup.lab.films import World, Year
    from trueup.store import Ledger

    world = World(seed=seed + 7, units=UNITS, wave=None, flood=1, broken=None)
    home = teller.account.home
    with (
        closing(Year(home / "flooded", world, progress=teller.progress)) as flooded,
        closing(Year(home / "calm", replace(world, flood=None), progress=teller.progress)) as calm,
    ):
        with teller.scene("The same week, with the flood and without it"):
            without = _flooded(flooded)
            _calm(calm)
            saw = _look(flooded)
            teller.expect(saw.verdict == "TRAIN", f"the look saw it: {saw.reason}", "a look that trains")
            _funnel(teller, _made(flooded.decisions))
        with teller.scene(f"What it cost {world.flood_from}, on the golden set"):
            _cost(teller, world.flood_from, {
                "calm": _made(calm.decisions), "with the cap": _made(flooded.decisions), "without": _made(without),
            })
        with teller.scene("Why"):
            explained(teller, flooded.ledger, _look(flooded), _made(flooded.decisions))
            with Ledger.open(flooded.home / "without-cap", clock=flooded.clock) as copy:
                explained(teller, copy, _made(without))


def _flooded(year: Year) -> list[Decision]:
    """The week of the flood, to the look that trains; what it gives on a copy without the cap."""
    from trueup.loop import look_due

    without: list[Decision] = []

    def before() -> None:
        if not without and look_due(year.loop, year.ledger) and year.loop.plan(year.ledger).trains:
            without.extend(_without_cap(year))

    year.until(WEEK, before)
    return without


def _calm(year: Year) -> None:
    """The same week without the flood, and a training because somebody asks for one."""
    from trueup.loop import request

    year.until(WEEK - timedelta(days=1))
    year.client.flush()
    request(year.ledger, year.loop.name, WHO)
    year.until(WEEK)


def _without_cap(year: Year) -> list[Decision]:
    """The look that is due, on a copy of the ledger, with the cap taken out of the recipe."""
    from trueup.curate import CapPerUnit
    from trueup.loop import run

    recipe = year.loop.recipe
    steps = tuple(step for step in recipe.curate if not isinstance(step, CapPerUnit))
    loop = replace(year.loop, recipe=replace(recipe, curate=steps))
    with closing(year.copy(year.home / "without-cap")) as ledger:
        return run(loop, ledger, base=year.home)


def _look(year: Year) -> Decision:
    """The look that saw the flood."""
    return next(one for one in year.decisions if one.kind == "look" and one.at == to_us(WEEK))


def _made(decisions: list[Decision]) -> Decision:
    """What the last training came to: a candidate, or the gates' refusal of one."""
    return next(one for one in reversed(decisions) if one.kind in ("candidate", "stop"))


def _funnel(teller: Teller, made: Decision) -> None:
    from trueup.lab.course import funnel, narrowed

    found = funnel(made)
    teller.say("the Snapshot of the flooded weeks:")
    teller.items(narrowed(found))
    step = next(step for step in found.steps if step.name == "cap_per_unit" and step.part == "new")
    dropped, cap = sum(step.dropped.values()), step.facts["cap in rows"]
    left = step.rows_out
    teller.expect(
        dropped > 0.2 * step.rows_in, f"the cap dropped {dropped:,} of {step.rows_in:,} rows, all of one account",
        "a flood that the cap cuts",
    )
    teller.expect(
        cap <= SHARE * left + 1, f"no account holds more than {cap} of the {left:,} rows that are learned ({SHARE:.0%})",
        f"at most {SHARE:.0%} of the rows for one account",
    )


def _cost(teller: Teller, genre: str, made: dict[str, Decision]) -> None:
    """Accuracy on the flooded genre's golden items: calm weeks, flooded ones, and without a cap."""
    right = {name: _accuracy(decision, genre) for name, decision in made.items()}
    for name, share in right.items():
        teller.say(f"{name:<14}{share:.3f} right on {genre}; {made[name].kind}: {made[name].reason}", indent=2)
    lost = {name: right["calm"] - right[name] for name in ("with the cap", "without")}
    teller.expect(
        lost["with the cap"] <= BOUND, f"with the cap the flood cost {lost['with the cap']:.3f}, at most {BOUND}",
        f"a cost of at most {BOUND}",
    )
    teller.expect(
        lost["without"] > BOUND, f"without it {lost['without']:.3f}: the bound is the cap's doing",
        f"a cost of more than {BOUND} without the cap",
    )
    teller.expect(
        made["with the cap"].verdict == "PASS", "the candidate of the flooded weeks passed its gates",
        "a candidate that passes",
    )
    teller.expect(
        made["without"].kind == "stop", "and the gates refused the one that learned from all of it", "a refusal",
    )
    teller.account.scenes[-1].facts.update(right=right, lost=lost)


def _accuracy(made: Decision, genre: str) -> float:
    """The candidate's share of right answers on a genre, as the paired gate measured it."""
    parts: list[dict[str, Any]] = [
        part for gate in made.evidence["gates"] for part in gate["evidence"].get("parts", ())
    ]
    return float(next(part["challenger"] for part in parts if part["slice"] == genre))


DRILL = Drill(
    name="poison",
    id="DRL-03",
    failure="one account files as many labels in six days as half of what everybody files in a month, all of them false",
    seen=f"at most {SHARE:.0%} of the rows learned are theirs, and the genre that they aim at loses at most {BOUND} of accuracy",
    run=_run,
)
