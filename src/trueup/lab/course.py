# SPDX-License-Identifier: Apache-2.0
"""What a loop's Decisions say, told: looks, trainings, releases, and how it all ended. The same for every demo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from trueup.core.clock import from_us
from trueup.core.decisions import Decision
from trueup.curate import CapPerUnit
from trueup.data import Funnel, FunnelStep
from trueup.lab.harm import units_to_see
from trueup.lab.played import Played
from trueup.lab.tell import Teller
from trueup.loop import run, why
from trueup.loop.look import look_lines
from trueup.plot import Band, Look, Table
from trueup.registry import Reign, reigns

NO_CAP = "without-cap"
WORDS = {
    ("look", "REST"): "rest", ("look", "TRAIN"): "trained", ("install", "PROMOTE"): "promoted",
    ("promote", "PROMOTE"): "promoted", ("stop", "REFUSE"): "refused", ("refuse", "REFUSE"): "refused",
    ("rollback", "ROLLBACK"): "rolled back", ("invalid", "INVALID"): "invalid",
}


def pick(made: Sequence[Decision], kind: str, verdict: str | None = None) -> list[Decision]:
    return [one for one in made if one.kind == kind and verdict in (None, one.verdict)]


def day(decision: Decision) -> str:
    at = from_us(decision.at)
    return f"{at:%b} {at.day}" + (f", {at:%H:%M}" if at.hour else "")


def gates(decision: Decision) -> list[str]:
    return [
        f"{'passed' if gate['passed'] else 'FAILED'}: {gate['reason']}"
        for gate in decision.evidence["gates"]
    ]


def funnel(decision: Decision) -> Funnel:
    return Funnel.from_json(decision.evidence["funnel"])


def narrowed(made: Funnel) -> list[str]:
    """The funnel's steps that dropped something, and what it gave."""
    steps = [replace(step, facts=_told(step)) for step in made.steps if step.dropped]
    total = sum(step.rows_out for step in (_last(made, "new"), _last(made, "replay")) if step)
    return [*Funnel(tuple(steps)).lines(), f"{'rows to learn from':<42}{total:>9,}"]


def _told(step: FunnelStep) -> dict[str, Any]:
    names = ("cap in rows", "largest")
    return {name: fact for name, fact in step.facts.items() if name in names and step.part == "new"}


def _last(made: Funnel, part: str) -> FunnelStep | None:
    return next((step for step in reversed(made.steps) if step.part == part), None)


def rested(teller: Teller, made: Sequence[Decision], when: str) -> None:
    """A time in which the loop looked, did not train, and said why."""
    rests = pick(made, "look", "REST")
    if rests:
        teller.say(f"{when}: it looked and rested {len(rests)} times. On {day(rests[-1])}, in its own words:")
        teller.items(look_lines(rests[-1].evidence["result"]))
    teller.expect(
        bool(rests) and len(rests) == len(made),
        f"{len(rests)} looks, each with its reasons; {len(made) - len(rests)} other Decisions",
        "nothing but looks that rest",
    )


def released(teller: Teller, made: Sequence[Decision]) -> Decision | None:
    """A release from its first look to its end; the Decision that ended it."""
    start = next(iter(pick(made, "start")), None)
    if start is None:
        return None
    teller.say(f"{day(start)}  release of {start.subject}: {start.reason}")
    steps = [
        one for one in made
        if one.subject == start.subject and one.generation > start.generation
        and one.kind in ("stage", "step", "approve", "promote", "refuse", "rollback", "invalid")
    ]
    for one in steps:
        if not one.reason.startswith("approved by"):
            who = f" by {one.actor}" if one.kind == "approve" else ""
            teller.say(f"{day(one)}  {one.verdict}{who}: {one.reason}", indent=2)
    return steps[-1] if steps else None


def trained(teller: Teller, made: Sequence[Decision]) -> Decision | None:
    """From the look that fired to the candidate that passed its gates."""
    look = next(iter(pick(made, "look", "TRAIN")), None)
    if look is None:
        return None
    teller.say(f"{day(look)}  TRAIN: {look.reason}")
    found = [
        one for kind in ("candidate", "stop") for one in pick(made, kind)
        if one.generation > look.generation
    ]
    if found and "funnel" in found[0].evidence:
        teller.say("its Snapshot:", indent=2)
        teller.items(narrowed(funnel(found[0])))
    if found and "gates" in found[0].evidence:
        teller.say(f"the gates for {found[0].subject or 'its candidate'}:", indent=2)
        teller.items(gates(found[0]))
    return found[0] if found else None


def proven(made: Sequence[Decision]) -> dict[str, Any]:
    """The shadow's result in the Decision that passed it."""
    for one in pick(made, "stage", "PASS"):
        if one.evidence.get("method") == "shadow":
            return dict(one.evidence["result"])
    return {}


def passed(teller: Teller, candidate: Decision | None, what: str) -> None:
    """Hold a training to its candidate: it passed the golden gates."""
    good = candidate is not None and candidate.verdict == "PASS"
    reason = candidate.reason if candidate is not None else ""
    teller.expect(good, what if good else reason, "a candidate that passes the golden gates")


def capped(candidate: Decision | None) -> tuple[int, int]:
    """Rows that the cap dropped from the window, and rows of the window."""
    steps = funnel(candidate).steps if candidate is not None and "funnel" in candidate.evidence else ()
    new = {step.name: step for step in steps if step.part == "new"}
    if not {"window", "cap_per_unit"} <= new.keys():
        return 0, 0
    return sum(new["cap_per_unit"].dropped.values()), new["window"].rows_out


def failed_slices(refused: Decision | None) -> list[tuple[str, str]]:
    """(slicing, slice) of each part of the golden sets on which a candidate failed."""
    if refused is None:
        return []
    parts: Iterator[dict[str, Any]] = (
        part for gate in refused.evidence.get("gates", ()) for part in gate["evidence"].get("parts", ())
    )
    return [(part["by"], part["slice"]) for part in parts if not part["passed"]]


def how_fast(teller: Teller, end: Decision) -> None:
    """How many units a canary took to see harm, beside how many it takes by and large."""
    result, parameters = end.evidence["result"], end.evidence["parameters"]
    usual = units_to_see(parameters)
    alone = units_to_see({**parameters, "p95": None})
    crossed = [
        f"{name} at {'failing unit' if name == 'count' else 'unit'} {result[name]['crossed_at']}"
        for name in ("count", "burden", "latency") if result[name]["crossed_at"] is not None
    ]
    teller.say(
        f"By that look {result['units']} units of the slice had matured; lines crossed: {', '.join(crossed)}. "
        f"Over 201 repetitions the median is {usual:.0f} units (by failures alone {alone:.0f}); twice a day "
        "the loop looked here.", indent=2,
    )
    teller.account.scenes[-1].facts.update(units=result["units"], median=usual, median_failures=alone)


def without_cap(played: Played) -> list[Decision]:
    """What the loop would decide now without the cap: run on a copy of the ledger."""
    recipe = played.loop.recipe
    steps = tuple(step for step in recipe.curate if not isinstance(step, CapPerUnit))
    loop = replace(played.loop, recipe=replace(recipe, curate=steps))
    with closing(played.copy(played.home / NO_CAP)) as ledger:
        return run(loop, ledger, base=played.home, progress=played.progress)


def good_but_harmful(teller: Teller, made: Sequence[Decision], end: Decision | None, *, kept: bool) -> None:
    """A release whose candidate was good in shadow, and that the canary rolled back; `kept` is whether the
    champion is the one before it."""
    shown = proven(made)
    teller.expect(
        bool(shown),
        f"and the shadow, {shown['new']:.3f} against {shown['old']:.3f}: its answers are good" if shown else "",
        "a shadow that passes",
    )
    rolled = end is not None and end.kind == "rollback" and end.evidence.get("method") == "canary"
    got = f"{end.kind} on {day(end)}: {end.reason}" if end else ""
    teller.expect(
        rolled and kept,
        "the canary rolled it back by itself; the champion serves everybody again" if rolled else got, "a rollback by the canary",
    )
    if rolled and end is not None:
        how_fast(teller, end)


# -- how it ended ---------------------------------------------------------------------------------


def looks(
    made: Sequence[Decision], period: Callable[[datetime], datetime], name: Callable[[datetime], str]
) -> list[Look]:
    """What was decided in each period, in one word each and in order; one with a training does not show
    its rests. `period` gives a Decision's period by its beginning, `name` a beginning's name."""
    found = []
    for begins, group in groupby(made, key=lambda one: period(from_us(one.at))):
        named = [(one, WORDS[one.kind, one.verdict]) for one in group if (one.kind, one.verdict) in WORDS]
        words = list(dict.fromkeys(word for _, word in named))
        told = [word for word in words if word != "rest"] or words
        reasons = "; ".join(dict.fromkeys(one.reason for one, word in named if word in told and word != "rest"))
        last = [one.reason for one, _ in named][-1] if named else ""
        found.append(Look(begins, told or ["rest"], reasons or last, name(begins)))
    return found


def bands(champions: Sequence[Reign]) -> list[Band]:
    """Who was champion, and when."""
    return [
        Band(reign.candidate, from_us(reign.since), from_us(reign.until) if reign.until else None)
        for reign in champions
    ]


def decided(made: Sequence[Decision]) -> Table:
    """What was decided, but for looks that rested."""
    return Table.of(
        ["decided", "verdict", "reason", "id"],
        [[f"{from_us(one.at):%b %d}", one.verdict, one.reason, one.id] for one in made
         if (one.kind, one.verdict) != ("look", "REST")],
    )


def ending(teller: Teller, played: Played, page: Path, expected: str, when: str = "") -> None:
    """The champions, of whom three are expected (`expected` says which); the releases' verdicts, recomputed;
    and where to look further."""
    champions = reigns(played.ledger, played.loop.name)
    teller.say("Champions:")
    teller.items([
        f"{reign.candidate}  {from_us(reign.since):%b %d} to "
        f"{f'{from_us(reign.until):%b %d}' if reign.until else 'now'}: {reign.reason}"
        for reign in champions
    ])
    teller.expect(len(champions) == 3, f"{len(champions)} champions{when}, each by a Decision", expected)
    ends = [one for one in played.decisions if one.kind in ("promote", "rollback")]
    same = [why(played.ledger, one.id).matches for one in ends]
    teller.expect(
        bool(same) and all(same),
        f"the verdicts of {len(ends)} releases recomputed from the ledger's rows, the same bit by bit: {all(same)}",
        "the same verdicts from the ledger's rows",
    )
    further(teller, played, (ends or played.decisions)[-1], page)
    teller.account.scenes[-1].facts.update(timeline=str(page), champions=[one.candidate for one in champions])


def further(teller: Teller, played: Played, last: Decision, page: Path | None = None) -> None:
    """Where to look further."""
    home = played.home
    teller.account.commands = (
        f"trueup --home {home} status", f"trueup --home {home} why {last.id}", f"trueup --home {home} plan {home / 'loop.py'}",
    )
    if page is not None:
        teller.say(f"As a page: {page}")
    teller.say("To look further:")
    for command in teller.account.commands:
        teller.say(command, "bold", indent=4)
