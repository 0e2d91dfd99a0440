# SPDX-License-Identifier: Apache-2.0
"""`up`, its trainings, its DBOS steps, its alerts, MLflow and approvers are killed at random moments.

Four homes, each with a seed and a storm of its own. A zygote imports everything once and forks the
actors, so that a start is cheap and kills come often. All actors share one clock on which a second is
several hours. People are told in a file, and MLflow, on SQLite in the home, shows what the ledger
says; in one home its database is not there yet, and `up` is killed while it makes it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from trueup.alerts import alert, raised
from trueup.client import connect
from trueup.core.errors import Conflict, Refused
from trueup.loop import load_loop, publish
from trueup.registry._mlflow import connected, make_database, versions
from trueup.release import approve
from trueup.service import Pace, Service, board, runs, serve
from trueup.service.board import service
from trueup.service.place import statuses
from trueup.state import aliases, candidates, read
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows
from trueup.testing.toys import KINDS, sentence

HOMES = 4
KILLS = int(os.environ.get("TRUEUP_UP_KILLS", os.environ.get("TRUEUP_CHAOS_KILLS", "200"))) // HOMES
START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS_A_SECOND = 8.0
MAKING = 5  # kills while MLflow's first database is made

LOOP = '''
# SPDX-License-Identifier: Apache-2.0
from datetime import timedelta
from pathlib import Path

from trueup import Budget, Loop, Outcome, Risk, Task
from trueup.alerts import AlertFile
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.registry import Mlflow
from trueup.release import Approval, Full, Shadow
from trueup.train import Command
from trueup.triggers import Cron, Rows

HOUR = timedelta(hours=1)
SCRIPT = """
echo $$ > "$0/training"
sleep 0.2
which=$(( $(cksum < "$(sed 's/.*"data":"\\\\([^"]*\\\\)".*/\\\\1/' job.json)" | cut -d' ' -f1) % 3 ))
cp -r "$0/models/$which" model && echo '{"model": "model"}' > result.json
"""

loop = Loop(
    "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind", within=2 * HOUR)],
    look=Cron("hourly"), when=[Rows(60)], recipe=Recipe(window=None, min_rows=50),
    trainer=Command(["sh", "-c", SCRIPT, str(Path(__file__).parent)]), budget=Budget(retries=5, retry_delay=0.1),
    release=[Shadow(Accuracy(), no_worse_by=0.3, min_time=HOUR, max_time=48 * HOUR), Approval(), Full()],
    risk=Risk(per="release"), alerts=[AlertFile()], publish=[Mlflow(every=12 * HOUR)],
)
'''


class FastClock:
    """The machine's clock, much faster, the same in every process."""

    def __init__(self, began: float) -> None:
        self.began = began

    def now(self) -> datetime:
        return START + timedelta(hours=(time.time() - self.began) * HOURS_A_SECOND)


def keep(folder: Path, clock: FastClock, _rng: random.Random) -> None:
    """The service, on DBOS, as `trueup up` runs it."""
    board.EVERY = serve.POLL = 0.02
    service = Service([folder / "loop.py"], folder / "home", clock=clock, pace=Pace(0.05, 0.2, 3600.0))
    service.serve()


def write(folder: Path, clock: FastClock, rng: random.Random) -> None:
    """The application: it chooses, logs, gives feedback."""
    import numpy as np

    words = np.random.default_rng(rng.randrange(1 << 30))
    client = connect("toys", folder / "home", clock=clock)
    while True:
        kind = int(words.integers(0, 3))
        choice = client.choose(f"u{rng.randrange(1 << 40)}")
        client.log(choice, sentence(words, kind), rng.choice(KINDS), seconds=0.01)
        client.feedback(choice.id, "kind", KINDS[kind])
        time.sleep(0.01)


def say_yes(folder: Path, clock: FastClock, _rng: random.Random) -> None:
    with Ledger.open(folder / "home", clock=clock) as ledger:
        while True:
            _, state = read(ledger, "toys")
            with suppress(Refused, Conflict):
                if state.release is not None:
                    approve(ledger, "toys", state.release.candidate, reason="chaos", who="ada")
            time.sleep(0.3)  # people are asked first


ACTORS: dict[str, Callable[[Path, FastClock, random.Random], None]] = {"up": keep, "writer": write, "approver": say_yes}


class Actor:
    """A forked process."""

    def __init__(self, name: str, folder: Path, clock: FastClock, seed: int) -> None:
        self.name, self.errors = name, folder / f"{name}.err"
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.alarm(1800)  # whatever becomes of the test, this does not outlive it for long
                ACTORS[name](folder, clock, random.Random(seed))
            except BaseException:
                with self.errors.open("a") as file:
                    file.write(traceback.format_exc())
            finally:
                os._exit(1)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        assert os.WIFSIGNALED(status), f"{self.name} ended by itself:\n{self.errors.read_text()}"


def at_work(folder: Path) -> str:
    """What the service says that it is doing: so that kills come in the middle of every step."""
    try:
        held = service(folder / "home")
        doing = held["loops"]["toys"]["doing"] if held else None
        if held is None or not held["loops"]:
            return "starting"
        return str(doing["what"]).partition(":")[0] if doing else "idle"
    except (OSError, ValueError, KeyError, TypeError):
        return "starting"


def await_moment(folder: Path, rng: random.Random) -> None:
    """Let the service come to a step that is drawn, or work for some seconds."""
    wanted = rng.choice(["any", "starting", "snapshot", "train", "train", "gates", "register", "idle"])
    end = time.monotonic() + (rng.random() if wanted == "any" else 4.0)
    while time.monotonic() < end and at_work(folder) != wanted:
        time.sleep(0.005)
    time.sleep(0.05 * rng.random())


def kill_training(folder: Path, patience: float) -> bool:
    """Kill the next training subprocess that is alive, if one comes within so many seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with suppress(OSError, ValueError):
            pid = int((folder / "training").read_text())
            if b"training" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                return True
        time.sleep(0.01)
    return False


def warm() -> None:
    """Import in the zygote what each service would import again."""
    import dbos
    import duckdb
    import pyarrow

    import trueup.data
    import trueup.evaluate

    with connected("sqlite://", 10), warnings.catch_warnings():  # the import alone: no database is opened
        warnings.simplefilter("ignore")
        import mlflow.store.model_registry.sqlalchemy_store
        import mlflow.store.tracking.sqlalchemy_store
    assert all((dbos, duckdb, pyarrow, mlflow, trueup.evaluate))


def making(folder: Path) -> bool:
    """Whether the service is at work on MLflow's first database."""
    place = folder / "home" / "mlflow"
    return (place / ".mlflow.db.part").exists() and not (place / "mlflow.db").exists()


def await_making(folder: Path, rng: random.Random) -> None:
    """Let the service begin MLflow's first database, and come some way with it."""
    end = time.monotonic() + 60
    while not making(folder):
        assert time.monotonic() < end, "it never began to make the database"
        time.sleep(0.002)
    part, seen = folder / "home" / "mlflow" / ".mlflow.db.part", rng.randrange(0, 300_000)
    while making(folder) and time.monotonic() < end:  # by its bytes: as far on a machine of any speed
        with suppress(FileNotFoundError):
            if part.stat().st_size >= seen:
                return
        time.sleep(0.002)


def await_made(folder: Path) -> None:
    """Leave the service alone until MLflow's database is there."""
    end = time.monotonic() + 120
    while not (folder / "home" / "mlflow" / "mlflow.db").exists():
        assert time.monotonic() < end, "it never made the database"
        time.sleep(0.05)


def storm(
    folder: Path, kills: int, seed: int, database: Path | None
) -> tuple[Counter[str], Counter[str]]:
    """Kill an actor, or a training, at a random moment, `kills` times; who was killed, and at what.

    `database` is an MLflow database without anything in it; without one, the first kills come while
    the service makes it.
    """
    clock = FastClock(time.time())
    with Ledger.open(folder / "home", clock=clock) as ledger:
        ledger.append(toy_history("toys", toy_rows(200, seed=1), START))
    if database is not None:  # making one takes seconds: longer than a service lives here
        (folder / "home" / "mlflow").mkdir()
        shutil.copy(database, folder / "home" / "mlflow" / "mlflow.db")
    rng = random.Random(seed)
    # the zygote must not hold SQLite or DuckDB open when it forks: the ledger above is closed
    actors = {name: Actor(name, folder, clock, rng.randrange(1 << 30)) for name in ACTORS}
    done: Counter[str] = Counter()
    moments: Counter[str] = Counter()
    calm = False
    try:
        for at in range(MAKING if database is None else 0):
            await_making(folder, rng)
            moments["making MLflow's database"] += making(folder)
            actors["up"].kill()
            done["up"] += 1
            actors["up"] = Actor("up", folder, clock, rng.randrange(1 << 30))
            if at == MAKING - 1:
                await_made(folder)
        while sum(done.values()) < kills:
            time.sleep(rng.expovariate(1 / 0.5))
            name = rng.choices(["up", "training", "approver", "writer"], [5, 3, 1, 1])[0]
            if name == "training":
                if kill_training(folder, 4.0 if done[name] else 60.0):
                    done[name] += 1
                continue
            if not calm and sum(done.values()) >= kills // 2:  # what is killed before it has begun proves nothing
                settle(folder, clock)
                calm = True
            if name == "up":
                await_moment(folder, rng)
                moments[at_work(folder)] += 1
            actors[name].kill()
            done[name] += 1
            actors[name] = Actor(name, folder, clock, rng.randrange(1 << 30))
        settle(folder, clock)
    finally:
        for actor in actors.values():
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(actor.pid, signal.SIGKILL)
                os.waitpid(actor.pid, 0)
    return done, moments


def settle(folder: Path, clock: FastClock) -> None:
    """Let the service work in peace until it has a candidate more, however slow the machine."""
    with Ledger.open(folder / "home", clock=clock) as ledger:
        before = len(ledger.decisions("toys", kind="candidate"))
        end = time.monotonic() + 120
        while len(ledger.decisions("toys", kind="candidate")) == before:
            assert time.monotonic() < end, f"the loop no longer trains: {at_work(folder)}"
            time.sleep(0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from trueup.models import ConstantModel

    for which, kind in enumerate(KINDS):
        ConstantModel(kind).write(tmp_path / "models" / str(which), "label")
    (tmp_path / "loop.py").write_text(LOOP.lstrip())
    return tmp_path


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without anything in it, made once; all that a service imports is in memory then."""
    warm()
    path: Path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    make_database(path)
    return path


@pytest.mark.chaos
@pytest.mark.parametrize("home", range(HOMES))
def test_nothing_is_recorded_promoted_or_told_twice(folder: Path, database: Path, home: int) -> None:
    """200 SIGKILLs over `up`, its trainings, its DBOS steps, approvals, alerts and MLflow (TRUEUP_UP_KILLS for more)."""
    began = time.monotonic()
    done, moments = storm(folder, KILLS, seed=20260101 + home, database=database if home else None)
    with Ledger.open(folder / "home", clock=FastClock(time.time() - 1e6)) as ledger:
        decisions = ledger.decisions("toys")
        assert [one.generation for one in decisions] == list(range(1, len(decisions) + 1))
        for before, after in pairwise(decisions):
            assert after.previous == before.digest()
            assert after.at >= before.at
        once(ledger, decisions)
        assert not [ailment for ailment in ledger.doctor() if ailment.level == "error"]
        left = [run.state for run in runs(ledger, "toys", last=10_000)]
        assert set(left[1:]) <= {"passed", "refused"}, "every run but the last has come to its end"
        engine = statuses(folder / "home")
        known = {run.id for run in runs(ledger, "toys", last=10_000)}
        assert set(engine) <= known
        alerts = told_once(folder, ledger)
        versions_ = shown_once(folder, ledger)
    kinds = Counter(one.kind for one in decisions)
    print(json.dumps({
        "home": home, "kills": dict(done), "up was at": dict(moments), "decisions": dict(kinds), "alerts": dict(alerts),
        "versions": versions_, "engine": Counter(
            one["status"] for one in engine.values()
        ), "seconds": round(time.monotonic() - began),
    }))
    assert sum(done.values()) >= KILLS
    assert home or moments["making MLflow's database"] > 0
    assert min(done["up"], done["training"]) > 0
    assert alerts, "nobody was told anything: it proves nothing"
    assert kinds["candidate"] >= 2, "the storm left the loop no time to work: it proves nothing"


def told_once(folder: Path, ledger: Ledger) -> Counter[str]:
    """What people should know stands in the file, once; the kinds of it."""
    alert(ledger, "toys", load_loop(folder / "loop.py").alerts)  # what came after the last service's last look
    lines = [json.loads(line) for line in (folder / "home" / "alerts.jsonl").read_text().splitlines()]
    keys = [one["key"] for one in lines]
    assert len(keys) == len(set(keys)), "nothing is told twice"
    assert set(keys) == {one["key"] for one in raised(ledger, "toys", limit=100_000)}, "and all of it is told"
    return Counter(one["kind"] for one in lines)


def shown_once(folder: Path, ledger: Ledger) -> int:
    """MLflow holds a run a training and a version a candidate, before and after it has caught up."""
    loop, uri = load_loop(folder / "loop.py"), f"sqlite:///{folder / 'home' / 'mlflow' / 'mlflow.db'}"
    with connected(uri, 60) as client:
        for caught_up in (False, True):
            there = versions(client, "toys")
            shown = [one.tags["trueup.candidate"] for one in there]
            assert len(shown) == len(set(shown)), "no candidate is registered twice"
            experiment = client.get_experiment_by_name("toys")
            held = client.search_runs([experiment.experiment_id], max_results=5000) if experiment else []
            trainings = [one.data.tags["trueup.training"] for one in held]
            assert len(trainings) == len(set(trainings)), "no training is shown twice"
            if not caught_up:
                (done,) = publish(loop, ledger, force=True)
                assert done.error is None
        (again,) = publish(loop, ledger, force=True, thorough=True)
        assert (again.error, again.changes) == (None, ())
        assert set(shown) == {one.id for one in candidates(ledger, "toys")}
        named = {name: str(version) for name, version in client.get_registered_model("toys").aliases.items()}
        of = {str(one.version): one.tags["trueup.candidate"] for one in there}
        says = {name: ident for name, ident in aliases(ledger, "toys").items() if name != "anchor"}
        assert {name: of[version] for name, version in named.items()} == says
        return len(there)


def once(ledger: Ledger, decisions: list[Any]) -> None:
    """Each release, run, step and candidate has one record and one end."""
    ended = Counter(one.evidence["release"] for one in decisions if one.kind in ("promote", "refuse", "invalid"))
    assert set(ended.values()) <= {1}
    cycles = Counter(one.evidence["cycle"] for one in decisions if one.kind in ("stop", "candidate") and "cycle" in one.evidence)
    assert set(cycles.values()) <= {1}
    started = [one.evidence["release"] for one in decisions if one.kind == "start"]
    assert len(set(started)) == len(started)
    steps = Counter((one["run"], one["step"]) for one in ledger.records("toys", "step"))
    trained = [count for (_, step), count in steps.items() if step == "train"]
    assert set(trained) <= {1}, "one recorded training a run"
