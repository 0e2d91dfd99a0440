# SPDX-License-Identifier: Apache-2.0
"""Writers, deciders and sealers are killed at random moments; nothing acknowledged is lost or doubled."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trueup.core import Decision, Event
from trueup.core.errors import Conflict
from trueup.store import Ledger

KILLS = 100
WORKERS = 4
SECONDS = 50.0

WORKER = """
import itertools, random, sys, threading
from trueup.core import Decision, Event
from trueup.core.errors import Busy, Conflict
from trueup.core.events import outcome
from trueup.store import Ledger

home, name, seed, role = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
rng = random.Random(seed)
said = threading.Lock()

def say(*words):
    with said:
        sys.stdout.write(" ".join(map(str, words)) + "\\n")
        sys.stdout.flush()

ledger = Ledger.open(home)
say("ready")

def write(thread):
    for n in itertools.count():
        ids = [f"{name}-{thread}-{n}-{m}" for m in range(rng.randint(1, 8))]
        events = [Event(i, "l", "interaction", n, input='"' + "x" * rng.randint(0, 900) + '"') for i in ids]
        events += [outcome("l", i, "label", n, ts=n) for i in ids[:2]]
        ledger.append(events)
        say("event", *ids)

def decide():
    for n in itertools.count():
        generation, state = ledger.state("l")
        try:
            made = ledger.decide(
                Decision("l", n, "note", "NOTE", name, {"total": state.get("total", 0) + 1}), expect=generation
            )
            say("decision", made.id)
        except Conflict:
            pass
        key = f"{name}-{n}"
        ref = ledger.artifacts.put_bytes(key.encode() * rng.randint(1, 3000))
        ledger.put("l", "made", key, {"ref": ref.to_json()})
        say("record", key)

def seal():
    import trueup.store._seal as module
    module.AT_ONCE = 50
    for _ in itertools.count():
        try:
            ledger.seal(min_rows=1)
        except Busy:
            pass

if role == "seal":
    seal()
elif role == "decide":
    decide()
else:
    threads = [threading.Thread(target=write, args=(k,), daemon=True) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


class Worker:
    """A process at work, and the pipe on which it says what was acknowledged."""

    def __init__(self, home: Path, number: int, role: str) -> None:
        self.role = role
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(home), f"w{number}", str(number), role], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.pipe = self.process.stdout
        self.heard = b""
        os.set_blocking(self.pipe.fileno(), False)

    def listen(self) -> None:
        while chunk := (self.pipe.read(1 << 16) or b""):
            self.heard += chunk

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.listen()
        self.pipe.close()

    def acknowledged(self) -> list[list[str]]:
        """What was said in whole lines; a line torn by the kill was not heard by anybody."""
        return [line.split() for line in self.heard.decode().split("\n")[:-1]]


def role(number: int) -> str:
    return ("write", "decide", "seal", "write")[number % 4]


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_a_hundred_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    rng = random.Random(20260301)
    home = tmp_path / "home"
    Ledger.open(home).close()
    alive = [Worker(home, number, role(number)) for number in range(WORKERS)]
    dead: list[Worker] = []
    end = time.monotonic() + SECONDS
    while len(dead) < KILLS // 4 or (len(dead) < KILLS and time.monotonic() < end):  # as long as it takes on a slow machine
        ready = [one for one in alive if b"ready" in one.heard]
        if ready:
            time.sleep(rng.expovariate(8))  # the moment of the kill is what is random here
            victim = rng.choice(ready)
            victim.kill()
            dead.append(victim)
            alive.remove(victim)
            number = len(dead) + WORKERS - 1
            alive.append(Worker(home, number, role(WORKERS * KILLS + ("write", "decide", "seal").index(victim.role))))
        else:
            select.select([one.pipe for one in alive], [], [], 1)
        for one in alive:
            one.listen()
    for one in alive:
        one.kill()
    said = [words for one in [*dead, *alive] for words in one.acknowledged()]
    print(f"{len(dead)} kills, {sum(words[0] == 'event' for words in said)} calls acknowledged")
    check(home, said)


def check(home: Path, said: list[list[str]]) -> None:
    events = [ident for words in said if words[0] == "event" for ident in words[1:]]
    with Ledger.open(home) as ledger:
        assert [found for found in ledger.doctor() if found.level != "note"] == []
        found = ledger.scan("l", ["interaction", "outcome"], columns=["seq", "kind", "id", "choice"])
        pairs = list(zip(found["kind"].to_pylist(), found["id"].to_pylist(), strict=True))
        assert len(pairs) == len(set(pairs)) == ledger.count("l", "interaction") + ledger.count("l", "outcome")
        assert len(set(found["seq"].to_pylist())) == len(pairs)
        stored = {ident for kind, ident in pairs if kind == "interaction"}
        assert len(events) == len(set(events))
        assert set(events) <= stored
        # A call is whole: the first two events of each carry an outcome.
        first = {ident for ident in stored if ident.endswith("-0")}
        assert first <= set(found["choice"].to_pylist())
        decided = ledger.decisions("l")
        assert [one.state["total"] for one in decided] == list(range(1, len(decided) + 1))
        assert {words[1] for words in said if words[0] == "decision"} <= {one.id for one in decided}
        records = {record["id"]: record for record in ledger.records("l", "made")}
        assert {words[1] for words in said if words[0] == "record"} <= records.keys()
        # Everything that was known is still known, sealed or not, to who says it again.
        assert ledger.append([Event(ident, "l", "interaction", 1) for ident in sorted(stored)]) == 0
        ledger.seal(min_rows=1)
        assert ledger.append([Event(ident, "l", "interaction", 1) for ident in sorted(stored)]) == 0
        assert [found for found in ledger.doctor() if found.level != "note"] == []


STEP = """
import os, signal, sys
from trueup.store import Ledger
import trueup.store.sqlite._tail, trueup.store._seal
trueup.store._seal.AT_ONCE = 40
trueup.store.sqlite._tail.SqliteTail.chunk_rows = lambda self: 100
ledger = Ledger.open(sys.argv[1])
steps = []
def die(step):
    steps.append(step)
    if len(steps) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
ledger._history()._sealing.after_step = die
ledger.seal(min_rows=1)
print(len(steps))
"""


@pytest.mark.chaos
def test_sealing_may_die_after_each_of_its_steps(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ids = [f"id-{at}" for at in range(330)]
    with Ledger.open(home) as ledger:
        ledger.append([Event(ident, "l", "interaction" if at % 3 else "signal", at) for at, ident in enumerate(ids)])
        ledger.decide(Decision("l", 1, "note", "NOTE", "x", {}), expect=0)
        with pytest.raises(Conflict):
            ledger.decide(Decision("l", 1, "note", "NOTE", "x", {}), expect=0)
    for step in range(1, 40):
        done = subprocess.run([sys.executable, "-c", STEP, str(home), str(step)], capture_output=True, text=True)
        with Ledger.open(home) as ledger:
            assert ledger.scan("l", ["interaction", "signal"])["id"].to_pylist() == ids
            assert [found for found in ledger.doctor() if found.level != "note"] == []
            again = [Event(ident, "l", "interaction" if at % 3 else "signal", at) for at, ident in enumerate(ids)]
            assert ledger.append(again) == 0
        if done.returncode == 0:
            return
        assert done.returncode == -signal.SIGKILL, done.stderr
    raise AssertionError("sealing never came to its end")
