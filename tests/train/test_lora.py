# SPDX-License-Identifier: Apache-2.0
"""TRN-01, TRN-02, TRN-13, TRN-14, FGT-03: the trainer of language models, on tiny ones made here."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core import values
from trueup.core.errors import ArgumentError, DefinitionError
from trueup.core.json import dumps
from trueup.core.protocols import TrainJob
from trueup.core.references import Ref
from trueup.models import LocalModel, Prompt, load, read_manifest
from trueup.models.manifest import file_sha256
from trueup.store.artifacts import digest_of
from trueup.testing import check_value, tiny_causal_lm
from trueup.train import Lora
from trueup.train.lora.data import order
from trueup.train.lora.loop import Training

NOW = timedelta(0)
PLACES = ["rome", "oslo", "lima", "bern", "cairo", "delhi"]
NAMES = [first + last for first in ("ax", "bim", "cor", "dul", "eb", "fan") for last in ("o", "ia", "um", "et")]
FACTS = [(f"where is {name}?", PLACES[at * at % 6 if at % 2 else at // 2 % 6]) for at, name in enumerate(NAMES)]
NEWS = [(given, PLACES[(PLACES.index(was) + 1 + at) % 6]) for at, (given, was) in enumerate(FACTS[:5])]
SHORT = Prompt(max_new_tokens=6)


class Here:
    """A RunContext in this process, which stops after `stop` steps."""

    def __init__(self, workdir: Path, *, stop: int | None = None, starved: int = 0, checkpoints: Path | None = None) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self.workdir, self.checkpoints, self.starved = workdir, checkpoints or workdir / "checkpoints", starved
        self._left = stop

    def report(self, step: int, total: int, **metrics: float) -> None:
        assert step <= total

    def should_stop(self) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        return self._left < 0


def ref(folder: Path) -> Ref:
    return Ref(str(folder), digest_of(folder))


@pytest.fixture(scope="session")
def raw(tmp_path_factory):
    return tiny_causal_lm(tmp_path_factory.mktemp("raw") / "lm", [f"{q}\n{a}" for q, a in FACTS + NEWS] * 2, hidden=48)


@pytest.fixture(scope="session")
def make_job_of(tmp_path_factory):
    """Write rows, and give the job that trains on them, on the base in a folder."""
    folder, numbers = tmp_path_factory.mktemp("jobs"), count()

    def make(trainer, rows, *, base, weights=None, init=None, seed=1):
        path = folder / f"{next(numbers)}.parquet"
        pq.write_table(pa.table({
            "input": [dumps(x) for x, _ in rows], "target": [dumps(y) for _, y in rows],
            "weight": [1.0] * len(rows) if weights is None else weights, "part": ["new"] * len(rows),
        }), path)
        return TrainJob(
            "facts", values.to_json(trainer), Ref(str(path), file_sha256(path), len(rows)), "text", seed=seed, init=init,
            base=ref(base),
        )

    return make


@pytest.fixture(scope="session")
def base(raw, make_job_of, tmp_path_factory):
    """A model that knows the facts: trained whole, here."""
    folder = tmp_path_factory.mktemp("base")
    plain = folder / "plain"
    plain.mkdir()
    LocalModel(raw, prompt=SHORT).write(plain, "text")
    trainer = Lora(full=True, learning_rate=1e-2, epochs=70, batch=8)
    done = trainer.fit(make_job_of(trainer, FACTS, base=plain), Here(folder / "work"))
    assert done.status == "completed", done.reason
    return done.model


def right(folder: Path, rows, base: Path | None = None) -> float:
    answers = load(folder, base=base).predict([given for given, _ in rows])
    return sum(answer.value == target for answer, (_, target) in zip(answers, rows, strict=True)) / len(rows)


def fitted(trainer, job, context):
    done = trainer.fit(job, context)
    assert done.status == "completed", done.reason
    return done


QUICK = Lora(r=8, learning_rate=1e-2, epochs=30, batch=3, dropout=0.1, save_every=timedelta(hours=1))


def test_a_whole_model_learns(base):
    """TRN-02: full fine-tuning gives a model folder that answers by itself."""
    assert read_manifest(base).format == "causal"
    assert right(base, FACTS) >= 0.95


def test_an_adapter_learns_and_leaves_its_base_alone(base, make_job_of, tmp_path):
    """TRN-01, FGT-03: only the adapter is saved; the base's bytes and answers stay."""
    before, asked = digest_of(base), [given for given, _ in FACTS]
    answers = load(base).predict(asked)
    done = fitted(QUICK, make_job_of(QUICK, NEWS, base=base), Here(tmp_path / "w"))
    manifest = read_manifest(done.model)
    assert manifest.format == "adapter"
    assert manifest.details["base"] == read_manifest(base).digest() == done.facts["base"]
    assert sorted(path.name for path in done.model.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "model.json"]
    assert right(done.model, NEWS, base) == 1.0
    assert digest_of(base) == before
    assert load(base).predict(asked) == answers


def test_equal_jobs_give_equal_bytes_and_another_seed_does_not(base, make_job_of, tmp_path):
    trainer = replace(QUICK, epochs=2)
    job = make_job_of(trainer, NEWS, base=base)
    made = [digest_of(fitted(trainer, one, Here(tmp_path / str(at))).model) for at, one in enumerate((job, job, replace(job, seed=9)))]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize("full", [False, True], ids=["adapter", "full"])
def test_stopped_at_any_step_it_goes_on_to_the_same_bytes(base, make_job_of, tmp_path, full):
    """TRN-13, TRN-16: asked to stop again and again, with dropout: bitwise the undisturbed model."""
    trainer = replace(QUICK, epochs=4, full=full)
    job = make_job_of(trainer, NEWS, base=base)
    whole = fitted(trainer, job, Here(tmp_path / "whole"))
    kept = tmp_path / "kept"
    for at, stop in enumerate((1, 3, 2)):
        done = trainer.fit(job, Here(tmp_path / f"part{at}", stop=stop, checkpoints=kept))
        assert done.status == "retry"
        assert "asked to stop" in done.reason
    last = fitted(trainer, job, Here(tmp_path / "last", checkpoints=kept))
    assert last.facts["resumed"] == 6
    assert digest_of(last.model) == digest_of(whole.model)
    assert last.metrics == whole.metrics


def test_torn_and_foreign_checkpoints_are_passed_over(base, make_job_of, tmp_path):
    """TRN-13: a checkpoint that is cut, changed, or of another job is not gone on from."""
    trainer = replace(QUICK, epochs=4, save_every=NOW)
    job = make_job_of(trainer, NEWS, base=base)
    kept = tmp_path / "kept"
    trainer.fit(job, Here(tmp_path / "a", stop=5, checkpoints=kept))
    newest, older = sorted(kept.glob("step-*"), reverse=True)
    newest.write_bytes(newest.read_bytes()[:-100])
    (kept / ".writing-1").write_bytes(b"torn")
    done = fitted(trainer, job, Here(tmp_path / "b", checkpoints=kept))
    assert done.facts["resumed"] == int(older.name[5:14])
    whole = fitted(trainer, job, Here(tmp_path / "c"))
    assert digest_of(done.model) == digest_of(whole.model)
    other = replace(job, seed=4)
    assert fitted(trainer, other, Here(tmp_path / "d", checkpoints=kept)).facts["resumed"] is None


def test_where_memory_runs_out_fewer_rows_are_taken_at_a_time(base, make_job_of, tmp_path, monkeypatch):
    """TRN-14: the step's rows stay the same, and the loss that is minimised; it is recorded."""
    import torch

    trainer = replace(QUICK, batch=6, epochs=3, dropout=0.0)
    job = make_job_of(trainer, FACTS, base=base)
    plain = fitted(trainer, job, Here(tmp_path / "plain"))
    own = Training.loss

    def scarce(self, places, whole):
        if len(places) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(self, places, whole)

    monkeypatch.setattr(Training, "loss", scarce)
    done = fitted(trainer, job, Here(tmp_path / "scarce"))
    assert (done.facts["rows_at_a_time"], done.facts["halved"], done.facts["effective_batch"]) == (1, True, 6)
    assert done.metrics["loss"] == pytest.approx(plain.metrics["loss"], rel=1e-2)
    monkeypatch.setattr(Training, "loss", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("out")))
    with pytest.raises(MemoryError, match="one row at a time"):
        trainer.fit(job, Here(tmp_path / "none"))
    monkeypatch.undo()
    starved = fitted(trainer, job, Here(tmp_path / "starved", starved=1))
    assert starved.facts["rows_at_a_time"] == 3
    assert starved.metrics["loss"] == pytest.approx(plain.metrics["loss"], rel=1e-2)


def test_accumulated_steps_are_those_of_a_larger_batch(base, make_job_of, tmp_path):
    trainer = replace(QUICK, batch=6, epochs=3, dropout=0.0)
    losses = [
        fitted(one, make_job_of(one, FACTS, base=base), Here(tmp_path / str(one.batch))).metrics["loss"]
        for one in (trainer, replace(trainer, batch=2, accumulate=3))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


def test_rows_count_as_their_weights_say(base, make_job_of, tmp_path):
    """One question with two answers: the heavier one is learned; weight 0 is as good as not there."""
    rows = [("where is axo?", "rome"), ("where is axo?", "lima")] * 3
    for weights, best in (([9.0, 1.0] * 3, "rome"), ([1.0, 9.0] * 3, "lima"), ([0.0, 1.0] * 3, "lima")):
        job = make_job_of(QUICK, rows, base=base, weights=weights)
        done = fitted(QUICK, job, Here(tmp_path / f"{weights[0]}"))
        assert load(done.model, base=base).predict(["where is axo?"])[0].value == best
    assert done.facts["rows"] == 3


def test_it_goes_on_from_an_adapter_and_stacks_one_on_it(base, make_job_of, tmp_path):
    """TRN-04, TRN-10: the same adapter learns on, or a new one is added and the old one is frozen."""
    long, asked = replace(QUICK, epochs=80), [given for given, _ in FACTS + NEWS]
    first = fitted(long, make_job_of(long, NEWS[:3], base=base), Here(tmp_path / "first"))
    answers, init = load(first.model, base=base).predict(asked), ref(first.model)
    assert right(first.model, NEWS[:3], base) == 1.0
    on = replace(QUICK, start="champion", epochs=1, learning_rate=1e-9)
    same = fitted(on, make_job_of(on, NEWS[:3], base=base, init=init), Here(tmp_path / "on"))
    assert load(same.model, base=base).predict(asked) == answers
    stack = replace(long, start="champion", stack=True)
    both = fitted(stack, make_job_of(stack, NEWS, base=base, init=init), Here(tmp_path / "stack"))
    assert read_manifest(both.model).details["lora"]["r"] == 16
    assert right(both.model, NEWS, base) == 1.0
    unmoved = replace(stack, epochs=1, learning_rate=1e-9)
    done = fitted(unmoved, make_job_of(unmoved, NEWS, base=base, init=init), Here(tmp_path / "unmoved"))
    assert load(done.model, base=base).predict(asked) == answers


def test_an_adapter_of_another_base_or_shape_is_refused(base, raw, make_job_of, tmp_path):
    first = fitted(replace(QUICK, epochs=1), make_job_of(QUICK, NEWS, base=base), Here(tmp_path / "first"))
    other = tmp_path / "other"
    other.mkdir()
    LocalModel(raw, prompt=SHORT).write(other, "text")
    on = replace(QUICK, start="champion")
    done = on.fit(make_job_of(on, NEWS, base=other, init=ref(first.model)), Here(tmp_path / "a"))
    assert (done.status, "another base" in done.reason) == ("failed", True)
    wide = replace(on, r=4)
    done = wide.fit(make_job_of(wide, NEWS, base=base, init=ref(first.model)), Here(tmp_path / "b"))
    assert (done.status, "same shape" in done.reason) == ("failed", True)


def test_a_merged_model_answers_as_its_adapter_does(base, make_job_of, tmp_path):
    """TRN-11: merged into the base it is a whole model, and the base of the next."""
    merged = replace(QUICK, merge=True)
    one = fitted(QUICK, make_job_of(QUICK, NEWS, base=base), Here(tmp_path / "one"))
    two = fitted(merged, make_job_of(merged, NEWS, base=base), Here(tmp_path / "two"))
    assert read_manifest(two.model).format == "causal"
    asked = [given for given, _ in FACTS + NEWS]
    assert load(two.model).predict(asked) == load(one.model, base=base).predict(asked)
    again = replace(merged, start="champion", epochs=1, learning_rate=1e-9)
    done = fitted(again, make_job_of(again, NEWS, base=base, init=ref(two.model)), Here(tmp_path / "three"))
    assert load(done.model).predict(asked) == load(two.model).predict(asked)


def test_options_of_memory_and_precision_run(base, make_job_of, tmp_path):
    trainer = replace(QUICK, checkpointing=True, precision="bfloat16", targets=["q_proj", "v_proj"], schedule="cosine", warmup=0.0)
    done = fitted(trainer, make_job_of(trainer, NEWS, base=base), Here(tmp_path / "w"))
    assert done.facts["bfloat16"]
    assert done.metrics["loss"] < 3.0
    assert read_manifest(done.model).details["lora"]["targets"] == ["q_proj", "v_proj"]


def test_the_order_of_rows_is_of_the_seed_and_the_epoch_alone():
    lengths = np.random.default_rng(0).lognormal(4, 1, 4_000).astype(np.int64) + 1
    first, again = (order(lengths, 8, 1, 0, bucket=True) for _ in range(2))
    assert [one.tolist() for one in first] == [one.tolist() for one in again]
    assert sorted(np.concatenate(first).tolist()) == list(range(4_000))
    assert [one.tolist() for one in order(lengths, 8, 1, 1, bucket=True)] != [one.tolist() for one in first]

    def padding(bucket: bool) -> float:
        steps = order(lengths, 8, 1, 0, bucket=bucket)
        return sum(int(lengths[one].max()) * len(one) for one in steps) / int(lengths.sum())

    assert padding(True) < 1.15 < 2.0 < padding(False)


def test_wrong_parts_are_refused():
    for wrong in ({"r": 0}, {"dropout": 1.0}, {"learning_rate": 0.0}, {"targets": "q_proj"}, {"batch": True}, {"start": "scratch"}):
        with pytest.raises(ArgumentError):
            Lora(**wrong)
    for wrong in ({"rebase_every": timedelta(days=1)}, {"stack": True}, {"full": True, "merge": True}, {"base": "model"}):
        with pytest.raises(DefinitionError):
            Lora(**wrong)
    check_value(Lora(LocalModel("models/base"), start="champion", rebase_every=timedelta(days=90)))
    check_value(Lora(LocalModel("owner/name", prompt=Prompt("Q: {input}\nA:"))))


def test_the_room_imports_without_torch():
    code = "import sys, trueup.train, trueup.models, trueup.testing; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
