# SPDX-License-Identifier: Apache-2.0
"""The scenes of the five weeks: each tells what the ledger's Decisions say, and holds them to it."""

from __future__ import annotations

from collections.abc import Sequence

from trueup.core.decisions import Decision
from trueup.evaluate import NoWorse
from trueup.lab.course import (
    NO_CAP,
    capped,
    failed_slices,
    good_but_harmful,
    passed,
    pick,
    proven,
    released,
    rested,
    trained,
    without_cap,
)
from trueup.lab.news.audience import FLOODER, LIAR
from trueup.lab.news.weeks import Weeks
from trueup.lab.news.world import DAY, FOUNDING, begins
from trueup.lab.tell import Teller
from trueup.loop import look_due
from trueup.state import candidate as registered
from trueup.stats import needed_items, paired_pass_probability

NEW, KEPT = 0.93, 0.90   # of its golden questions: what a week's news must reach, and no cohort fall below
SMALL_LOSS = 0.02        # a true loss that a gate should let pass: the forecast is printed for it


def the_world(teller: Teller, weeks: Weeks) -> None:
    loop, world = weeks.loop, weeks.world
    teller.say(
        f"{world.companies} companies, of each its head, city and product; each fact can be asked for in 5 ways, one "
        f"of which is held out as golden. {world.readers} readers a day ask, closed book. Each week the desk tells of "
        f"{world.arrive} new companies and {world.change} new heads of old ones; editors check a quarter of the questions."
    )
    first = next(iter(pick(weeks.decisions, "install", "PROMOTE")), None)
    problems = [str(problem) for problem in loop.check() if problem.severe]
    teller.expect(
        not problems, "; ".join(problems) or "trueup check finds nothing that cannot work", "no severe problem"
    )
    seen = scores(weeks, [FOUNDING])
    teller.expect(
        first is not None and seen[FOUNDING] >= 0.90,
        f"the base model, made here on what was true before, is right on {seen[FOUNDING]:.3f} of the golden questions",
        "a base model that knows at least .90 of the old facts",
    )
    _forecast(teller, weeks)
    teller.account.scenes[-1].facts.update(base=seen)


def _forecast(teller: Teller, weeks: Weeks) -> None:
    """Which sizes of cohort take which gate: from the forecast, at a true loss of two points."""
    gate = next(gate for gate in weeks.loop.gates if isinstance(gate, NoWorse))
    week = 3 * weeks.world.arrive
    teller.say(
        f"The forecast that chose the gates: NoWorse by {gate.by:g} at level {gate.level:g} lets a model pass that is "
        f"worse by {SMALL_LOSS:g}, where the two differ on 10 % of the items, with probability"
    )
    table = {}
    for size in sorted({week, 3 * week, 3 * weeks.world.companies}):
        chance = paired_pass_probability(size, 0.10, gate.by, gate.level, -SMALL_LOSS) if size >= needed_items(gate.by, gate.level) else 0.0
        table[size] = round(chance, 3)
        kind = "tested" if size >= gate.least else f"too few of {gate.least}: held to a floor alone"
        teller.say(f"{chance:.2f} on {size} items ({kind})", indent=4)
    teller.account.scenes[-1].facts.update(forecast=table)


def scores(weeks: Weeks, cohorts: Sequence[str]) -> dict[str, float]:
    """The champion's share of right answers by cohort, on the golden set as it is."""
    from trueup.evaluate import Exact, evaluate
    from trueup.models import load

    champion = weeks.champion
    assert champion is not None
    model = load(weeks.ledger.artifacts.path(registered(weeks.ledger, weeks.loop.name, champion).model))
    items = weeks.loop.golden()[0].load()
    found = evaluate(model.predict, None, items, scorers=[Exact()])
    return {one.slice: float(one.challenger.mean or 0.0) for one in found.by("cohort") if one.slice in cohorts}


def by_cohort(decision: Decision | None) -> dict[str, float]:
    """The share of right answers of a candidate by cohort, out of its gates' evidence."""
    found: dict[str, float] = {}
    for gate in decision.evidence.get("gates", ()) if decision is not None else ():
        for part in gate["evidence"].get("floors", ()):
            if part["by"] == "cohort":
                found[part["slice"]] = part["challenger"]["mean"]
    return found


def quiet(teller: Teller, weeks: Weeks) -> None:
    made = weeks.until(begins(2))
    rested(teller, made, "Week 1")


def news(teller: Teller, weeks: Weeks) -> None:
    """The first week with news: trained, gated by cohort, shadow, canary, promoted."""
    made = weeks.until(begins(4) - DAY / 2)
    candidate = trained(teller, made)
    end = released(teller, made)
    _learned(teller, weeks, candidate, "week 2")
    shown = proven(made)
    teller.expect(
        bool(shown) and shown["new"] > shown["old"],
        f"in shadow it was right on {shown['new']:.3f} of {shown['n']} checked questions, the champion on "
        f"{shown['old']:.3f}" if shown else "",
        "a shadow that shows it to be better",
    )
    _promoted(teller, end)


def _learned(teller: Teller, weeks: Weeks, candidate: Decision | None, week: str) -> None:
    found = by_cohort(candidate)
    passed(teller, candidate, "its candidate passed the golden gates, each cohort by itself")
    told = ", ".join(f"{name} {score:.3f}" for name, score in found.items())
    teller.expect(
        found.get(week, 0.0) >= NEW and all(score >= KEPT for score in found.values()),
        f"it knows the news and forgot little: {told}", f"{week} at {NEW:g} and every cohort at {KEPT:g}",
    )
    teller.account.scenes[-1].facts.update(cohorts=found, cpu=_cost(teller, weeks, candidate))


def _cost(teller: Teller, weeks: Weeks, candidate: Decision | None) -> dict[str, float]:
    """Where the processor's seconds of a training went."""
    if candidate is None or candidate.subject is None:
        return {}
    facts = registered(weeks.ledger, weeks.loop.name, candidate.subject).facts
    whole, part, steps = float(facts["cpu_seconds"]), facts["cpu"], int(facts["steps"])
    teller.say(
        f"Its adapter took {whole:.1f} s of processor time: {part['steps']:.1f} for {steps} steps "
        f"({1e3 * part['steps'] / steps:.0f} ms each), {whole - part['steps']:.1f} to load the libraries and the base, to "
        "save it, and to ask it.", indent=2,
    )
    return {"all": whole, "steps": float(part["steps"])}


def _promoted(teller: Teller, end: Decision | None) -> None:
    held = end is not None and end.kind == "promote"
    got = f"{end.kind}: {end.reason}" if end else ""
    teller.expect(held, f"promoted: {end.subject}" if held and end else got, "a promotion")


def poisoned(teller: Teller, weeks: Weeks) -> None:
    """The week of the flood, with the cap on the demo's ledger, and without it on a copy."""
    other: list[Decision] = []

    def before() -> None:
        if not other and look_due(weeks.loop, weeks.ledger) and weeks.loop.plan(weeks.ledger).trains:
            other.extend(without_cap(weeks))

    made = weeks.until(begins(5) - DAY / 2, before)
    lies = weeks.world.lies
    teller.say(
        f"In week 3 one account, {FLOODER}, asks who heads {lies} old companies, in every way that trains, and files "
        f"each time that it is {LIAR}: {4 * lies} rows, more than the desk's own."
    )
    teller.say("With CapPerUnit in the recipe:", "bold")
    candidate = trained(teller, made)
    end = released(teller, made)
    dropped, of = capped(candidate)
    teller.expect(
        dropped > of / 4, f"the cap dropped {dropped:,} of {of:,} rows ({dropped / max(of, 1):.0%}), all of one unit",
        "a cap that drops more than a quarter of the rows",
    )
    _learned(teller, weeks, candidate, "week 3")
    _promoted(teller, end)
    teller.say(f"The same look on a copy of the ledger ({NO_CAP}), with the cap taken out of the recipe:", "bold")
    refused = trained(teller, other)
    failed = failed_slices(refused)
    named = ", ".join(f"{by} {name}" if by else "overall" for by, name in failed)
    teller.expect(
        refused is not None and refused.kind == "stop" and ("age", FOUNDING) in failed,
        f"refused by the gates: {named}" if named else (refused.reason if refused else ""),
        f"a refusal on the slice age {FOUNDING}",
    )
    teller.account.scenes[-1].facts.update(
        dropped=dropped, of=of, refused=refused.id if refused else None, without_cap=by_cohort(refused),
    )


def harmful(teller: Teller, weeks: Weeks) -> None:
    """The third week with news: good in the lab and in shadow, harmful where it serves."""
    before = weeks.champion
    teller.say(
        "In week 5 the platform team brings a new serving process. The model is good; the process fails half of what "
        "readers ask of whatever is newly deployed, and is slow with the rest."
    )
    made = weeks.until(begins(6))
    candidate = trained(teller, made)
    end = released(teller, made)
    _learned(teller, weeks, candidate, "week 4")
    good_but_harmful(teller, made, end, kept=weeks.champion == before)


def table(teller: Teller, weeks: Weeks) -> dict[str, dict[str, float]]:
    """What each candidate knows, by cohort: out of the evidence of its gates."""
    found: dict[str, dict[str, float]] = {"base": teller.account.scenes[0].facts.get("base", {})}
    trained_weeks = [one for one in weeks.decisions if one.kind in ("candidate", "stop") and one.evidence.get("gates")]
    for week, decision in zip(weeks.world.news, trained_weeks, strict=False):
        found[f"week {week}"] = by_cohort(decision)
    return found


SCENES = (
    ("0  The world and its base model", the_world),
    ("1  Week 1: no news", quiet),
    ("2  Week 2: news", news),
    ("3  Week 3: news, and a flood of false answers", poisoned),
    ("4  Week 4: news, and harmful where it serves", harmful),
)
