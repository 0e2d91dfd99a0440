# SPDX-License-Identifier: Apache-2.0
"""The rows that train in the news world, without a model: what is rehearsed (FGT-01), and what of the
flood reaches them (CUR-11)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from trueup.core.clock import ManualClock, to_us
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.data import Mapping, build, import_file
from trueup.lab.news import World
from trueup.lab.news.audience import FLOODER, Audience, published
from trueup.lab.news.world import FOUNDING, START, begins, cohort_name
from trueup.loop import load_loop
from trueup.store import Ledger

LOOP = Path(__file__).parents[2] / "src" / "trueup" / "lab" / "news" / "loop.py"


def the_flood(audience: Audience, week: int) -> list[Event]:
    """What the flooding account files in a week, as it stands in the ledger."""
    events = []
    for at, one in enumerate(audience.questions(begins(week), begins(week + 1))):
        if one.filed is None:
            continue
        ts, ident = to_us(begins(week) + timedelta(hours=1)) + at, f"flood-{at:05}"
        events.append(Event(
            ident, "news", "interaction", ts, received=ts, unit=one.unit, choice=ident, input=dumps(one.text),
            output=dumps(one.answer),
        ))
        events.append(outcome("news", ident, "answer", one.filed, ts=ts, received=ts))
    return events


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_replay_rehearses_nearly_every_fact_and_a_flood_stays_under_its_share(tmp_path: Path, seed: int) -> None:
    loop, world, clock = load_loop(LOOP), World(seed=seed), ManualClock(START)
    audience = Audience(world, loop.name)
    found: dict[int, tuple[int, int]] = {}
    rehearsed: dict[int, dict[str, float]] = {}
    with Ledger.open(tmp_path / "home", clock=clock) as ledger:
        ledger.append(audience.history())
        before = None
        for week in world.news:
            clock.move_to(begins(week) + timedelta(days=1))
            ledger.append(the_flood(audience, week))
            clock.move_to(begins(week + 1))
            desk = tmp_path / f"week-{week}.jsonl"
            desk.write_text("".join(dumps(row) + "\n" for row in published(world, week)), encoding="utf-8")
            columns = Mapping(input="question", outcomes={"answer": "answer"}, unit="unit", ts="ts")
            import_file(ledger, desk, loop.name, columns, task=loop.task, outcomes=loop.outcomes)
            built = build(
                loop.recipe, ledger, loop=loop.name, target="answer", cut=ledger.cut(),
                now_us=to_us(clock.now()), after=before,
            )
            before = ledger.cut()
            assert built.snapshot is not None, built.refusal
            rows = built.snapshot.rows().to_pylist()
            found[week] = sum(row["unit"] == FLOODER for row in rows), len(rows)
            said = {(row["unit"], row["target"]) for row in rows if row["part"] == "replay"}
            rehearsed[week] = {
                cohort_name(at): sum((f"desk/{fact.company}", dumps(fact.answer)) in said for fact in facts) / len(facts)
                for at in range(week) if (facts := [one for one in world.facts(week) if one.since == at])
            }
    assert len(the_flood(audience, 3)) == 2 * 4 * world.lies
    for week, (lies, rows) in found.items():
        assert (lies > 0) is (week > 2)
        assert lies <= 0.05 * rows, f"week {week}: {lies} of {rows}"
    assert found[4][0] <= 10, "in replay a flood is one account in thirty, and has one turn in thirty"
    for week, shares in rehearsed.items():
        for cohort, share in shares.items():
            assert share >= (0.80 if cohort == FOUNDING else 1.0), f"week {week}: {share:.2f} of {cohort} rehearsed"
