# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (what libraries read from the environment is set before they are imported)
"""A step of LoRA training: CPU seconds of our loop, a bare torch loop, Trainer and trl, in one run.

    python benchmarks/lora.py [--steps 60] [--rounds 5] [--hidden 128] [--layers 4] [--batch 8]
    python benchmarks/lora.py --gpu          # a 1B Llama in bfloat16, ours and Trainer, wall time

Every contestant trains the same adapter (r=16, all linear modules, dropout .05, answers only) on the
same rows of one length, with the same batch, AdamW (fused), clipping and rate, on one thread. Times
are CPU time of this process, the median step after the tenth; rounds take the contestants in turn,
each round begins with another one, and a ratio is the median of the rounds'.

"bare" is the loop that a tutorial shows; "bare, answers" scores the answer's tokens only, as ours
does, and is what ours is measured against. trl is taken where it can be imported; it lives well in
a folder of its own (`pip install --no-deps --target DIR trl datasets pandas xxhash multiprocess
dill`, then `PYTHONPATH=DIR`).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

os.environ |= {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1",
}
os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import transformers.utils.logging
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from trueup.core import values
from trueup.core.json import dumps
from trueup.core.protocols import TrainJob
from trueup.core.references import Ref
from trueup.models import LocalModel, Prompt
from trueup.models.manifest import file_sha256
from trueup.store.artifacts import digest_of
from trueup.testing import tiny_causal_lm
from trueup.train import Lora

WARM, RATE = 10, 1e-3
R, ALPHA, DROPOUT = 16, 32, 0.05


class Watch:
    """When each step ended."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.ends = clock, []

    def step(self) -> None:
        self.ends.append(self.clock())

    def per_step(self) -> float:
        return float(np.median(np.diff(self.ends[WARM - 1 :])))


class Bench:
    """A base in a folder, rows of one length, and everyone's training on them."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.steps, self.batch, self.gpu = folder, options.steps, options.batch, options.gpu
        self.clock = self._wall if self.gpu else time.process_time
        rng = np.random.default_rng(0)
        words = [f"w{rng.integers(100, 999)}" for _ in range(400)]
        texts = [" ".join(rng.choice(words, 60)) for _ in range(40)]
        self.raw = tiny_causal_lm(folder / "raw", texts, hidden=options.hidden, layers=options.layers, places=512)
        tokenizer = AutoTokenizer.from_pretrained(self.raw)
        if self.gpu:
            self._billion(tokenizer)
        need = self.steps * self.batch
        made, self.rows = [], []
        while len(made) < need:
            given, answer = " ".join(rng.choice(words, 24)), " ".join(rng.choice(words, 12))
            question, reply = tokenizer(given + "\n")["input_ids"], [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]
            if not made or (len(question), len(reply)) == (len(self.rows[0][0]), len(self.rows[0][1])):
                made.append((given, answer))
                self.rows.append((question, reply))
        (folder / "base").mkdir()
        LocalModel(self.raw, prompt=Prompt(max_new_tokens=4)).write(folder / "base", "text")
        pq.write_table(pa.table({
            "input": [dumps(given) for given, _ in made], "target": [dumps(answer) for _, answer in made],
            "weight": [1.0] * need, "part": ["new"] * need,
        }), folder / "rows.parquet")
        self.asked, self.length = len(self.rows[0][0]), len(self.rows[0][0]) + len(self.rows[0][1])

    def _wall(self) -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    def _billion(self, tokenizer: Any) -> None:
        config = LlamaConfig(
            vocab_size=128_256, hidden_size=2_048, intermediate_size=8_192, num_hidden_layers=16, num_attention_heads=32,
            num_key_value_heads=8, max_position_embeddings=2_048, tie_word_embeddings=True, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
        torch.manual_seed(0)
        LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(self.raw)

    def model(self) -> Any:
        torch.manual_seed(1)
        dtype = torch.bfloat16 if self.gpu else torch.float32
        base = AutoModelForCausalLM.from_pretrained(self.raw, dtype=dtype).to("cuda" if self.gpu else "cpu")
        config = LoraConfig(task_type="CAUSAL_LM", r=R, lora_alpha=ALPHA, lora_dropout=DROPOUT, target_modules="all-linear")
        return get_peft_model(base, config)

    def tensors(self) -> list[dict[str, Any]]:
        return [
            {"input_ids": torch.tensor(question + reply), "attention_mask": torch.ones(self.length, dtype=torch.long),
             "labels": torch.tensor([-100] * len(question) + reply)}
            for question, reply in self.rows
        ]

    def ours(self, watch: Watch) -> float:
        trainer = Lora(
            r=R, alpha=ALPHA, dropout=DROPOUT, learning_rate=RATE, batch=self.batch, schedule="constant", warmup=0.0,
            steps=self.steps,
        )
        path, base = self.folder / "rows.parquet", self.folder / "base"
        job = TrainJob(
            "bench", values.to_json(trainer), Ref(str(path), file_sha256(path), len(self.rows)), "text", seed=1,
            base=Ref(str(base), digest_of(base)),
        )
        with tempfile.TemporaryDirectory() as work:
            done = trainer.fit(job, Here(Path(work), watch))
        watch.step()
        assert done.status == "completed", done.reason
        del watch.ends[0]
        return float(done.metrics["loss"])

    def bare(self, watch: Watch, *, answers: bool = False) -> float:
        model = self.model().train()
        trained = [one for one in model.parameters() if one.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0, fused=True)
        rows, total = self.tensors(), 0.0
        where = model.device
        batches = [
            {name: torch.stack([row[name] for row in rows[at : at + self.batch]]).to(where) for name in ("input_ids", "labels")}
            for at in range(0, len(rows), self.batch)
        ]
        kept = torch.arange(self.asked - 1, self.length - 1, device=where) if answers else 0
        for one in batches:
            logits = model(input_ids=one["input_ids"], use_cache=False, logits_to_keep=kept).logits
            labels = one["labels"][:, self.asked :] if answers else one["labels"][:, 1:]
            logits = logits if answers else logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
            watch.step()
        return float(total) / len(batches)

    def _arguments(self, kind: Any, **more: Any) -> Any:
        return kind(
            output_dir=str(self.folder / "out"), per_device_train_batch_size=self.batch, max_steps=self.steps, learning_rate=RATE,
            lr_scheduler_type="constant", weight_decay=0.0, max_grad_norm=1.0, optim="adamw_torch_fused", save_strategy="no",
            logging_strategy="no", report_to=[], use_cpu=not self.gpu, disable_tqdm=True, dataloader_num_workers=0, seed=1,
            dataloader_pin_memory=False, bf16=self.gpu, **more,
        )

    def trainer(self, watch: Watch) -> float:
        made = Trainer(
            model=self.model(), args=self._arguments(TrainingArguments), train_dataset=self.tensors(), callbacks=[Ends(watch)],
        )
        return float(made.train().training_loss)

    def trl(self, watch: Watch) -> float:
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        data = Dataset.from_list([
            {"input_ids": question + reply, "completion_mask": [0] * len(question) + [1] * len(reply)} for question, reply in self.rows
        ])
        made = SFTTrainer(
            model=self.model(), train_dataset=data, processing_class=AutoTokenizer.from_pretrained(self.raw), callbacks=[Ends(watch)],
            args=self._arguments(SFTConfig, completion_only_loss=True, max_length=512, gradient_checkpointing=False),
        )
        return float(made.train().training_loss)


class Ends(TrainerCallback):
    """Tells the end of each step."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.watch.step()


class Here:
    """A RunContext in this process; it is asked at the beginning of each step."""

    def __init__(self, workdir: Path, watch: Watch) -> None:
        self.workdir, self.watch = workdir, watch

    def report(self, step: int, total: int, **metrics: float) -> None: ...

    def should_stop(self) -> bool:
        self.watch.step()
        return False


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, number in (("steps", 60), ("rounds", 5), ("hidden", 128), ("layers", 4), ("batch", 8)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--gpu", action="store_true")
    options = parser.parse_args()
    if options.gpu and not torch.cuda.is_available():
        sys.exit("expected a GPU for --gpu, got none")
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options)
        people: dict[str, Callable[[Watch], float]] = {
            "bare, answers": lambda watch: bench.bare(watch, answers=True), "bare": bench.bare, "trueup": bench.ours,
            "Trainer": bench.trainer,
        }
        if options.gpu or not find_spec("trl"):
            print("without trl")
        else:
            people["trl"] = bench.trl
        model = bench.model()
        print(f"{sum(one.numel() for one in model.parameters()):,} parameters, {options.batch} rows of {bench.length} tokens "
              f"({bench.length - bench.asked} of the answer), {options.steps} steps, {options.rounds} rounds")
        del model
        times: dict[str, list[float]] = {name: [] for name in people}
        losses = {}
        for number in range(options.rounds):
            names = list(people)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                watch = Watch(bench.clock)
                losses[name] = people[name](watch)
                times[name].append(watch.per_step())
    print(f"{'':<14} {'ms a step':>10} {'x bare, answers':>16} {'x bare':>8} {'loss':>8}")
    for name, found in times.items():
        one, two = (median(a / b for a, b in zip(found, times[to], strict=True)) for to in ("bare, answers", "bare"))
        print(f"{name:<14} {1e3 * median(found):>10.2f} {one:>16.3f} {two:>8.3f} {losses[name]:>8.4f}")


if __name__ == "__main__":
    main()
