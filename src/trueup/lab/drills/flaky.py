# SPDX-License-Identifier: Apache-2.0
"""Half of all training runs die: each training has one result all the same, and the same one.

Killed or cut off, a language model's training goes on from its checkpoint to the same bytes. Out of
memory it goes on with half as many rows at a time: the same rows a step, but its sums are rounded in
another order, so that there the answers are held equal, and not the bytes.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from trueup.core.clock import ManualClock
from trueup.lab.drills._drill import Drill, explained
from trueup.lab.drills._trainings import (
    START,
    TOYS,
    WEEK,
    WORDS,
    facts,
    flaky,
    live,
    make_loops,
    trainings,
)
from trueup.state import StepRecord

if TYPE_CHECKING:
    from pathlib import Path

    from trueup.lab.tell import Teller
    from trueup.loop import Loop
    from trueup.store import Ledger

DEATHS: tuple[tuple[str, ...], ...] = (("SIGTERM", "network", "SIGKILL"), ("memory",))
"""What the adapter's training dies of in each week, once of each; then it is left alone."""
Trainings = list[StepRecord]


def _run(teller: Teller, seed: int) -> None:
    from trueup.store import Ledger

    home, weeks = teller.account.home, len(DEATHS)
    with teller.scene(f"{weeks} weeks, two trainings in each, and half of the runs die"):
        loops = make_loops(home)
        with ThreadPoolExecutor(2) as pool:  # the calm weeks beside them: neither sees the other
            both = [
                pool.submit(live, loops, home / name, seed, weeks, deaths)
                for name, deaths in (("flaky", DEATHS), ("calm", ()))
            ]
            for decision in both[0].result():
                if decision.verdict == "PROMOTE":
                    teller.say(f"{decision.loop}: {decision.subject} serves", "dim", indent=4)
            both[1].result()
        teller.progress("the weeks", 365, 365)
        clock = ManualClock(START + weeks * WEEK)
        with (
            closing(Ledger.open(home / "flaky", clock=clock)) as disturbed,
            closing(Ledger.open(home / "calm", clock=clock)) as undisturbed,
        ):
            found = {name: (trainings(disturbed, name), trainings(undisturbed, name)) for name in (WORDS, TOYS)}
            _deaths(teller, found)
            _tell(teller, found, disturbed, undisturbed, loops, seed)


def _tell(
    teller: Teller, found: dict[str, tuple[Trainings, Trainings]], disturbed: Ledger, calm: Ledger, loops: list[Loop], seed: int
) -> None:
    with teller.scene("Beside the same weeks in which nothing died"):
        _same(teller, found)
    if any("memory" in faults for faults in DEATHS):
        with teller.scene("Out of memory"):
            _starved(teller, *found[WORDS], disturbed, calm)
    with teller.scene("The record"):
        for loop in loops:
            _record(teller, disturbed, calm, flaky(loop, DEATHS[-1], seed))
    with teller.scene("Why"):
        made = disturbed.decisions(WORDS)
        explained(teller, disturbed, *(
            [one for one in made if (one.kind, one.verdict) == kind][-1]
            for kind in (("look", "TRAIN"), ("candidate", "PASS"))
        ))


def _deaths(teller: Teller, found: dict[str, tuple[Trainings, Trainings]]) -> None:
    records = [record for name in (WORDS, TOYS) for record in found[name][0]]
    attempts = [each for record in records for each in record.trained.attempts]
    died = [each for each in attempts if each["kind"] != "completed"]
    kinds = Counter(each["kind"] for each in died)
    for name in (WORDS, TOYS):
        for record in found[name][0]:
            tries = [f"{each['kind']}: {each['reason'][:60]}" if each["reason"] else each["kind"] for each in record.trained.attempts]
            teller.say(f"{name} {record.run}  " + "  |  ".join(tries), "dim", indent=4)
    tried = [each for record in found[WORDS][0] for each in record.trained.attempts]
    teller.expect(
        2 * sum(each["kind"] != "completed" for each in tried) >= len(tried), f"{len(died)} of {len(attempts)} runs died: "
        + ", ".join(f"{count} by {kind}" for kind, count in sorted(kinds.items())),
        "half or more of the adapter's runs to die",
    )
    teller.expect(
        len(records) == 2 * len(DEATHS) and all(record.trained.model for record in records),
        f"{len(records)} trainings, each with one result and a model", f"{2 * len(DEATHS)} results, each with a model",
    )
    teller.account.scenes[-1].facts.update(attempts=len(attempts), died=dict(kinds))


def _same(teller: Teller, found: dict[str, tuple[Trainings, Trainings]]) -> None:
    """The models, byte by byte, but for the ones that ran out of memory halfway."""
    calm = [record for _, others in found.values() for record in others]
    teller.expect(all(len(one.trained.attempts) == 1 for one in calm), "one run each", "undisturbed trainings")
    digests = []
    for name, (mine, others) in found.items():
        for week, (one, other) in enumerate(zip(mine, others, strict=True)):
            first, second = (each.trained.model.sha256 if each.trained.model else "none" for each in (one, other))
            resumed = one.trained.facts.get("resumed")
            words = "" if resumed is None else f"  from step {resumed} of {one.trained.facts['steps']}"
            teller.say(f"{name} week {week + 1}  {first[:16]}  {second[:16]}{words}", "dim", indent=4)
            if not _halved(one):
                digests.append((first, second))
            if name == WORDS:
                teller.expect(bool(resumed), f"week {week + 1}: the adapter went on from step {resumed}", "a checkpoint to go on from")
    same = sum(one == other != "none" for one, other in digests)
    teller.expect(same == len(digests), f"{same} of {len(digests)} models are the same, byte by byte", "equal models")
    teller.account.scenes[-1].facts["digests"] = [one for one, _ in digests]


def _halved(record: StepRecord) -> bool:
    return bool(record.trained.facts.get("halved"))


def _starved(teller: Teller, mine: Trainings, others: Trainings, disturbed: Ledger, calm: Ledger) -> None:
    """Where memory ran out: the facts, and the answers."""
    for week, (one, other) in enumerate(zip(mine, others, strict=True)):
        if "memory" not in DEATHS[week]:
            continue
        now, was = one.trained.facts, other.trained.facts
        names = ("rows_at_a_time", "effective_batch")
        told, undisturbed = ([each[name] for name in names] for each in (now, was))
        teller.expect(
            now["halved"] and not was["halved"] and told == [undisturbed[0] // 2, undisturbed[1]],
            f"{told[0]} rows at a time instead of {undisturbed[0]}, and {told[1]} a step as before: it is in the facts",
            "half the rows at a time, twice the accumulation",
        )
        teller.say(
            "The sums of a step are rounded in another order now: the adapter is not the same bit for bit "
            f"(its weights are at most {_apart(_folder(disturbed, one), _folder(calm, other)):.1g} apart).", indent=2,
        )
        asked = facts(week + 1)
        answers = [
            [each.value for each in _answers(ledger, record, [question for question, _ in asked])]
            for ledger, record in ((disturbed, one), (calm, other))
        ]
        right = sum(said == place for said, (_, place) in zip(answers[0], asked, strict=True))
        teller.expect(
            answers[0] == answers[1] and 10 * right >= 9 * len(asked),
            f"the same answers to all {len(asked)} questions, {right} of them right",
            "equal answers, nine in ten of them right",
        )


def _folder(ledger: Ledger, record: StepRecord) -> Path:
    assert record.trained.model is not None
    return ledger.artifacts.path(record.trained.model)


def _answers(ledger: Ledger, record: StepRecord, questions: list[str]) -> list[Any]:
    from trueup.models import load

    return list(load(_folder(ledger, record)).predict(questions))


def _apart(one: Path, other: Path) -> float:
    """The largest difference between two adapters' weights."""
    from safetensors.numpy import load_file

    mine, others = (load_file(folder / "adapter_model.safetensors") for folder in (one, other))
    return max(float(abs(mine[name] - others[name]).max()) for name in mine)


def _record(teller: Teller, ledger: Ledger, calm: Ledger, loop: Loop) -> None:
    from trueup.loop import run
    from trueup.registry import ailments
    from trueup.state import candidates

    found = trainings(ledger, loop.name)
    runs = {record.run for record in found}
    teller.expect(
        len(runs) == len(found), f"{loop.name}: {len(found)} trainings in the record, one a cycle", "one training a cycle",
    )
    made = [one for one in candidates(ledger, loop.name) if one.snapshot is not None]
    models = {one.model.sha256 for one in made}
    teller.expect(
        len(models) == len(made) == len(DEATHS), f"{len(made)} trained candidates, and no model twice among them",
        f"{len(DEATHS)} candidates",
    )
    course, quiet = ([(one.kind, one.verdict) for one in each.decisions(loop.name)] for each in (ledger, calm))
    teller.expect(course == quiet, f"the same {len(course)} Decisions as in the calm weeks", f"{quiet}")
    left = [path.name for path in (ledger.home / "work").rglob("*") if path.name.startswith(("attempt-", "step-"))]
    teller.expect(not left, "no half of a training is left in the home", f"no leftovers, such as {left[:1]}")
    wrong = [one.message for one in ailments(ledger) if one.level == "error"]
    teller.expect(not wrong, "; ".join(wrong) or "trueup doctor finds nothing wrong", "a whole home")
    again = [one for one in run(loop, ledger) if one.kind != "look"]
    teller.expect(not again, "a run afterwards has nothing to finish", "nothing unfinished")


DRILL = Drill(
    name="flaky",
    id="DRL-02",
    failure="half of the training runs die: of memory, of a lost network, of SIGTERM, of SIGKILL",
    seen="one recorded result a training, nothing trained twice in the record; bitwise that of an undisturbed run, "
    "but where memory ran out: there fewer rows are summed at a time, and the answers are the same",
    run=_run,
)
