# SPDX-License-Identifier: Apache-2.0
"""`trueup up`: a real process, stopped, killed, paused and looked at (ORC-04)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from trueup.core.clock import from_us
from trueup.state import candidate, read, register
from trueup.store import Ledger
from trueup.store.locks import holder

Start = Callable[..., Any]
Place = Any
TRAINED = [("install", "PROMOTE"), ("look", "TRAIN"), ("candidate", "PASS"), ("start", "NOTE")]


def test_once_does_what_is_due_and_ends(place: Place, start: Start) -> None:
    """ORC-04: monitor, trigger, retrain, release, with no glue, in one command."""
    place.go()
    assert start("--once").end() == 0
    assert place.kinds() == TRAINED
    assert start("--once").end() == 0
    assert place.kinds() == TRAINED, "nothing was due"


def test_a_second_service_says_who_holds_the_home(place: Place, start: Start, trueup: Any) -> None:
    first = start()
    first.until("up: toys")
    second = trueup("up")
    assert second.returncode == 4
    assert f"process {first.process.pid} on {os.uname().nodename} since 20" in second.stderr
    assert first.stop() == 0
    assert start("--for", "1s").end() == 0, "the lock goes with its process"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_training_that_is_stopped_goes_on_at_the_next_start(place: Place, start: Start, number: int, trueup: Any, wait_for: Any) -> None:
    """TRN-14: stop and start, or kill -9: one recorded result."""
    one = start()
    wait_for(place.begun)
    code = one.stop(number)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert place.kinds() == TRAINED[:2]
    shown = trueup("status").stdout
    assert "no service runs here" in shown
    assert "was begun and is not finished" in shown
    place.go()
    two = start()
    two.until("NOTE start")
    assert two.stop() == 0
    assert place.kinds() == TRAINED
    assert place.begun() == 2


def test_a_pause_holds_the_training_within_a_second_and_resume_goes_on(place: Place, start: Start, trueup: Any, wait_for: Any) -> None:
    one = start()
    wait_for(place.begun)
    assert trueup("pause", "-m", "lunch").returncode == 0
    held = datetime.fromisoformat(one.until("is held")["at"])
    with Ledger.open(place.home) as ledger:
        (paused,) = ledger.decisions("toys", kind="pause")
    assert held - from_us(paused.at) < timedelta(seconds=5), "a second, and what a loaded machine adds"
    place.go()
    assert trueup("resume", "-m", "back").returncode == 0
    one.until("NOTE start")
    assert one.stop() == 0
    assert place.kinds() == [*TRAINED[:2], ("pause", "PAUSE"), ("resume", "NOTE"), *TRAINED[2:]]


def test_a_request_from_another_terminal_is_taken_up_at_once(place: Place, start: Start, trueup: Any) -> None:
    """TRG-06 while the service holds the loop: `run --train` asks, and the service trains."""
    place.write(rows=100_000)
    place.go()
    one = start()
    one.until("REST look")
    asked = trueup("run", "--train")
    assert asked.returncode == 0, asked.stderr
    assert f"process {one.process.pid}" in asked.stdout
    one.until("NOTE start")
    assert one.stop() == 0
    refused = trueup("run")
    assert refused.returncode == 0, "nobody holds it any more"


def test_an_edit_takes_effect_and_a_broken_one_is_reported(place: Place, start: Start, trueup: Any) -> None:
    place.write(rows=100_000)
    one = start()
    one.until("REST look")
    (place.folder / "loop.py").write_text("loop = (")
    one.until("the last good one goes on")
    assert "its file is broken, the last good one goes on" in trueup("status").stdout
    place.go()
    place.write(rows=50)
    one.until("the next cycle follows it")
    assert "broken" not in trueup("status").stdout
    assert trueup("run", "--train").returncode == 0
    one.until("NOTE start")
    assert one.stop() == 0


def test_an_edit_to_observe_holds_the_training_until_it_may_act_again(place: Place, start: Start, trueup: Any, wait_for: Any) -> None:
    """TRU-12: what only observes trains nothing; the run is kept, and goes on."""
    one = start()
    wait_for(place.begun)
    path = place.folder / "loop.py"
    acts = path.read_text()
    path.write_text(acts.replace("look=Cron", 'mode="observe", look=Cron'))
    one.until("is held")
    place.go()
    assert place.kinds() == TRAINED[:2]
    path.write_text(acts)
    one.until("NOTE start")
    assert one.stop() == 0
    assert place.kinds() == TRAINED
    assert place.begun() == 2


def test_a_rollback_of_the_champion_holds_the_training_and_enters_it_again(place: Place, start: Start, trueup: Any, wait_for: Any) -> None:
    """TRN-05: a training that was begun under a champion is looked at again when that one is taken away."""
    place.write(rows=100_000)
    assert start("--once").end() == 0
    place.promote(2)
    one = start()
    wait_for(lambda: holder(place.home, "run-toys"), 120)
    assert trueup("run", "--train").returncode == 0
    wait_for(place.begun)
    assert trueup("rollback", "-m", "it was the wrong one").returncode == 0
    one.until("is held")
    one.until("begins, or goes on")
    place.go()
    one.until("NOTE start")
    assert one.stop() == 0
    assert [kind for kind, _ in place.kinds()][-4:] == ["look", "rollback", "candidate", "start"]
    assert place.begun() == 2


def test_several_loops_share_a_home_and_one_that_trains_holds_up_no_other(place: Place, start: Start, trueup: Any, wait_for: Any) -> None:
    place.write("other_loop.py", name="other", rows=100_000)
    one = start("loop.py", "other_loop.py")
    wait_for(place.begun)
    wait_for(lambda: ("look", "REST") in place.kinds("other"))

    def shown() -> dict[str, Any] | None:
        """What `status` shows, once it shows the training and the plan: it is half a second old at most."""
        found = {one["loop"]: one["service"] for one in json.loads(trueup("status", "--json").stdout)}
        return found if (found["toys"].get("doing") or {}).get("what") == "train" and "would" in found["other"] else None

    service = wait_for(shown)
    assert service["toys"]["pid"] == service["other"]["pid"] == one.process.pid
    assert service["other"]["doing"] is None
    assert service["other"]["would"]["trains"] is False
    place.go()
    one.until("NOTE start")
    assert one.stop() == 0


def test_files_of_one_name_are_refused(place: Place, trueup: Any) -> None:
    (place.folder / "a").mkdir()
    place.write("a/loop.py", name="other")
    done = trueup("up", "loop.py", "a/loop.py", "--once")
    assert done.returncode == 2
    assert "loop files of different names" in done.stderr


def test_a_training_that_dies_is_tried_again_and_its_wait_survives_a_kill(place: Place, start: Start, trueup: Any, wait_for: Any) -> None:
    """TRN-14: a delay between tries that no kill shortens, and no try that is counted twice."""
    place.write(delay=15.0)  # longer than a loaded machine takes to show `status`
    one = start()
    wait_for(place.begun)
    killed = time.monotonic()  # before it dies, so that no pause of this process shortens what is measured
    os.kill(int((place.folder / "begun").read_text().split()[-1]), signal.SIGKILL)
    wait_for(lambda: "another try at" in trueup("status").stdout)
    one.kill()
    two = start()
    wait_for(lambda: place.begun() == 2)
    assert time.monotonic() - killed >= 14.5
    place.go()
    two.until("NOTE start")
    assert two.stop() == 0
    assert place.kinds() == TRAINED


def test_mon_01_a_training_that_dies_in_the_service_is_told_once(place: Place, start: Start) -> None:
    """Its alert stands in the home's file, with the command that helps, however often it starts."""
    place.go()
    (place.folder / "models").mkdir()
    (place.folder / "models" / "1").write_text("no folder, so no model")
    for _ in range(3):
        assert start("--once").end() == 0
    told = [json.loads(line) for line in (place.home / "alerts.jsonl").read_text().splitlines()]
    assert [(one["kind"], one["severity"]) for one in told] == [("failed", "error")]
    assert told[0]["command"].startswith("trueup why ")


def test_trn_12_the_service_throws_away_what_its_loop_does_not_keep(place: Place, start: Start, trueup: Any) -> None:
    """It holds the loop already; what serves stays, and `status` says what went."""
    path = place.write(rows=100_000)
    assert start("--once").end() == 0
    path.write_text(path.read_text().replace("look=Cron", "keep=Keep(last=0, weekly=0, monthly=0, days=0.0), look=Cron").replace(
        "from trueup.release", "from trueup.registry import Keep\nfrom trueup.release",
    ))
    with Ledger.open(place.home) as ledger:
        made = ledger.artifacts.put_tree(place.folder / "models" / "2")
        lost = register(ledger, "toys", made, facts={})
    one = start()
    said = one.until("NOTE prune")
    assert "thrown away: 1 model (" in said["text"]
    assert one.stop() == 0
    assert said["text"].removeprefix("NOTE prune: ") in trueup("status").stdout
    with Ledger.open(place.home) as ledger:
        champion = candidate(ledger, "toys", str(read(ledger, "toys")[1].champion))
        ledger.artifacts.verify(champion.model)
        assert lost.model.sha256 not in {ref.sha256 for ref in ledger.artifacts.stored()}


def test_tru_10_a_database_server_that_goes_away_holds_the_run_and_nothing_else(
    place: Place, start: Start, server: Any, trueup: Any, wait_for: Any
) -> None:
    """A real Postgres server, stopped in the middle of a training: a pause is obeyed, a stop ends the
    service, and once the server is back each step stands once."""
    one = start("--durable", server.url)
    wait_for(place.begun)
    server.stop()
    assert trueup("pause", "-m", "lunch").returncode == 0
    one.until("PAUSE pause")
    assert trueup("resume", "-m", "back").returncode == 0
    assert one.stop() == 0, "whoever stops it need not wait for the server"
    server.start()
    two = start("--durable", server.url)
    wait_for(lambda: place.begun() == 2)
    server.stop()
    place.go()
    wait_for(lambda: "train" in steps(place))
    assert two.stop() == 0, "nor where it waits for it"
    three = start("--durable", server.url)
    three.until("cannot be used")
    server.start()
    three.until("NOTE start")
    assert three.stop() == 0
    assert [kind for kind in place.kinds() if kind[0] not in ("pause", "resume")] == TRAINED
    assert sorted(steps(place)) == ["gates", "register", "snapshot", "start", "train"]


def steps(place: Place) -> list[str]:
    with Ledger.open(place.home) as ledger:
        return [one["step"] for one in ledger.records("toys", "step")]


def test_tru_12_a_service_that_observes_decides_nothing(place: Place, start: Start, trueup: Any) -> None:
    path = place.write()
    path.write_text(path.read_text().replace("look=Cron", 'mode="observe", look=Cron'))
    place.go()
    assert start("--once").end() == 0
    assert place.kinds() == []
    assert place.begun() == 0
    shown = trueup("status").stdout
    assert "it only observes" in shown
    assert "train command on 120 labelled rows" in shown
