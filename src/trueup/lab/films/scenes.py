# SPDX-License-Identifier: Apache-2.0
"""The scenes of the year: each tells what the ledger's Decisions say, and holds them to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

from trueup.core.clock import from_us
from trueup.core.decisions import Decision
from trueup.curate import CapPerUnit
from trueup.data import Funnel, FunnelStep
from trueup.lab.films.audience import FLOODER
from trueup.lab.films.harm import units_to_see
from trueup.lab.films.tell import Teller
from trueup.lab.films.world import START, YEAR
from trueup.lab.films.year import DAY, Year
from trueup.loop import look_due, request, run

NO_CAP = "without-cap"


def month(number: int) -> datetime:
    """The first moment of a month of the year; 13 is the year's end."""
    return datetime(YEAR + (number - 1) // 12, (number - 1) % 12 + 1, 1, tzinfo=START.tzinfo)


def pick(made: Sequence[Decision], kind: str, verdict: str | None = None) -> list[Decision]:
    return [one for one in made if one.kind == kind and verdict in (None, one.verdict)]


def day(decision: Decision) -> str:
    at = from_us(decision.at)
    return f"{at:%b} {at.day}" + (f", {at:%H:%M}" if at.hour else "")


# -- what Decisions say ---------------------------------------------------------------------------


def reasons(decision: Decision) -> list[str]:
    """Each trigger of a look, with its evidence against its line."""
    found = decision.evidence["result"]
    return [
        f"{'x' if part['holds'] else '-'} {kind} {part['part']}: {part['reason']}"
        for kind in ("when", "unless") for part in found[kind]
    ]


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
        teller.items(reasons(rests[-1]))
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


# -- the scenes -----------------------------------------------------------------------------------


def the_world(teller: Teller, year: Year) -> None:
    loop, world = year.loop, year.world
    teller.say(
        f"{world.units:,} people a month ask for a film's genre, given its description and its star. The "
        "catalogue's editors file about a quarter of those films some days later, whatever was answered."
    )
    items = len(next(iter(loop.golden())).load())
    promise = loop.risk.wrong_promotion
    teller.say(
        f"{items:,} films of {YEAR - 1} are the golden set. The promise: at most {promise:.0%} that a worse "
        f"model is ever promoted; at most {loop.false_alarms_per_year:g} false alarm a year."
    )
    first = next(iter(pick(year.decisions, "install", "PROMOTE")), None)
    problems = [str(problem) for problem in loop.check() if problem.severe]
    teller.expect(
        not problems, "; ".join(problems) or "trueup check finds nothing that cannot work", "no severe problem"
    )
    if first is not None:
        teller.items(gates(first))
    teller.expect(
        first is not None, f"first champion, trained on history: {first.subject}" if first else "",
        "a first champion from history",
    )


def nothing_moved(teller: Teller, year: Year) -> None:
    made = year.until(month(2))
    rested(teller, made, "January")


def new_wave(teller: Teller, year: Year) -> None:
    made = year.until(month(4))
    teller.say(f"From February on half of the films are told in new words, such as {example(year)}.")
    candidate = trained(teller, made)
    end = released(teller, made)
    fired = pick(made, "look", "TRAIN")
    falls = [part for look in fired for part in look.evidence["result"]["when"] if part["holds"]]
    evidence = falls[0]["evidence"] if falls else {}
    teller.expect(
        len(fired) == 1 and [part["part"] for part in falls] == ["falls"],
        f"Falls fired once: {evidence['recent']:.3f} against a floor of {evidence['floor']:g}, "
        f"with at most {evidence['false_alarms_per_year']:g} false alarm a year"
        if evidence else f"{len(fired)} trainings",
        "one training, for Falls",
    )
    passed(teller, candidate, "its candidate passed the golden gates")
    shown = proven(made)
    teller.expect(
        bool(shown) and shown["new"] > shown["old"],
        f"in shadow it was right on {shown['new']:.3f} of {shown['n']} labelled units, the champion on "
        f"{shown['old']:.3f}" if shown else "",
        "a shadow that shows it to be better",
    )
    _promoted(teller, made, end)
    teller.account.scenes[-1].facts.update(
        shadow={name: shown.get(name) for name in ("n", "new", "old", "wealth", "disagreement")}
    )


def passed(teller: Teller, candidate: Decision | None, what: str) -> None:
    """Hold a training to its candidate: it passed the golden gates."""
    good = candidate is not None and candidate.verdict == "PASS"
    reason = candidate.reason if candidate is not None else ""
    teller.expect(good, what if good else reason, "a candidate that passes the golden gates")


def _promoted(teller: Teller, made: Sequence[Decision], end: Decision | None) -> None:
    approved = pick(made, "approve")
    if end is not None and end.kind == "promote" and approved:
        what = f"promoted on {day(end)}, approved by {approved[0].actor}"
        teller.expect(True, what, "")
    else:
        teller.expect(False, f"{end.kind} on {day(end)}: {end.reason}" if end else "", "a promotion")


def example(year: Year) -> str:
    """Some words of the new wave that were asked about in February."""
    from trueup.lab.films.words import WAVE

    new = [word for words in WAVE.values() for word in words.split()]
    seen = " ".join(film.input["description"] for film in year.world.films(40, month(2).date(), "asked"))
    return ", ".join([word for word in new if word in seen.split()][:4])


def flooded(teller: Teller, year: Year) -> None:
    """The month of the flood, with the cap on the demo's ledger, and without it on a copy."""
    other: list[Decision] = []

    def before() -> None:
        if not other and look_due(year.loop, year.ledger) and year.loop.plan(year.ledger).trains:
            other.extend(_without_cap(year))

    made = year.until(month(6), before)
    world = year.world
    teller.say(
        f"In six days of April one account, {FLOODER}, sends films of {world.flood_from} and files each of "
        f"them under {world.flood_to}: half as many rows as the editors file in a month."
    )
    teller.say("With CapPerUnit(0.01) in the recipe:", "bold")
    candidate = trained(teller, made)
    end = released(teller, made)
    dropped, of = capped(candidate)
    teller.expect(
        dropped > of / 4,
        f"the cap dropped {dropped:,} of {of:,} rows ({dropped / max(of, 1):.0%}), all of one unit",
        "a cap that drops more than a quarter of the rows",
    )
    passed(teller, candidate, "what was left was learned: its candidate passed the golden gates")
    _promoted(teller, made, end)
    teller.say(f"The same look on a copy of the ledger ({NO_CAP}), with the cap taken out of the recipe:", "bold")
    refused = trained(teller, other)
    failed = failed_slices(refused)
    named = ", ".join(f"{by} {name}" for by, name in failed if by)
    teller.expect(
        refused is not None and refused.kind == "stop" and ("genre", world.flood_from) in failed,
        f"refused by the gate on a slice: {named}" if named else (refused.reason if refused else ""),
        f"a refusal on the slice genre {world.flood_from}",
    )
    teller.account.scenes[-1].facts.update(
        dropped=dropped, of=of, refused=refused.id if refused else None,
        failed=[list(part) for part in failed],
    )


def capped(candidate: Decision | None) -> tuple[int, int]:
    """Rows that the cap dropped from the window, and rows of the window."""
    steps = funnel(candidate).steps if candidate is not None and "funnel" in candidate.evidence else ()
    new = {step.name: step for step in steps if step.part == "new"}
    if not {"window", "cap_per_unit"} <= new.keys():
        return 0, 0
    return sum(new["cap_per_unit"].dropped.values()), new["window"].rows_out


def _without_cap(year: Year) -> list[Decision]:
    """What the loop would decide now without the cap: run on a copy of the ledger."""
    recipe = year.loop.recipe
    steps = tuple(step for step in recipe.curate if not isinstance(step, CapPerUnit))
    loop = replace(year.loop, recipe=replace(recipe, curate=steps))
    with closing(year.copy(year.home / NO_CAP)) as ledger:
        return run(loop, ledger, base=year.home, progress=year.progress)


def failed_slices(refused: Decision | None) -> list[tuple[str, str]]:
    """(slicing, slice) of each part of the golden sets on which a candidate failed."""
    if refused is None:
        return []
    parts: Iterator[dict[str, Any]] = (
        part for gate in refused.evidence.get("gates", ()) for part in gate["evidence"].get("parts", ())
    )
    return [(part["by"], part["slice"]) for part in parts if not part["passed"]]


def quiet_summer(teller: Teller, year: Year) -> None:
    made = year.until(month(9) - DAY)
    rested(teller, made, "June to August")


def harmful(teller: Teller, year: Year) -> None:
    teller.say(
        "The platform team brings a new serving process, and asks for a fresh model for it. The model is "
        "good. The process fails half of what users send it, and is slow with the rest."
    )
    request(year.ledger, year.loop.name, "the platform team")
    made = year.until(month(10))
    candidate = trained(teller, made)
    end = released(teller, made)
    passed(teller, candidate, "it passed the golden gates")
    shown = proven(made)
    teller.expect(
        bool(shown),
        f"and the shadow, {shown['new']:.3f} against {shown['old']:.3f}: its answers are good" if shown else "",
        "a shadow that passes",
    )
    if end is not None and end.kind == "rollback" and end.evidence.get("method") == "canary":
        teller.expect(True, "the canary rolled it back by itself; the champion serves everybody again", "")
        how_fast(teller, end)
    else:
        got = f"{end.kind} on {day(end)}: {end.reason}" if end else ""
        teller.expect(False, got, "a rollback by the canary")


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


def to_the_end(teller: Teller, year: Year) -> None:
    champion = year.champion
    made = year.until(month(13))
    rested(teller, made, "October to December")
    routing = year.ledger.state(year.loop.name)[1]["routing"]
    teller.expect(
        year.champion == champion and routing["challenger"] is None,
        f"the year ends with {year.champion} serving everybody, the champion since spring",
        f"{champion} to serve to the end",
    )


SCENES = (
    ("0  The world and its first champion", the_world),
    ("1  January: nothing moved", nothing_moved),
    ("2  February: a new wave of films", new_wave),
    ("3  April: a flood from one account", flooded),
    ("   Summer", quiet_summer),
    ("4  September: good in the lab, harmful live", harmful),
    ("5  Autumn: to the end of the year", to_the_end),
)
