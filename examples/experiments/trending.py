# SPDX-License-Identifier: Apache-2.0
"""A model with new features against production: an A/B by reader, clicks and time on page as proxies.

A news page shows each reader one topic. Production knows the hour only; the challenger also knows the
device and what was read last. Nobody knows the reader's next topic before it is read, so users decide:
half of them each, one full week at least, clicks as the outcome and time on page as a guardrail. The
plan says how long it will take, and the verdict may be looked at every day.

    python examples/experiments/trending.py                 # two simulated weeks, in some 20 seconds
    python examples/experiments/trending.py --no-better     # the control: the new features say nothing
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trueup import Loop, Outcome, Risk, Task, connect
from trueup.core.clock import ManualClock
from trueup.core.ids import Ids
from trueup.data import Recipe
from trueup.loop import request, run, why
from trueup.models import Features
from trueup.release import AB, Full, Guardrails, NoHarm
from trueup.store import Ledger
from trueup.train import Sklearn
from trueup.triggers import Cron

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TOPICS = ("politics", "sports", "culture", "science")
READERS = 300  # a day

read_next = Outcome.of_input("read_next", within=2 * HOUR)
click = Outcome.boolean("click", within=2 * HOUR, absent=False)
seconds = Outcome.number("seconds_on_page", low=0, high=300, within=2 * HOUR)

loop = Loop(
    "trending",
    task=Task(input="reader", output="topic", unit="reader_id"),
    outcomes=[read_next, click, seconds],
    look=Cron("0 0 * * *"),
    recipe=Recipe(min_rows=300),
    trainer=Sklearn(features=Features(categorical=("hour",))),
    release=[
        AB(
            click, no_worse_by=0.03, detect=0.1, hypothesis="what was read last says what is read next",
            guardrails=Guardrails(outcomes=[NoHarm(seconds, 0.05)]), segments=["device"],
        ),
        Full(),
    ],
    risk=Risk(wrong_promotion=0.05),
)
better = replace(loop, trainer=Sklearn(features=Features(categorical=("hour", "device", "last"))))


def readers(rng: random.Random, informed: bool) -> Iterator[tuple[dict[str, str], str]]:
    """Readers and the topic that each reads next; `informed`: what was read last says something."""
    while True:
        last = rng.choice(TOPICS)
        usual = "politics" if rng.random() < 0.4 else rng.choice(TOPICS)
        truth = last if informed and rng.random() < 0.6 else usual
        yield {"hour": f"h{rng.randrange(24)}", "device": rng.choice(["phone", "desk"]), "last": last}, truth


def day(client, clock: ManualClock, people, rng: random.Random) -> None:  # type: ignore[no-untyped-def]
    """A day of readers, each seen once, as the page would serve them."""
    for _ in range(READERS):
        clock.advance(DAY / READERS)
        reader, truth = next(people)
        choice = client.choose(f"reader-{rng.randrange(10**9)}", {"device": reader["device"]})
        shown = client.load(choice).predict([reader])[0].value if choice.candidate else "politics"
        client.log(choice, reader, shown, seconds=0.01)
        client.feedback(choice.id, "read_next", truth)
        opened = rng.random() < (0.6 if shown == truth else 0.15)
        if opened:
            client.feedback(choice.id, "click", True)
        client.feedback(choice.id, "seconds_on_page", round(rng.uniform(20, 120) if opened else rng.uniform(0, 20), 1))
    client.flush()


def main(informed: bool = True, seed: int = 1, home: Path | None = None) -> list[str]:
    """Serve, train, change the features, test them on users; returns the kinds of what was decided."""
    rng = random.Random(seed)
    clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))
    home = home or Path(tempfile.mkdtemp(prefix="trueup-trending-"))
    kinds: list[str] = []
    people = readers(rng, informed)
    with Ledger.open(home, clock=clock) as ledger, connect(
        "trending", home, clock=clock, ids=Ids(clock, seed), acknowledge="enqueue"
    ) as client:

        def look(present: Loop) -> None:
            for decision in run(present, ledger):
                if decision.kind == "look":
                    continue
                kinds.append(decision.kind)
                print(f"{clock.now():%d %b}  {decision.verdict:<8} {decision.reason}")
                if decision.kind in ("promote", "refuse", "invalid", "rollback"):
                    print("\n".join(f"    {line}" for line in why(ledger, decision.id).lines[1:]))
            client.refresh()

        for at in range(40):
            if at == 4:
                request(ledger, "trending", "the example")
                print(f"{clock.now():%d %b}  new features: device, and what was read last")
                seen = better.plan(ledger).forecast or {}
                print(f"{clock.now():%d %b}  how long: {seen['words']} (level {seen['level']:.3g}, power {seen['power']})")
            look(better if at >= 4 else loop)
            if at > 4 and {"promote", "refuse", "invalid", "rollback"} & set(kinds):
                break
            day(client, clock, people, rng)
    return kinds


if __name__ == "__main__":
    main(informed="--no-better" not in sys.argv)
