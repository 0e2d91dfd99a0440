# SPDX-License-Identifier: Apache-2.0
"""Writers, runs, approvals and rollbacks are killed at random moments; the loop lives on.

A zygote imports everything once and forks the actors, so that a start is cheap and kills come
often. All actors share one clock on which a second is several hours.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from trueup.client import connect
from trueup.core.errors import Busy, Conflict, Refused
from trueup.core.task import Outcome, Task
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.loop import Loop, run, why
from trueup.models import ConstantModel
from trueup.release import (
    Approval,
    Canary,
    Full,
    Risk,
    Shadow,
    approve,
    pause,
    reject,
    resume,
    rollback,
)
from trueup.state import read
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows
from trueup.testing.toys import KINDS, sentence
from trueup.train import Command
from trueup.triggers import Cron, Rows

KILLS = int(os.environ.get("TRUEUP_CHAOS_KILLS", "300"))
START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS_A_SECOND = 8.0

SCRIPT = """
which=$(( $(cksum < "$(sed 's/.*"data":"\\([^"]*\\)".*/\\1/' job.json)" | cut -d' ' -f1) % 3 ))
cp -r "$0/$which" model && echo '{"model": "model"}' > result.json
"""


def loop_in(folder: Path) -> Loop:
    """A loop whose trainer is a shell script: it takes one of three models by its data's checksum."""
    for which, kind in enumerate(KINDS):
        ConstantModel(kind).write(folder / "models" / str(which), "label")
    return Loop(
        "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind", within=2 * HOUR)],
        look=Cron("hourly"), when=[Rows(60)], recipe=Recipe(window=None, min_rows=50),
        trainer=Command(["sh", "-c", SCRIPT, str(folder / "models")]),
        release=[
            Shadow(Accuracy(), no_worse_by=0.3, min_time=HOUR, max_time=48 * HOUR),
            Canary(0.25, 0.5, step=2 * HOUR, lag=timedelta(minutes=30), window=HOUR), Approval(), Full(),
        ],
        risk=Risk(per="release"),
    )  # fmt: skip


class FastClock:
    """The machine's clock, much faster, the same in every process."""

    def __init__(self, began: float) -> None:
        self.began = began

    def now(self) -> datetime:
        return START + timedelta(hours=(time.time() - self.began) * HOURS_A_SECOND)


def writer(home: Path, clock: FastClock, out: int, rng: random.Random) -> None:
    """Chooses, logs, gives feedback; says what was acknowledged, and only then."""
    import numpy as np

    words = np.random.default_rng(rng.randrange(1 << 30))
    client = connect("toys", home, clock=clock)
    while True:
        kind = int(words.integers(0, 3))
        choice = client.choose(f"u{rng.randrange(1 << 40)}")
        client.log(choice, sentence(words, kind), rng.choice(KINDS), seconds=0.01)
        os.write(out, f"interaction {choice.id}\n".encode())
        client.feedback(choice.id, "kind", KINDS[kind])
        os.write(out, f"outcome {choice.id}\n".encode())
        time.sleep(0.004)


def runner(home: Path, clock: FastClock, out: int, rng: random.Random) -> None:
    loop = loop_in(home.parent)
    with Ledger.open(home, clock=clock) as ledger:
        while True:
            try:
                run(loop, ledger)
            except (Busy, Conflict):
                time.sleep(0.02)


def approver(home: Path, clock: FastClock, out: int, rng: random.Random) -> None:
    with Ledger.open(home, clock=clock) as ledger:
        while True:
            _, state = read(ledger, "toys")
            try:
                if state.release is not None:
                    made = approve(ledger, "toys", state.release.candidate, reason="chaos", who="ada")
                    os.write(out, f"decision {made.id}\n".encode())
            except (Refused, Conflict):
                pass
            time.sleep(0.02)


def meddler(home: Path, clock: FastClock, out: int, rng: random.Random) -> None:
    """Rolls back, rejects, pauses and resumes."""
    paused = True
    with Ledger.open(home, clock=clock) as ledger:
        while True:
            time.sleep(0.2 if paused else 5.0 * rng.random())
            paused = False
            _, state = read(ledger, "toys")
            try:
                if state.paused is not None:
                    made = resume(ledger, "toys", reason="chaos", who="eve")
                elif rng.random() < 0.3:
                    made, paused = pause(ledger, "toys", reason="chaos", who="eve"), True
                elif state.release is not None and rng.random() < 0.3:
                    made = reject(ledger, "toys", state.release.candidate, reason="chaos", who="eve")
                else:
                    made = rollback(ledger, "toys", reason="chaos", who="eve")
                os.write(out, f"decision {made.id}\n".encode())
            except (Refused, Conflict):
                pass


ACTORS: dict[str, Callable[[Path, FastClock, int, random.Random], None]] = {
    "writer-1": writer, "writer-2": writer, "runner-1": runner, "runner-2": runner,
    "approver": approver, "meddler": meddler,
}  # fmt: skip


WEIGHTS = {"writer-1": 5, "writer-2": 5, "runner-1": 2, "runner-2": 2, "approver": 3, "meddler": 2}


class Actor:
    """A forked process, and what it acknowledged."""

    def __init__(self, name: str, home: Path, clock: FastClock, seed: int) -> None:
        self.name, self.log = name, home.parent / f"{name}.ack"
        self.errors = home.parent / f"{name}.err"
        out = os.open(self.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ACTORS[name](home, clock, out, random.Random(seed))
            except BaseException:
                self.errors.open("a").write(traceback.format_exc())
            finally:
                os._exit(1)
        os.close(out)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        assert os.WIFSIGNALED(status), f"{self.name} ended by itself:\n{self.errors.read_text()}"


def acknowledged(folder: Path) -> Iterator[tuple[str, str]]:
    for path in folder.glob("*.ack"):
        for line in path.read_text().splitlines():
            kind, _, ident = line.partition(" ")
            yield kind, ident


def storm(folder: Path, kills: int, seed: int) -> dict[str, int]:
    """Kill an actor at a random moment, start it again, `kills` times; then let the dust settle."""
    home = folder / "home"
    clock = FastClock(time.time())
    with Ledger.open(home, clock=clock) as ledger:
        ledger.append(toy_history("toys", toy_rows(200, seed=1), START))
    rng = random.Random(seed)
    # the zygote must not hold SQLite or DuckDB open when it forks: the ledger above is closed
    actors = {name: Actor(name, home, clock, rng.randrange(1 << 30)) for name in ACTORS}
    done: Counter[str] = Counter()
    try:
        for at in range(kills):
            if at in (kills // 3, 2 * kills // 3):
                calm(home, clock)
            time.sleep(rng.expovariate(1 / 0.25))
            name = rng.choices(list(actors), [WEIGHTS[name] for name in actors])[0]
            actors[name].kill()
            done[name.partition("-")[0]] += 1
            actors[name] = Actor(name, home, clock, rng.randrange(1 << 30))
        calm(home, clock, moved=True)
    finally:
        for actor in actors.values():
            os.kill(actor.pid, signal.SIGKILL)
            os.waitpid(actor.pid, 0)
    return dict(done)


def calm(home: Path, clock: FastClock, *, moved: bool = False) -> None:
    """Kill nobody until a release more has begun, and (`moved`) one has moved on: a machine that starts the
    actors more slowly than they are killed would prove nothing. The ledger is closed before the next fork."""
    with Ledger.open(home, clock=clock) as ledger:
        before, end = len(ledger.decisions("toys", kind="start")), time.monotonic() + 200
        while len(ledger.decisions("toys", kind="start")) == before or (moved and not any(
            ledger.decisions("toys", kind=kind) for kind in ("step", "promote")
        )):
            assert time.monotonic() < end, "the loop no longer moves"
            time.sleep(0.1)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_and_nothing_is_decided_twice(tmp_path: Path) -> None:
    """300 SIGKILLs over writers, runs, approvals and rollbacks (TRUEUP_CHAOS_KILLS for more)."""
    done = storm(tmp_path, KILLS, seed=20260101)
    said = list(acknowledged(tmp_path))
    clock = FastClock(time.time() - 1e6)
    with Ledger.open(tmp_path / "home", clock=clock) as ledger:
        interactions = ledger.scan("toys", "interaction").to_pylist()
        outcomes = {row["choice"] for row in ledger.scan("toys", "outcome").to_pylist()}
        ids = [row["id"] for row in interactions]
        assert len(set(ids)) == len(ids)
        assert {ident for kind, ident in said if kind == "interaction"} <= set(ids)
        assert {ident for kind, ident in said if kind == "outcome"} <= outcomes

        decisions = ledger.decisions("toys")
        assert {ident for kind, ident in said if kind == "decision"} <= {one.id for one in decisions}
        assert [one.generation for one in decisions] == list(range(1, len(decisions) + 1))
        generation, state = ledger.state("toys")
        assert (generation, state) == (decisions[-1].generation, decisions[-1].state)
        for before, after in pairwise(decisions):
            assert after.previous == before.digest()
            assert after.at >= before.at

        ended = Counter(
            one.evidence["release"] for one in decisions if one.kind in ("promote", "refuse", "invalid")
        )
        assert set(ended.values()) <= {1}
        started = [one.evidence["release"] for one in decisions if one.kind == "start"]
        assert len(set(started)) == len(started)
        assert [test["k"] for test in state["tests"]] == list(range(1, len(state["tests"]) + 1))
        steps = [record["id"] for record in ledger.records("toys", "step")]
        assert len(set(steps)) == len(steps)
        ailments = [ailment for ailment in ledger.doctor() if ailment.level == "error"]
        assert not ailments, ailments

        kinds = Counter(one.kind for one in decisions)
        for one in decisions:
            if one.kind in ("promote", "rollback", "refuse") and one.evidence.get("method"):
                assert why(ledger, one.id).matches is True, why(ledger, one.id).lines
    print(json.dumps({"kills": done, "acknowledged": len(said), "decisions": dict(kinds)}))
    assert sum(done.values()) == KILLS
    assert kinds["candidate"] >= 3, "the storm left the loop no time to work: it proves nothing"
    assert kinds["start"] >= 2
    assert kinds["step"] + kinds["promote"] >= 1


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-s"]))
