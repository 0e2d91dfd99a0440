# SPDX-License-Identifier: Apache-2.0
"""Half of all training runs die: each training has one result all the same, and the same one."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from trueup.core.clock import ManualClock, to_us
from trueup.lab.drills._drill import Drill, explained

if TYPE_CHECKING:
    from trueup.core.events import Event
    from trueup.lab.films.tell import Teller
    from trueup.loop import Loop
    from trueup.store import Ledger

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
TRAININGS = 5
SHARE = 0.5
NAME = "toys"


def _run(teller: Teller, seed: int) -> None:
    from trueup.lab.flaky import Flaky
    from trueup.store import Ledger

    calm = _loop()
    flaky = replace(calm, trainer=Flaky(calm.trainer, share=SHARE, seed=seed))
    home = teller.account.home
    with (
        closing(Ledger.open(home / "flaky", clock=ManualClock(START))) as disturbed,
        closing(Ledger.open(home / "calm", clock=ManualClock(START))) as undisturbed,
    ):
        with teller.scene(f"{TRAININGS} weeks, a training in each, and half of the runs die"):
            _weeks(teller, flaky, disturbed, seed)
            trainings = _trainings(disturbed)
            _deaths(teller, trainings)
        with teller.scene("The same weeks, and nothing dies"):
            _weeks(teller, calm, undisturbed, seed)
            _same(teller, trainings, _trainings(undisturbed))
        with teller.scene("The record"):
            _record(teller, disturbed, undisturbed, flaky)
        with teller.scene("Why"):
            made = disturbed.decisions(NAME)
            explained(teller, disturbed, *(
                [one for one in made if (one.kind, one.verdict) == kind][-1]
                for kind in (("look", "TRAIN"), ("candidate", "PASS"))
            ))


def _loop() -> Loop:
    from trueup.core.protocols import Budget
    from trueup.core.task import Outcome, Task
    from trueup.data import Recipe
    from trueup.loop import Loop
    from trueup.release import Full
    from trueup.train import Sklearn
    from trueup.triggers import Cron, Rows

    return Loop(
        NAME, task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind", within=timedelta(days=1))],
        look=Cron("weekly"), when=[Rows(100)], recipe=Recipe(window=4 * WEEK, min_rows=100),
        trainer=Sklearn("sgd", params={"passes": 5}), release=[Full()],
        budget=Budget(seconds=60, megabytes=900, retries=9, retry_delay=0.05),
    )


def _weeks(teller: Teller, loop: Loop, ledger: Ledger, seed: int) -> None:
    """Labels come each week, and the loop is run."""
    from trueup.loop import run

    clock = ledger.clock
    assert isinstance(clock, ManualClock)
    for week in range(TRAININGS):
        ledger.append(_labelled(loop.name, week, clock.now(), seed))
        for decision in run(loop, ledger, now=True):
            if decision.verdict == "PROMOTE":
                teller.say(f"{clock.now():%b %d}  {decision.subject} serves", "dim", indent=4)
        teller.progress(f"week {week + 1}", 365 * (week + 1) // TRAININGS, 365)
        clock.advance(WEEK)


def _labelled(loop: str, week: int, now: datetime, seed: int) -> list[Event]:
    from trueup.core.events import Event, outcome
    from trueup.core.json import dumps
    from trueup.testing import toy_rows

    made: list[Event] = []
    ts = to_us(now) - 3_600_000_000
    for at, (given, target) in enumerate(toy_rows(150, seed=1_000 * seed + week)):
        ident = f"w{week}-{at}"
        made.append(Event(ident, loop, "interaction", ts + at, received=ts + at, unit=ident, choice=ident, input=dumps(given)))
        made.append(outcome(loop, ident, "kind", target, ts=ts + at, received=ts + at))
    return made


def _trainings(ledger: Ledger) -> list[dict[str, Any]]:
    """The recorded results of the trainings, in order."""
    return [record for record in ledger.records(NAME, "step") if record["step"] == "train"]


def _deaths(teller: Teller, trainings: list[dict[str, Any]]) -> None:
    attempts = [each for record in trainings for each in record["output"]["attempts"]]
    died = [each for each in attempts if each["kind"] != "completed"]
    kinds = Counter(each["kind"] for each in died)
    for record in trainings:
        tries = [f"{each['kind']}: {each['reason'][:60]}" if each["reason"] else each["kind"] for each in record["output"]["attempts"]]
        teller.say(f"{record['run']}  " + "  |  ".join(tries), "dim", indent=4)
    teller.expect(
        len(died) >= len(attempts) / 4, f"{len(died)} of {len(attempts)} runs died: "
        + ", ".join(f"{count} by {kind}" for kind, count in sorted(kinds.items())),
        "a quarter or more of the runs to die",
    )
    teller.expect(
        len(trainings) == TRAININGS and all(record["output"]["model"] for record in trainings),
        f"{len(trainings)} trainings, each with one result and a model", f"{TRAININGS} results, each with a model",
    )
    teller.account.scenes[-1].facts.update(attempts=len(attempts), died=dict(kinds))


def _same(teller: Teller, disturbed: list[dict[str, Any]], calm: list[dict[str, Any]]) -> None:
    """The models, byte by byte: their digests are those of their files."""
    pairs = [
        ((one["output"]["model"] or {}).get("sha256", "none"), (other["output"]["model"] or {}).get("sha256", "no model"))
        for one, other in zip(disturbed, calm, strict=True)
    ]
    for week, (one, other) in enumerate(pairs):
        teller.say(f"week {week + 1}  {one[:16]}  {other[:16]}", "dim", indent=4)
    teller.expect(
        all(len(one["output"]["attempts"]) == 1 for one in calm), "one run each", "undisturbed trainings",
    )
    same = sum(one == other for one, other in pairs)
    teller.expect(same == len(pairs), f"{same} of {len(pairs)} models are the same, byte by byte", "equal models")
    teller.account.scenes[-1].facts["digests"] = [one for one, _ in pairs]


def _record(teller: Teller, ledger: Ledger, calm: Ledger, loop: Loop) -> None:
    from trueup.loop import run
    from trueup.registry import ailments, candidates

    trainings = _trainings(ledger)
    runs = {record["run"] for record in trainings}
    teller.expect(
        len(runs) == len(trainings), f"{len(trainings)} trainings in the record, one a cycle", "one training a cycle",
    )
    made = candidates(ledger, NAME)
    models = {one.model.sha256 for one in made}
    teller.expect(
        len(models) == len(made) == TRAININGS, f"{len(made)} candidates, and no model twice among them",
        f"{TRAININGS} candidates",
    )
    course, quiet = ([(one.kind, one.verdict) for one in each.decisions(NAME)] for each in (ledger, calm))
    teller.expect(course == quiet, f"the same {len(course)} Decisions as in the calm weeks", f"{quiet}")
    left = [path.name for path in (ledger.home / "work").rglob("attempt-*")]
    teller.expect(not left, "no half of a training is left in the home", f"no leftovers, such as {left[:1]}")
    wrong = [one.message for one in ailments(ledger) if one.level == "error"]
    teller.expect(not wrong, "; ".join(wrong) or "trueup doctor finds nothing wrong", "a whole home")
    again = [one for one in run(loop, ledger) if one.kind != "look"]
    teller.expect(not again, "a run afterwards has nothing to finish", "nothing unfinished")


DRILL = Drill(
    name="flaky",
    id="DRL-02",
    failure="half of the training runs die: of memory, of a lost network, of SIGTERM, of SIGKILL",
    seen="one recorded result a training, bitwise that of an undisturbed run, and nothing trained twice in the record",
    run=_run,
)
