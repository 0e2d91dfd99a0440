# SPDX-License-Identifier: Apache-2.0
"""kill -9 of an application: what was acknowledged is there."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from trueup.store import Ledger

CODE = """
import sys
from pathlib import Path
from trueup.client import connect
client = connect("news", Path(sys.argv[1]))
for i in range(10**9):
    choice = client.choose(f"{sys.argv[2]}-{i}")
    print("a" if choice.propensity else "-", choice.id, choice.arm, flush=True)
    client.log(choice, {"i": i}, i)
    print("i", choice.id, flush=True)
    client.feedback(choice.id, "n", i)
    print("o", choice.id, flush=True)
"""


@pytest.mark.chaos
def test_everything_acknowledged_survives(home: Path, ledger: Ledger, decide: Any, half: Any, rows: Any) -> None:
    """TRU-02: 12 processes are killed at random moments; every acknowledged event is in the ledger."""
    decide(half)
    rng = random.Random(5)
    said: list[list[str]] = []
    for round_ in range(6):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", CODE, str(home), f"{round_}-{k}"], stdout=subprocess.PIPE, text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for k in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            said.append(process.stdout.readline().split())
        time.sleep(rng.uniform(0.0, 0.15))
        for process in processes:
            process.send_signal(signal.SIGKILL)
            out, _ = process.communicate()
            said += [line.split() for line in out.splitlines() if len(line) >= len("a ") + 36]
    kept = {
        "a": {row["id"] for row in rows("assignment")}, "i": {row["id"] for row in rows("interaction")},
        "o": {row["choice"] for row in rows("outcome")},
    }
    assert len(said) > 12
    assert {line[0] for line in said} <= {"a", "i", "o"}, "every choice was enrolled"
    assert [line for line in said if line[1] not in kept[line[0]]] == []
    assert {row["id"] for row in rows("interaction")} <= kept["a"], "no arm without its assignment"
