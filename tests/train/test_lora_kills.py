# SPDX-License-Identifier: Apache-2.0
"""TRN-13, TRN-14, TRN-16: a training of a language model that is killed, and goes on in a new process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core import values
from trueup.core.json import dumps
from trueup.core.protocols import Budget, TrainJob
from trueup.models import LocalModel, Prompt
from trueup.store.artifacts import Artifacts
from trueup.testing import tiny_causal_lm
from trueup.train import Lora

# A process of its own: it runs the job, says each step on a line, and at last the model and its facts.
CODE = """
import json, sys
from pathlib import Path
from trueup.core.json import dumps
from trueup.core.protocols import TrainJob
from trueup.store.artifacts import Artifacts
from trueup.train import run

home = Path(sys.argv[1])
job = TrainJob.from_json(json.loads((home / "job.json").read_text()))
done = run(job, Artifacts(home), workdir=home / sys.argv[2], retry_delay=0.0,
           progress=lambda step, total, _: print(step, flush=True))
print(dumps({"model": done.model and done.model.sha256, "facts": done.result.facts, "reason": done.result.reason,
             "kinds": [one.kind for one in done.attempts]}), flush=True)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a job: 120 steps on a tiny model, a checkpoint after each."""
    folder, store = tmp_path / "home", Artifacts(tmp_path / "home")
    rows = [(f"where is place {at}?", f"near {at * 7 % 10}") for at in range(30)]
    raw = tiny_causal_lm(tmp_path / "raw", [f"{given}\n{answer}" for given, answer in rows], hidden=32)
    (tmp_path / "base").mkdir()
    LocalModel(raw, prompt=Prompt(max_new_tokens=4)).write(tmp_path / "base", "text")
    pq.write_table(pa.table({
        "input": [dumps(given) for given, _ in rows], "target": [dumps(answer) for _, answer in rows],
        "weight": [1.0] * len(rows), "part": ["new"] * len(rows),
    }), tmp_path / "rows.parquet")
    trainer = Lora(r=4, dropout=0.1, learning_rate=1e-3, batch=5, epochs=20, save_every=timedelta(0))
    job = TrainJob(
        "kills", values.to_json(trainer), store.put_file(tmp_path / "rows.parquet"), "text", seed=5,
        base=store.put_tree(tmp_path / "base"), budget=Budget(seconds=250, megabytes=2_000),
    )
    (folder / "job.json").write_text(dumps(job.to_json()))
    return folder


def begin(home: Path, work: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CODE, str(home), work], stdout=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> dict:
    said, _ = process.communicate()
    return json.loads(said.splitlines()[-1])


def worker_of(process: subprocess.Popen[str]) -> int:
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


@pytest.mark.chaos
def test_killed_it_goes_on_in_a_new_process_to_the_same_bytes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL of everything, and SIGTERM of the training alone (a spot machine that is taken away)."""
    whole = end(begin(home, "whole"))
    assert whole["kinds"] == ["completed"], whole
    killed = begin(home, "killed")
    assert killed.stdout is not None
    assert int(killed.stdout.readline()) >= 1
    worker = worker_of(killed)
    os.kill(worker, signal.SIGKILL)
    killed.kill()
    killed.wait()
    killed.stdout.close()
    again = end(begin(home, "killed"))
    assert again["facts"]["resumed"] >= 1
    term = begin(home, "term")
    assert term.stdout is not None
    assert int(term.stdout.readline()) >= 1
    os.kill(worker_of(term), signal.SIGTERM)
    asked = end(term)
    assert asked["kinds"] == ["retry", "completed"], asked
    assert asked["facts"]["resumed"] >= 1
    with capsys.disabled():
        print(f"\nundisturbed      {whole['model']}")
        print(f"SIGKILL, resumed {again['model']} (from step {again['facts']['resumed']} of {again['facts']['steps']})")
        print(f"SIGTERM, resumed {asked['model']} (from step {asked['facts']['resumed']})")
    assert whole["model"] == again["model"] == asked["model"]
    assert not list(home.glob("*/*/checkpoints"))
