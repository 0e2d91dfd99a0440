# SPDX-License-Identifier: Apache-2.0
"""TRN-01, TRN-14, FGT-03: how language models are asked, where they come from, and which are refused."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.core import values
from trueup.core.errors import ModelError
from trueup.core.json import dumps
from trueup.core.protocols import Budget, Capabilities, RunContext, TrainJob, TrainResult
from trueup.core.references import Ref
from trueup.core.values import value
from trueup.models import LocalModel, Prompt, causal, load
from trueup.models.manifest import file_sha256
from trueup.models.prompts import Asked
from trueup.store.artifacts import digest_of
from trueup.testing import tiny_causal_lm
from trueup.train import Lora, Rows, run
from trueup.train.lora.data import IGNORED, batch, examples

FACTS = [(f"where is {name}?", place) for name, place in (
    ("axo", "rome"), ("bimia", "oslo"), ("corum", "lima"), ("dulet", "bern"), ("ebin", "cairo"), ("fanar", "delhi"),
)]  # fmt: skip
TEXTS = [f"{given}\n{answer}" for given, answer in FACTS] * 3
SHORT = Prompt(max_new_tokens=4)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_causal_lm(tmp_path_factory.mktemp("plain") / "lm", TEXTS, hidden=32)


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    return tiny_causal_lm(tmp_path_factory.mktemp("chatty") / "lm", TEXTS, hidden=32, chat=True)


def written(raw, folder, prompt=SHORT):
    folder.mkdir(parents=True)
    LocalModel(raw, prompt=prompt).write(folder, "text")
    return folder


class Here:
    def __init__(self, workdir: Path) -> None:
        workdir.mkdir(parents=True, exist_ok=True)
        self.workdir, self.checkpoints, self.starved = workdir, workdir / "checkpoints", 0

    def report(self, step: int, total: int, **metrics: float) -> None: ...

    def should_stop(self) -> bool:
        return False


def job_of(trainer, rows, base, folder, **more):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.parquet"
    pq.write_table(pa.table({
        "input": [dumps(x) for x, _ in rows], "target": [dumps(y) for _, y in rows], "weight": [1.0] * len(rows),
        "part": ["new"] * len(rows),
    }), path)
    return TrainJob(
        "facts", values.to_json(trainer), Ref(str(path), file_sha256(path), len(rows)), "text",
        base=Ref(str(base), digest_of(base)), **more,
    )


def test_a_chat_template_asks_and_only_the_answer_is_learned(chatty):
    """One row, token by token: system, user and the assistant's mark are read; the answer and its end are scored."""
    opened = causal.open_folder(chatty)
    tokenizer = opened.tokenizer
    asked = opened.asked(Prompt(system="be brief"))
    assert asked.chats
    given, answer = FACTS[1]
    question = tokenizer(f"<|system|>be brief<|end|><|user|>{given}<|end|><|assistant|>")["input_ids"]
    reply = [*tokenizer(answer)["input_ids"], tokenizer.convert_tokens_to_ids("<|end|>")]
    assert asked.questions([given]) == [question]
    assert asked.answers([given], [answer]) == [reply]
    rows = Rows([x for x, _ in FACTS[:2]], [y for _, y in FACTS[:2]], np.ones(2))
    found = examples(rows, asked, 256)
    one = batch(found, [1, 0], 2, "cpu")
    first = int(found.starts.min())
    assert one.ids[0].tolist()[: len(question) + len(reply)] == [*question, *reply]
    assert one.kept.tolist() == list(range(first - 1, one.ids.shape[1] - 1))
    learned = [(place, label) for place, label in enumerate(one.labels[0].tolist(), first) if label != IGNORED]
    assert learned == list(enumerate(reply, len(question)))
    for place, label in learned:
        assert int(one.ids[0, place]) == label, "a place's score is on the token that stands there"


def test_a_chat_model_is_asked_in_serving_as_it_was_in_training(chatty, tmp_path):
    base = written(chatty, tmp_path / "base")
    trainer = Lora(full=True, learning_rate=1e-2, epochs=120, batch=3)
    done = trainer.fit(job_of(trainer, FACTS, base, tmp_path / "job"), Here(tmp_path / "w"))
    assert done.status == "completed", done.reason
    answers = [answer.value for answer in load(done.model).predict([given for given, _ in FACTS])]
    assert answers == [place for _, place in FACTS]
    bare = replace(SHORT, template="{input}\n")
    causal.describe(done.model, bare)
    assert [answer.value for answer in load(done.model).predict([given for given, _ in FACTS])] != answers


def test_a_prompt_has_places_for_fields(plain):
    asked = causal.open_folder(plain).asked(Prompt("{name} of {kind} in {where}: "))
    given = {"name": "axo", "kind": "town", "where": {"n": 1}}
    assert asked.questions([given]) == [asked.tokenizer('axo of town in {"n":1}: ')["input_ids"]]
    with pytest.raises(ModelError, match="the field 'kind'"):
        asked.questions([{"name": "axo"}])
    whole = Asked(Prompt("Q: {input}\nA:"), asked.tokenizer, asked.ends)
    assert whole.questions(["where?"]) == [asked.tokenizer("Q: where?\nA:")["input_ids"]]


def test_what_could_never_answer_is_refused_before_it_is_trained(plain, tmp_path):
    """More new tokens than the model has places, and tokens that have no embedding, end a training at its start."""
    from transformers import AutoTokenizer

    long = Lora(prompt=Prompt(max_new_tokens=300), epochs=1)
    base = written(plain, tmp_path / "base")
    done = long.fit(job_of(long, FACTS, base, tmp_path / "job"), Here(tmp_path / "w"))
    assert done.status == "failed"
    assert "a place for the question beside 300 new tokens" in done.reason
    grown = tmp_path / "grown"
    shutil.copytree(plain, grown)
    tokenizer = AutoTokenizer.from_pretrained(grown)
    tokenizer.add_tokens(["<prod>"])
    tokenizer.save_pretrained(grown)
    short = Lora(epochs=1)
    for at, rows in enumerate(([("<prod>?", "rome")], [("where?", "<prod>")])):
        job = job_of(short, [*FACTS, *rows], written(grown, tmp_path / f"base-{at}"), tmp_path / f"job-{at}")
        done = short.fit(job, Here(tmp_path / f"w-{at}"))
        assert done.status == "failed"
        assert "'<prod>', which was added to the tokenizer alone" in done.reason


def test_a_hub_id_is_read_from_the_hubs_cache(plain, tmp_path, monkeypatch):
    """The real loading code, offline: models--org--name/snapshots/REVISION, and its ref."""
    import huggingface_hub.constants as constants

    revision = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "hub"
    place = cache / "models--org--name"
    shutil.copytree(plain, place / "snapshots" / revision)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(revision)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(cache), raising=False)
    model = LocalModel("org/name", prompt=SHORT)
    assert model.folder() == place / "snapshots" / revision
    assert LocalModel("org/name", revision=revision).folder() == model.folder()
    here = LocalModel(plain, prompt=SHORT)
    asked = [given for given, _ in FACTS]
    assert model.predict(asked) == here.predict(asked)
    with pytest.raises(ModelError, match="hub's cache"):
        LocalModel("org/other").folder()


def test_pickles_and_code_are_refused(plain, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(plain, old)
    (old / "model.safetensors").rename(old / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"\*\.safetensors and a tokenizer, got \['pytorch_model.bin'\]"):
        LocalModel(old).write(tmp_path / "a", "text")
    coded = tmp_path / "coded"
    shutil.copytree(plain, coded)
    config = json.loads((coded / "config.json").read_text())
    config |= {"model_type": "own_kind", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}}
    (coded / "config.json").write_text(json.dumps(config))
    ran = tmp_path / "ran"
    (coded / "own.py").write_text(f"open({str(ran)!r}, 'w')\nraise SystemExit\n")
    folder = written(coded, tmp_path / "copied")
    assert not (folder / "own.py").exists()
    for at in (folder, coded):
        with pytest.raises(ModelError, match="causal language model"):
            causal.open_folder(at)
    assert not ran.exists()


@pytest.fixture(scope="module")
def taught(plain, tmp_path_factory):
    """A base, and adapters that give each another answer."""
    folder = tmp_path_factory.mktemp("taught")
    base = written(plain, folder / "base")
    made = {}
    for at, place in enumerate(("rome", "oslo", "lima")):
        trainer = Lora(r=4 << at, learning_rate=3e-2, epochs=25, batch=6, dropout=0.0)
        job = job_of(trainer, [(given, place) for given, _ in FACTS], base, folder / place)
        done = trainer.fit(job, Here(folder / place / "w"))
        assert done.status == "completed", done.reason
        made[place] = done.model
    return base, made


def test_a_changed_base_and_anothers_adapter_are_refused(taught, tmp_path):
    """FGT-03: the base's digest is checked file by file when it is loaded, and must be the one that the adapter names."""
    base, made = taught
    other = written(tiny_causal_lm(tmp_path / "raw", TEXTS, hidden=32, seed=9), tmp_path / "other")
    with pytest.raises(ModelError, match="expected the base"):
        load(made["rome"], base=other)
    changed = tmp_path / "changed"
    shutil.copytree(base, changed)
    weights = bytearray((changed / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (changed / "model.safetensors").write_bytes(weights)
    for refused in (lambda: load(made["rome"], base=changed), lambda: load(changed)):
        with pytest.raises(ModelError, match=r"model\.safetensors"):
            refused()


def test_adapters_on_one_base_never_answer_for_each_other(taught):
    """FGT-03: several loaded in one process, asked in turn and by threads at once, with the base between them."""
    base, made = taught
    asked = [given for given, _ in FACTS]
    alone = {}
    for place, folder in made.items():  # each by itself, before the others are there
        alone[place] = [answer.value for answer in load(folder, base=base).predict(asked)]
        assert {answer[:4] for answer in alone[place]} == {place}
    models = {place: load(folder, base=base) for place, folder in made.items()}
    assert len({id(model.base) for model in models.values()}) == 1
    bare = load(base)
    before = [answer.value for answer in bare.predict(asked)]
    assert before not in alone.values()
    for place in ("rome", "lima", "oslo", "rome", "oslo", "lima"):
        assert [answer.value for answer in models[place].predict(asked)] == alone[place]
    assert [answer.value for answer in bare.predict(asked)] == before
    wrong: list[str] = []
    gate = threading.Barrier(4)

    def ask(name, model, want):
        gate.wait()
        for _ in range(6):
            found = [answer.value for answer in model.predict(asked)]
            if found != want:
                wrong.append(f"{name}: {found}")

    threads = [threading.Thread(target=ask, args=(place, model, alone[place])) for place, model in models.items()]
    threads.append(threading.Thread(target=ask, args=("base", bare, before)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    del models["rome"]
    again = load(made["rome"], base=base)
    assert [answer.value for answer in again.predict(asked)] == alone["rome"]
    assert [answer.value for answer in models["oslo"].predict(asked)] == alone["oslo"]


def test_killed_for_its_memory_it_takes_half_as_many_rows(plain, store, tmp_path):
    """TRN-14: the watcher kills a training above its megabytes; the next attempt fits, and says what it took."""
    base = written(plain, tmp_path / "base")
    rows = [(f"where is {at}?", "rome oslo lima bern " * 30) for at in range(256)]
    trainer = Lora(r=2, batch=256, steps=1, targets=["q_proj"], dropout=0.0)
    job = job_of(trainer, rows, base, tmp_path / "job", budget=Budget(seconds=250, megabytes=1_050))
    job = replace(job, data=store.put_file(Path(job.data.uri)), base=store.put_tree(base))
    got = run(job, store, workdir=tmp_path / "work", retries=1, retry_delay=0.0)
    assert [one.kind for one in got.attempts] == ["memory", "completed"], got.result.reason
    assert (got.result.facts["rows_at_a_time"], got.result.facts["halved"], got.result.facts["effective_batch"]) == (128, True, 256)


@value("trainer.cramped")
class Cramped:
    """Lora whose steps may take only `room` megabytes of addresses more than its process has before
    them: what torch cannot allocate above that, torch says."""

    lora: Lora
    room: int

    @property
    def capabilities(self) -> Capabilities:
        return self.lora.capabilities

    def fit(self, job: TrainJob, context: RunContext) -> TrainResult:
        import torch

        from trueup.train.lora.loop import Training

        steps = Training.run

        def cramped(*given):
            torch.ones(1, requires_grad=True).sum().backward()  # its threads are there
            has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            before = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (has + self.room * 2**20, before[1]))
            try:
                return steps(*given)
            finally:
                resource.setrlimit(resource.RLIMIT_AS, before)

        Training.run = cramped  # type: ignore[method-assign]
        return self.lora.fit(job, context)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and limits a process's addresses")
def test_torch_itself_out_of_memory_takes_fewer_rows(plain, store, tmp_path):
    """TRN-14: the allocator of torch refuses, in the training's own process: the rows at a time are halved
    there and then, without another attempt, and what it said is recorded."""
    base = written(plain, tmp_path / "base")
    rows = [(f"where is {at}?", "rome oslo lima bern " * 30) for at in range(256)]
    lora = Lora(r=2, batch=256, epochs=2, targets=["q_proj"], dropout=0.0)
    found = {}
    for name, trainer in (("cramped", Cramped(lora, 400)), ("roomy", lora)):
        job = job_of(trainer, rows, base, tmp_path / name, budget=Budget(seconds=250, megabytes=8_000))
        job = replace(job, data=store.put_file(Path(job.data.uri)), base=store.put_tree(base))
        got = run(job, store, workdir=tmp_path / "work", retries=0)
        assert [one.kind for one in got.attempts] == ["completed"], got.result.reason
        found[name] = got.result
    facts = found["cramped"].facts
    assert facts["rows_at_a_time"] < 256
    assert (facts["halved"], facts["effective_batch"]) == (True, 256)
    assert "DefaultCPUAllocator: can't allocate memory" in facts["out_of_memory"]
    assert found["roomy"].facts["out_of_memory"] is None
    assert found["roomy"].facts["rows_at_a_time"] == 256
    assert found["cramped"].metrics["loss"] == pytest.approx(found["roomy"].metrics["loss"], rel=1e-4)


def test_torch_out_of_memory_elsewhere_ends_the_attempt_for_its_memory(plain, store, tmp_path, monkeypatch):
    """TRN-14: where there are no rows to halve (the model, the optimizer), what torch raises is a want of
    memory all the same, which `run` tries once more with half the rows, and no fault of the trainer's."""
    import torch

    base = written(plain, tmp_path / "base")
    trainer = Lora(r=2, batch=2, steps=1, targets=["q_proj"], dropout=0.0)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: torch.empty(2**50, dtype=torch.float64))
    with pytest.raises(MemoryError, match=r"RuntimeError: .*DefaultCPUAllocator"):
        trainer.fit(job_of(trainer, FACTS, base, tmp_path / "job"), Here(tmp_path / "w"))
    assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError, "a GPU's is the same error"
