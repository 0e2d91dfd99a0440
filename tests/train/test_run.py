# SPDX-License-Identifier: Apache-2.0
"""TRN-14, TRN-15: trainings that die, hang, eat memory, ask for another try or return nonsense."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from trueup.core import values
from trueup.core.errors import (
    ArgumentError,
    Busy,
    DataError,
    DefinitionError,
    TrainingError,
    TrainingRetryable,
)
from trueup.core.money import Spend
from trueup.core.protocols import Budget, Capabilities, TrainResult
from trueup.core.values import value
from trueup.models import load, read_manifest
from trueup.train import Command, Sklearn, Xgboost, code, run
from trueup.train.fitting import plainly
from trueup.train.run import job_key

GOOD = """
import hashlib, json, os, pathlib
job = json.load(open("job.json"))
model = pathlib.Path("model"); model.mkdir()
manifest = {"format": "constant", "answers": job["output"], "labels": ["sea", "war"],
            "details": {"answer": "sea"}, "files": {}}
"""
DONE = """
json.dump(manifest, open("model/model.json", "w"))
json.dump({"model": "model", "metrics": {"loss": 0.5}, "facts": {"params": job["params"]}}, open("result.json", "w"))
"""


class Naps:
    """A sleep that only remembers."""

    def __init__(self):
        self.taken = []

    def __call__(self, seconds):
        self.taken.append(seconds)


@pytest.fixture
def naps():
    return Naps()


@pytest.fixture
def script(tmp_path):
    def write(code, **kwargs):
        path = tmp_path / "own_trainer.py"
        path.write_text(code)
        return Command([sys.executable, path], **kwargs)

    return write


@pytest.fixture
def go(make_job, stored, store, naps, tmp_path, rows):
    def go(trainer, *, seconds=60.0, megabytes=1500, money=None, **kwargs):
        job = make_job(trainer, rows, budget=Budget(seconds, megabytes, money=money))
        return run(stored(job), store, workdir=tmp_path / "work", sleep=naps, **kwargs)

    return go


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def appeared(path, within=60.0):
    until = time.monotonic() + within
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.02)
    return path.exists()


def gone(pid, within=10.0):
    until = time.monotonic() + within
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


@pytest.mark.parametrize("trainer", [Sklearn(), Xgboost(rounds=10, least=1)], ids=["sklearn", "xgboost"])
def test_a_training_gives_a_model_and_is_not_done_twice(trainer, go, tmp_path):
    """TRN-09, TRN-14: keyed by the job's digest."""
    steps = []
    first = go(trainer, progress=lambda step, total, metrics: steps.append((step, total)))
    assert first.result.status == "completed", first.attempts[-1].stderr
    assert [attempt.kind for attempt in first.attempts] == ["completed"]
    assert steps[-1][0] == steps[-1][1]
    assert load(first.result.model).predict(["soldiers and a general"])[0].value == "war"
    assert first.require() == first.model
    again = go(trainer)
    assert again.again
    assert again.model == first.model
    assert again.attempts == first.attempts
    assert not list((tmp_path / "work").glob("*/attempt-*"))


def test_a_lost_model_is_trained_again_to_the_same_digest(go, store):
    first = go(Sklearn())
    shutil.rmtree(store.path(first.model))
    again = go(Sklearn())
    assert not again.again
    assert again.model == first.model


def test_a_command_trains(go, script):
    steps = []
    code = GOOD + "print(json.dumps({'step': 1, 'total': 2, 'loss': 0.7}), flush=True)\nprint('chatter')" + DONE
    got = go(script(code, params={"depth": 3}), progress=lambda *said: steps.append(said))
    assert got.result.status == "completed", got.result.reason
    assert got.result.metrics == {"loss": 0.5}
    assert got.result.facts["params"] == {"depth": 3}
    assert steps == [(1, 2, {"loss": 0.7})]
    assert "chatter" in got.attempts[0].stderr
    assert read_manifest(got.result.model).format == "constant"


def test_paths_under_the_folder_of_the_loop_file(make_job, stored, store, rows, tmp_path, script):
    """A loop's JSON holds its paths relative to its file."""
    trainer = script(GOOD + DONE)
    job = stored(make_job(trainer, rows))
    job = replace(job, trainer=values.to_json(trainer, tmp_path))
    assert str(tmp_path) not in json.dumps(job.trainer)
    got = run(job, store, workdir=tmp_path / "work", base=tmp_path)
    assert got.result.status == "completed", got.attempts[0].stderr


def test_threads_and_priority_are_set(go, script):
    code = GOOD + (
        "manifest['details']['answer'] = 'sea'\n"
        "print(os.environ['OMP_NUM_THREADS'], os.environ['OPENBLAS_NUM_THREADS'], os.nice(0), flush=True)"
    ) + DONE
    got = go(script(code, threads=2))
    assert f"2 2 {min(os.nice(0) + 10, 19)}" in got.attempts[0].stderr


def test_exit_75_is_tried_again_after_a_pause(go, script, naps, tmp_path):
    code = f"import pathlib, sys\nonce = pathlib.Path({str(tmp_path / 'once')!r})\n" + (
        "if not once.exists():\n    once.touch()\n    sys.exit(75)\n"
    ) + GOOD + DONE
    got = go(script(code))
    assert [attempt.kind for attempt in got.attempts] == ["retry", "completed"]
    assert naps.taken == [300.0]
    assert got.attempts[1].waited == 300.0


def test_pauses_back_off_and_end(go, script, naps):
    got = go(script("import sys; sys.exit(75)"), retries=3, retry_delay=10.0, backoff=3.0)
    assert naps.taken == [10.0, 30.0, 90.0]
    assert got.result.status == "retry"
    assert got.model is None
    with pytest.raises(TrainingRetryable, match=r"no model after 4 attempts: .*exit 75"):
        got.require()


def test_a_failure_is_not_tried_again(go, script, naps):
    got = go(script("import sys; sys.exit('no such table')"))
    assert got.result.status == "failed"
    assert "got 1" in got.result.reason
    assert "no such table" in got.attempts[0].stderr
    assert naps.taken == []
    with pytest.raises(TrainingError) as caught:
        got.require()
    assert not isinstance(caught.value, TrainingRetryable)


def test_death_by_a_signal_is_tried_again(go, script):
    got = go(script("import os; os.kill(os.getpid(), 9)"))
    assert [attempt.kind for attempt in got.attempts] == ["retry", "retry"]
    assert "killed by signal 9" in got.result.reason
    got = go(script("import os; os.kill(os.getppid(), 11)"))
    assert [attempt.kind for attempt in got.attempts] == ["signal", "signal"]
    assert "SIGSEGV" in got.result.reason


def test_a_hang_ends_at_the_time_limit_with_all_its_children(go, script, tmp_path):
    """TRN-15: also a child that left the process group."""
    code = (
        "import os, subprocess, sys, time, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "a = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "b = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{os.getppid()}} {{a.pid}} {{b.pid}}')\n"
        "time.sleep(600)\n"
    )
    started = time.monotonic()
    got = go(script(code), seconds=12.0)  # in which it begins its children on a machine of any speed
    assert time.monotonic() - started < 120
    assert [attempt.kind for attempt in got.attempts] == ["time"]
    assert "expected an end within 12 s" in got.result.reason
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 4
    assert all(gone(pid) for pid in pids)


def test_memory_is_limited_children_included_and_tried_once_more(go, script, naps):
    code = (
        "import subprocess, sys\n"
        "eat = 'import time; x = bytearray(3 << 27); x[::4096] = b\"1\" * len(x[::4096]); time.sleep(600)'\n"
        "subprocess.run([sys.executable, '-c', eat])\n"
    )
    started = time.monotonic()
    got = go(script(code), megabytes=300, retries=5)
    assert time.monotonic() - started < 300
    assert [attempt.kind for attempt in got.attempts] == ["memory", "memory"]
    assert "expected at most 300 MB of memory, got" in got.result.reason
    assert got.result.status == "retry"


NONSENSE = {
    "nothing": ("pass", "expected a result.json"),
    "no model": (
        "import json; json.dump({'model': 'model'}, open('result.json', 'w'))", "expected a model.json"),
    "not JSON": ("open('result.json', 'w').write('{')", "expected JSON"),
    "outside": ("import json; json.dump({'model': '/etc'}, open('result.json', 'w'))", "in the workdir"),
    "no manifest": (GOOD + "json.dump({'model': 'model'}, open('result.json', 'w'))", "expected a model.json"),
    "digests": (
        GOOD + "open('model/w', 'w').write('x'); manifest['files'] = {'w': '0' * 64}" + DONE, "expected w with SHA-256"),
    "other answers": (GOOD + "manifest['answers'] = 'number'" + DONE, "expected a model that answers label, got number"),
    "unknown label": (GOOD + "manifest['details']['answer'] = 'space'" + DONE, "answers that are a label, got 'space'"),
    "wrong type": (GOOD + "manifest['details']['answer'] = [1]" + DONE, "answers that are a label"),
    "unknown format": (GOOD + "manifest['format'] = 'pickle'" + DONE, "expected a known model format, got 'pickle'"),
    "NaN": (
        GOOD + "manifest['format'] = 'command'; manifest['details'] = {'argv': ['printf', '{\"value\": NaN}']}" + DONE,
        "expected one JSON answer a line"),
    "too few": (
        GOOD + "manifest['format'] = 'command'; manifest['details'] = {'argv': ['true']}" + DONE, "expected a list of"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(name, go, script, naps):
    code, words = NONSENSE[name]
    got = go(script(code))
    assert got.result.status == "failed"
    assert words in got.result.reason
    assert "Traceback" not in got.result.reason
    assert got.model is None
    assert naps.taken == []
    with pytest.raises(TrainingError):
        got.require()


@value("trainer.test_odd")
class Odd:
    """A third party's trainer in a file that no import finds."""

    how: str

    @property
    def capabilities(self):
        return Capabilities()

    def fit(self, job, context):
        if self.how == "raise":
            raise RuntimeError("a bug of its own")
        if self.how == "memory":
            raise MemoryError("no more")
        if self.how == "exit":
            os._exit(0)
        if self.how == "none":
            return None
        if self.how == "status":
            return TrainResult("fine")
        context.workdir.joinpath("model").mkdir()
        return TrainResult("completed", context.workdir / "model", {"loss": float("nan")})


@pytest.mark.parametrize(
    ("how", "kinds", "words"),
    [
        ("raise", ["failed"], "RuntimeError: a bug of its own"),
        ("memory", ["memory", "memory"], "out of memory: no more"),
        ("exit", ["nonsense"], "left no outcome"),
        ("none", ["nonsense"], "expected a TrainResult"),
        ("status", ["nonsense"], "expected a TrainResult"),
        ("empty", ["nonsense"], "expected a model.json"),
    ],
)
def test_a_trainer_that_breaks_its_word(how, kinds, words, go):
    got = go(Odd(how))
    assert [attempt.kind for attempt in got.attempts] == kinds
    assert words in got.result.reason


def test_bad_data_are_a_plain_reason(make_job, stored, store, tmp_path, naps):
    got = run(stored(make_job(Sklearn(), [("a", "x")] * 3)), store, workdir=tmp_path / "work", sleep=naps)
    assert got.result.status == "failed"
    assert got.result.reason.startswith("expected at least two different labels to train on, got ['x']; cure:")
    assert got.attempts[0].stderr == ""


def test_two_processes_on_one_job(go, tmp_path, script):
    """Two runs of one job: the second says who is at work."""
    began, end = tmp_path / "began", tmp_path / "end"
    trainer = script(
        f"import os, time\nopen({str(began)!r}, 'w')\n"
        f"while not os.path.exists({str(end)!r}):\n    time.sleep(0.02)\n" + GOOD + DONE
    )
    done = []
    thread = threading.Thread(target=lambda: done.append(go(trainer)))
    thread.start()
    assert appeared(began)
    with pytest.raises(Busy, match="another process trains it"):
        go(trainer)
    end.touch()
    thread.join()
    assert done[0].result.status == "completed"


def test_the_key_does_not_depend_on_place_or_budget(make_job, rows):
    job = make_job(Sklearn(), rows)
    moved = replace(job, data=job.data.at("/elsewhere"), budget=Budget(1.0, 1))
    assert job_key(moved) == job_key(job)
    assert job_key(replace(job, seed=2)) != job_key(job)
    assert job_key(replace(job, trainer=values.to_json(Sklearn("sgd")))) != job_key(job)


def test_the_key_changes_with_any_module_that_the_trainer_computes_with(make_job, rows, tmp_path, monkeypatch):
    """TRN-13: an edited loop, checkpoint or model trains again; a package of one's own is followed as well."""
    assert {"trueup.train.lora.loop", "trueup.train.lora.checkpoints", "trueup.models.causal", "trueup.train.rows"} <= set(
        code.sources("trueup.train.lora.config"))
    assert "trueup.models.boosted" not in code.sources("trueup.train.lora.config")
    package = tmp_path / "acme_trainers"
    (package / "inner").mkdir(parents=True)
    for name, text in {
        "__init__": "", "inner/__init__": "", "inner/deep": "STEP = 1\n", "other": "",
        "own": "from trueup.core.values import value\n\n\n@value('trainer.test_acme')\nclass Acme:\n"
               "    def fit(self, job, context):\n        from .inner import deep\n        return deep.STEP\n",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    from acme_trainers.own import Acme

    job = make_job(Acme(), rows)

    def key():
        code.packaged.cache_clear()
        return job_key(job)

    first = key()
    (package / "other.py").write_text("# nobody imports it\n")
    assert key() == first
    (package / "inner" / "deep.py").write_text("STEP = 2\n")
    assert key() != first
    code.packaged.cache_clear()


def test_a_lost_network_inside_a_fit_is_tried_again():
    """TRN-14: our own trainers say retry for what may pass, and failed for what does not."""

    def lost():
        raise TrainingRetryable("the network is gone")

    def wrong():
        raise DataError("bad rows")

    assert (plainly(lost).status, plainly(lost).reason) == ("retry", "the network is gone")
    assert plainly(wrong).status == "failed"


def test_money_stops_a_training_and_more_of_it_goes_on(go, script, tmp_path):
    """TRN-13, TRN-15: price times time over all attempts; it gets a SIGTERM, and its checkpoint stays."""
    end = tmp_path / "end"
    slow = script(
        f"import os, time\nwhile not os.path.exists({str(end)!r}):\n    time.sleep(0.02)\n" + GOOD + DONE
    )
    price, budget = Spend(3600, "EUR"), {"money": Spend(2.0, "EUR")}
    for wrong in ({}, {"price": Spend(1, "USD")}):
        with pytest.raises(DefinitionError, match="expected a price in EUR"):
            go(slow, **budget, **wrong)
    got = go(slow, price=price, retries=3, **budget)
    assert [one.kind for one in got.attempts] == ["money"]
    assert got.result.status == "failed"
    assert "expected an end within 2 EUR" in got.result.reason
    assert "raise Loop(budget=Budget(money=...))" in got.result.reason
    assert got.attempts[0].seconds >= 2.0
    assert list((tmp_path / "work").glob("*/checkpoints"))
    end.touch()
    assert [one.kind for one in go(slow, price=price, **budget).attempts] == ["money"], "what was spent counts"
    more = go(slow, price=price, money=Spend(600.0, "EUR"))
    assert more.result.status == "completed"
    assert not list((tmp_path / "work").glob("*/checkpoints"))
    assert not list((tmp_path / "work").glob("*/spent"))


@pytest.mark.parametrize("wrong", [{"retries": -1}, {"backoff": 0.5}, {"retry_delay": -1.0}, {"seconds": 0}])
def test_limits_that_cannot_be(wrong, go):
    with pytest.raises(ArgumentError):
        go(Sklearn(), **wrong)


@pytest.mark.chaos
def test_a_killed_run_leaves_no_process_and_can_be_run_again(make_job, stored, store, rows, tmp_path, script):
    """The worker dies with the process that started it; the next run trains as if nothing were."""
    pids = tmp_path / "pids"
    trainer = script(
        f"import os, subprocess, sys, time\nif not os.path.exists({str(pids)!r}):\n"
        "    stray = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"    open({str(pids)!r} + '~', 'w').write(f'{{os.getpid()}} {{os.getppid()}} {{stray.pid}}')\n"
        f"    os.rename({str(pids)!r} + '~', {str(pids)!r})\n    time.sleep(600)\n" + GOOD + DONE
    )
    job = stored(make_job(trainer, rows))
    order = tmp_path / "order.json"
    order.write_text(json.dumps(job.to_json()))
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom trueup.core.protocols import TrainJob\n"
        "from trueup.train import run\nfrom trueup.store.artifacts import Artifacts\n"
        f"run(TrainJob.from_json(json.load(open({str(order)!r}))), Artifacts(Path({str(tmp_path / 'home')!r})), workdir=Path({str(tmp_path / 'work')!r}))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": ":".join(sys.path)})
    assert appeared(pids)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert all(gone(int(pid)) for pid in pids.read_text().split())
    got = run(job, store, workdir=tmp_path / "work")
    assert got.result.status == "completed"
    assert len(got.attempts) == 1
