# SPDX-License-Identifier: Apache-2.0
"""The scenes of the year: each tells what the ledger's Decisions say, and holds them to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from trueup.core.decisions import Decision
from trueup.lab.course import (
    NO_CAP,
    capped,
    day,
    failed_slices,
    gates,
    good_but_harmful,
    passed,
    pick,
    proven,
    released,
    rested,
    trained,
    without_cap,
)
from trueup.lab.films.audience import FLOODER
from trueup.lab.films.world import START, YEAR
from trueup.lab.films.year import DAY, Year
from trueup.lab.tell import Teller
from trueup.loop import look_due, request


def month(number: int) -> datetime:
    """The first moment of a month of the year; 13 is the year's end."""
    return datetime(YEAR + (number - 1) // 12, (number - 1) % 12 + 1, 1, tzinfo=START.tzinfo)


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
            other.extend(without_cap(year))

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


def quiet_summer(teller: Teller, year: Year) -> None:
    made = year.until(month(9) - DAY)
    rested(teller, made, "June to August")


def harmful(teller: Teller, year: Year) -> None:
    teller.say(
        "The platform team brings a new serving process, and asks for a fresh model for it. The model is "
        "good. The process fails half of what users send it, and is slow with the rest."
    )
    before = year.champion
    request(year.ledger, year.loop.name, "the platform team")
    made = year.until(month(10))
    candidate = trained(teller, made)
    end = released(teller, made)
    passed(teller, candidate, "it passed the golden gates")
    good_but_harmful(teller, made, end, kept=year.champion == before)


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
