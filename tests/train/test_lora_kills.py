# SPDX-License-Identifier: Apache-2.0
"""TRN-13, TRN-14, TRN-16: a training of a language model that is killed, and goes on in a new process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core import values
from trueup.core.errors import Held
from trueup.core.json import dumps
from trueup.core.protocols import Budget, TrainJob
from trueup.models import LocalModel, Prompt
from trueup.store.artifacts import Artifacts, digest_of
from trueup.testing import tiny_causal_lm
from trueup.train import Lora, run

# A process of its own: it runs the job, and says each step on a line.
CODE = """
import json, sys
from pathlib import Path
from trueup.core.protocols import TrainJob
from trueup.store.artifacts import Artifacts
from trueup.train import run

home = Path(sys.argv[1])
job = TrainJob.from_json(json.loads((home / "job.json").read_text()))
run(job, Artifacts(home), workdir=home / "work", retry_delay=0.0, progress=lambda step, total, _: print(step, flush=True))
"""


class Undisturbed:
    """A RunContext in this process."""

    def __init__(self, workdir: Path) -> None:
        workdir.mkdir()
        self.workdir = workdir

    def report(self, step: int, total: int, **metrics: float) -> None: ...

    def should_stop(self) -> bool:
        return False


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a job: 240 steps on a tiny model, a checkpoint after each; many more than pass before it is killed."""
    folder, store = tmp_path / "home", Artifacts(tmp_path / "home")
    rows = [(f"where is place {at}?", f"near {at * 7 % 10}") for at in range(30)]
    raw = tiny_causal_lm(tmp_path / "raw", [f"{given}\n{answer}" for given, answer in rows], hidden=32)
    (tmp_path / "base").mkdir()
    LocalModel(raw, prompt=Prompt(max_new_tokens=4)).write(tmp_path / "base", "text")
    pq.write_table(pa.table({
        "input": [dumps(given) for given, _ in rows], "target": [dumps(answer) for _, answer in rows],
        "weight": [1.0] * len(rows), "part": ["new"] * len(rows),
    }), tmp_path / "rows.parquet")
    trainer = Lora(r=4, dropout=0.1, learning_rate=1e-3, batch=5, epochs=40, save_every=timedelta(0))
    job = TrainJob(
        "kills", values.to_json(trainer), store.put_file(tmp_path / "rows.parquet"), "text", seed=5,
        base=store.put_tree(tmp_path / "base"), budget=Budget(seconds=250, megabytes=2_000),
    )
    (folder / "job.json").write_text(dumps(job.to_json()))
    return folder


def worker_of(pid: int) -> int:
    """The training that a process has started."""
    found = [int(one) for task in os.listdir(f"/proc/{pid}/task") for one in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return next(one for one in found if b"trueup.train.worker" in Path(f"/proc/{one}/cmdline").read_bytes())


@pytest.mark.chaos
def test_killed_it_goes_on_in_a_new_process_to_the_same_bytes(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL of everything, then SIGTERM of the training alone (a spot machine that is taken away), then
    to the end: bitwise the model of a training in this process that nothing disturbed."""
    job, store = TrainJob.from_json(json.loads((home / "job.json").read_text())), Artifacts(home)
    local = replace(job, data=job.data.at(store.path(job.data)), base=job.base.at(store.path(job.base)))
    trainer = values.from_json(dict(job.trainer))
    whole = digest_of(trainer.fit(local, Undisturbed(tmp_path / "whole")).model)

    killed = subprocess.Popen([sys.executable, "-c", CODE, str(home)], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    assert int(killed.stdout.readline()) >= 1
    os.kill(worker_of(killed.pid), signal.SIGKILL)
    killed.kill()
    killed.wait()
    killed.stdout.close()

    steps: list[int] = []

    def taken_away(step: int, total: int, metrics: object) -> None:
        if not steps:
            os.kill(worker_of(os.getpid()), signal.SIGTERM)
        steps.append(step)

    done = run(job, store, workdir=home / "work", retry_delay=0.0, progress=taken_away)
    assert [one.kind for one in done.attempts] == ["retry", "completed"], done
    assert done.model is not None
    assert done.result.facts["resumed"] >= steps[0] >= 2
    with capsys.disabled():
        print(f"\nundisturbed          {whole}")
        print(f"SIGKILL and SIGTERM  {done.model.sha256} (gone on from step {done.result.facts['resumed']} of {done.result.facts['steps']})")
    assert done.model.sha256 == whole
    assert not list(home.glob("*/*/checkpoints"))


def test_out_of_time_it_writes_a_checkpoint_and_goes_on_with_more(home: Path) -> None:
    """TRN-13, TRN-15: SIGTERM and a grace, and no checkpoint before; a larger budget is no other job."""
    job, store = TrainJob.from_json(json.loads((home / "job.json").read_text())), Artifacts(home)
    long = {**job.trainer, "epochs": 5_000, "save_every": values.to_json(timedelta(days=1))}
    seconds, steps, kept = 6.0, [0], []
    while not (kept and steps):  # until it has come to its first step within its time, on a machine of any speed
        assert seconds < 200
        steps.clear()
        ended = run(
            replace(job, trainer=long, budget=Budget(seconds=seconds, megabytes=2_000)), store, workdir=home / "work",
            progress=lambda step, *_: steps.append(step),
        )
        assert [one.kind for one in ended.attempts] == ["time"], ended
        assert "raise Loop(budget=Budget(seconds=...))" in ended.result.reason
        kept, seconds = list((home / "work").glob("*/checkpoints/*")), 2 * seconds
    more: list[int] = []
    with pytest.raises(Held):
        run(
            replace(job, trainer=long, budget=Budget(seconds=250, megabytes=2_000)), store, workdir=home / "work",
            progress=lambda step, *_: more.append(step), stop=lambda: bool(more),
        )
    assert more[0] > steps[-1] >= 1
