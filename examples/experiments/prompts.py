# SPDX-License-Identifier: Apache-2.0
"""Two prompts for summaries of reviews: a prompt is a candidate like any model.

The task declares a prompt and a temperature; `offer` makes a candidate of other values, and the release
tests it on readers: click-through decides, ratings and complaints are guardrails, and the two arms' prompts are what
`choose` hands to the application. The language model is played by a function here: put yours in
`answer`.

    python examples/experiments/prompts.py                  # a week and a half of simulated readers
    python examples/experiments/prompts.py --worse          # the control: a prompt that people dislike
"""

import random
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trueup import Loop, Outcome, Parameter, Risk, Task, connect
from trueup.core.clock import ManualClock
from trueup.core.ids import Ids
from trueup.loop import run, why
from trueup.models import ConstantModel
from trueup.release import AB, Full, Guardrails, NoHarm, offer
from trueup.store import Ledger
from trueup.train import Sklearn
from trueup.triggers import Cron

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
READERS = 250  # a day
PLAIN = "Summarise the reviews in three sentences."
VIBE = "Give the film's vibe in five words, then one reason to watch it."
DULL = "List every opinion in the reviews."
APPEAL = {PLAIN: 0.30, VIBE: 0.48, DULL: 0.22}  # of the readers who open the film's page

click = Outcome.boolean("click", within=HOUR, absent=False)
stars = Outcome.number("stars", low=1, high=5, within=HOUR)
reference = Outcome.of_input("reference", within=DAY)

loop = Loop(
    "vibes",
    task=Task(
        input="reviews", output="summary", unit="reader_id",
        parameters=[Parameter("prompt", "text", PLAIN), Parameter("temperature", "number", 0.2, low=0.0, high=2.0)],
    ),
    champion=ConstantModel("answered by the language model"),
    outcomes=[click, stars, reference],
    look=Cron("0 0 * * *"),
    trainer=Sklearn(),
    release=[
        AB(click, no_worse_by=0.05, units=1_400, guardrails=Guardrails(outcomes=[NoHarm(stars, 0.1)])),
        Full(),
    ],
    risk=Risk(wrong_promotion=0.05),
)


def answer(prompt: str, temperature: float, reviews: list[str]) -> str:
    """The language model's part."""
    return f"{prompt.split(maxsplit=1)[0]}: {reviews[0][:40]} (at {temperature:g})"


def main(prompt: str = VIBE, seed: int = 1, home: Path | None = None) -> list[str]:
    """Serve one prompt, offer another, and let readers decide; returns the kinds of what was decided."""
    rng = random.Random(seed)
    clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))
    home = home or Path(tempfile.mkdtemp(prefix="trueup-prompts-"))
    kinds: list[str] = []
    with Ledger.open(home, clock=clock) as ledger, connect(
        "vibes", home, clock=clock, ids=Ids(clock, seed), acknowledge="enqueue"
    ) as client:
        for at in range(30):
            if at == 1:
                made = offer(ledger, "vibes", parameters={"prompt": prompt}, declared=loop.task.parameters, reason="a livelier tone")
                print(f"{clock.now():%d %b}  offered {made.subject}: {prompt}")
            for decision in run(loop, ledger):
                if decision.kind == "look":
                    continue
                kinds.append(decision.kind)
                print(f"{clock.now():%d %b}  {decision.verdict:<8} {decision.reason}")
                if decision.kind in ("promote", "refuse", "invalid", "rollback"):
                    print("\n".join(f"    {line}" for line in why(ledger, decision.id).lines[1:]))
            client.refresh()
            if {"promote", "refuse", "invalid", "rollback"} & set(kinds):
                break
            for _ in range(READERS):
                clock.advance(DAY / READERS)
                choice = client.choose(f"reader-{rng.randrange(10**9)}")
                given = choice.parameters
                reviews = ["A slow start, and then you cannot look away."]
                client.log(choice, reviews, answer(given["prompt"], given["temperature"], reviews), seconds=0.4)
                liked = rng.random() < APPEAL[given["prompt"]]
                if liked:
                    client.feedback(choice.id, "click", True)
                if rng.random() < 0.3:
                    client.feedback(choice.id, "stars", rng.choice([4, 5]) if liked else rng.choice([2, 3, 4]))
            client.flush()
    serving = connect("vibes", home, clock=clock)
    print(f"serving now: {serving.choose('anybody').parameters['prompt']}")
    serving.close()
    return kinds


if __name__ == "__main__":
    main(DULL if "--worse" in sys.argv else VIBE)
