# SPDX-License-Identifier: Apache-2.0
"""acknowledge="enqueue": batches, flush, the end of a process, and a fork."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from trueup.client import Client, connect
from trueup.core import Event
from trueup.store import Ledger


def test_flush_makes_durable(home: Path, ledger: Ledger, rows: Any) -> None:
    with connect("news", home, acknowledge="enqueue") as client:
        for i in range(2500):
            client.feedback("c", "n", i)
        client.flush()
        assert len(rows("outcome")) == 2500
        client.flush()


def test_the_order_is_kept(home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any) -> None:
    """An assignment is never behind the interaction that it belongs to."""
    decide(half)
    with connect("news", home, acknowledge="enqueue") as client:
        for i in range(300):
            choice = client.choose(str(i))
            client.log(choice, i, i)
            client.feedback(choice.id, "n", i)
    written = rows("assignment", "interaction", "outcome")
    assert [row["kind"] for row in written] == ["assignment", "interaction", "outcome"] * 300


def test_batches(home: Path, ledger: Ledger, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    append = Ledger.append

    def counted(self: Ledger, events: Any) -> int:
        sizes.append(len(events))
        return append(self, events)

    monkeypatch.setattr(Ledger, "append", counted)
    with connect("news", home, acknowledge="enqueue") as client:
        for i in range(5000):
            client.feedback("c", "n", i)
    assert max(sizes) <= 1000 + 5
    assert len(sizes) < 500
    assert len(rows("outcome")) == 5000


def test_an_event_that_the_ledger_cannot_take_does_not_stop_the_others(
    home: Path, ledger: Ledger, rows: Any
) -> None:
    """One poisoned event is lost, and said so; those around it are written."""
    with connect("news", home, acknowledge="enqueue") as client:
        client.feedback("c", "n", 1)
        client._writer.write(Event("bad", "news", "outcome", ts=object()))  # type: ignore[arg-type]
        client.feedback("c", "n", 2)
        try:
            client.flush(5.0)
        except Exception as error:
            pytest.fail(f"flush: {error}")
    assert [row["value"] for row in rows("outcome")] == [1.0, 2.0]
    assert {row["name"] for row in rows("signal")} >= {"events_lost"}


def test_a_client_that_is_forgotten_writes_what_it_has(home: Path, ledger: Ledger, rows: Any) -> None:
    client = connect("news", home, acknowledge="enqueue")
    client.feedback("c", "n", 1)
    del client
    gc.collect()
    assert len(rows("outcome")) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "trueup-client"]


def run(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "raise SystemExit(0)"])
def test_the_end_of_a_process_flushes(home: Path, ledger: Ledger, rows: Any, end: str) -> None:
    code = (
        "import sys; from pathlib import Path; from trueup.client import connect\n"
        "c = connect('news', Path(sys.argv[1]), acknowledge='enqueue')\n"
        f"for i in range(500): c.feedback('c', 'n', i)\n{end}"
    )
    done = run(code, str(home))
    assert (done.returncode, done.stderr) == (0, "loop news: no_routing: no champion yet: the state has no routing\n")
    assert len(rows("outcome")) == 500


@pytest.mark.parametrize("acknowledge", ["sync", "enqueue"])
def test_a_fork_has_its_own_ledger_and_thread(home: Path, ledger: Ledger, rows: Any, acknowledge: str) -> None:
    """A server that connects before it forks: each worker writes its own events, once."""
    code = (
        "import os, sys; from pathlib import Path; from trueup.client import connect\n"
        f"c = connect('news', Path(sys.argv[1]), acknowledge='{acknowledge}')\n"
        "for i in range(20): c.feedback('before', 'n', i)\n"
        "pids = []\n"
        "for k in range(3):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        for i in range(100): c.feedback(f'child-{k}', 'n', i)\n"
        "        c.close(); os._exit(0)\n"
        "    pids.append(pid)\n"
        "for i in range(20): c.feedback('after', 'n', i)\n"
        "assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)\n"
        "c.close()"
    )
    done = run(code, str(home))
    assert done.returncode == 0, done.stderr
    assert len(rows("outcome")) == 340


def test_a_hasty_application_waits_for_room(
    home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any
) -> None:
    """Where the ledger is well but slower than the application, nothing is lost on either side."""
    decide(half)
    with Client("news", home, acknowledge="enqueue", queue=20, patience=30.0) as client:
        for i in range(300):
            choice = client.choose(str(i))
            assert choice.propensity == 0.5
            client.log(choice, i, i)
    assert len(rows("assignment")) == len(rows("interaction")) == 300
    assert rows("signal") == []
