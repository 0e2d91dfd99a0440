# SPDX-License-Identifier: Apache-2.0
"""What a training of a language model may be told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from trueup.core import values
from trueup.core.errors import ArgumentError, DefinitionError
from trueup.core.protocols import Capabilities, RunContext, TrainJob, TrainResult
from trueup.core.values import value
from trueup.models import LocalModel, Manifest, Prompt
from trueup.train import fitting

ALL_LINEAR = "all-linear"


@value("trainer.lora")
class Lora:
    """Trains a low-rank adapter on a frozen causal language model, on the answers only.

    `base` is the frozen model (None: the loop's champion, or the base that it was trained on).
    `r`, `alpha` and `dropout` are the adapter's rank, scale and dropout, `targets` the modules that
    it changes ("all-linear": every linear one but the head). `full` trains all weights instead;
    `merge` saves the whole model with the adapter merged into it, a new base.

    `start` is "base" (a new adapter each time: stateless) or "champion" (go on from what serves, on
    the rows that it could not see); `rebase_every` starts anew from the base, on the whole window,
    once so much time has passed since the last time. With `stack` a training that goes on freezes
    the champion's adapter and learns a new one beside it: one adapter a period, saved as one whose
    rank is their sum. Without it the same adapter learns on.

    `learning_rate`, `batch`, `accumulate`, `epochs`, `steps` (at most so many), `clip` (of the
    gradient's norm; None: not), `decay`, `schedule` (constant, linear, cosine) and `warmup` (its
    share of the steps) are AdamW's; a step sees `batch * accumulate` rows, each as its weight says,
    its loss being the mean over the tokens of its answer. `bucket` puts rows of like length
    together. `prompt` says how the model is asked (None: as the base is).

    `checkpointing` computes activations twice to save memory; `precision` is auto (bfloat16 where
    a GPU does it, else float32), float32 or bfloat16; `threads` are the processor's. `save_every`
    is the time between two checkpoints: a training that was killed goes on from the last one and
    gives bitwise the same model. Where memory runs out, the rows at a time are halved and the
    accumulation doubled. Equal jobs give equal bytes on one machine.

    The defaults are those of Hu et al. 2021 (LoRA) as they are used since: r=8, alpha=32.
    """

    base: LocalModel | None = None
    r: int = 8
    alpha: float = 32
    dropout: float = 0.1
    targets: Sequence[str] | str = ALL_LINEAR
    full: bool = False
    merge: bool = False
    start: Literal["base", "champion"] = "base"
    rebase_every: timedelta | None = None
    stack: bool = False
    learning_rate: float = 2e-4
    batch: int = 4
    accumulate: int = 1
    epochs: int = 1
    steps: int | None = None
    clip: float | None = 1.0
    decay: float = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup: float = 0.03
    bucket: bool = True
    prompt: Prompt | None = None
    checkpointing: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int = 1
    save_every: timedelta = timedelta(minutes=1)

    def __post_init__(self) -> None:
        for name, high in (("r", 4_096), ("batch", 65_536), ("accumulate", 65_536), ("epochs", 10_000), ("threads", 1_024)):
            _whole(name, getattr(self, name), high)
        if self.steps is not None:
            _whole("steps", self.steps, 2**40)
        if not self.learning_rate > 0 or not self.alpha > 0 or not self.decay >= 0:
            raise ArgumentError(
                f"expected learning_rate and alpha above 0 and decay of at least 0, "
                f"got {self.learning_rate!r}, {self.alpha!r}, {self.decay!r}"
            )
        if not 0 <= self.dropout < 1 or not 0 <= self.warmup < 1:
            raise ArgumentError(f"expected dropout and warmup in [0, 1), got {self.dropout!r}, {self.warmup!r}")
        if self.clip is not None and not self.clip > 0:
            raise ArgumentError(f"expected clip above 0 or None, got {self.clip!r}")
        for name, known in (
            ("start", ("base", "champion")), ("schedule", ("constant", "linear", "cosine")),
            ("precision", ("auto", "float32", "bfloat16")),
        ):
            if getattr(self, name) not in known:
                raise ArgumentError(f"expected {name} among {known}, got {getattr(self, name)!r}")
        if not self.targets or (isinstance(self.targets, str) and self.targets != ALL_LINEAR):
            raise ArgumentError(
                f"expected targets as a list of module names or {ALL_LINEAR!r}, got {self.targets!r}",
                cure='write targets=["q_proj", "v_proj"]',
            )
        if self.base is not None and not isinstance(self.base, LocalModel):
            raise DefinitionError(f"expected a LocalModel as base, got {self.base!r:.80}")
        self._check_ways()

    def _check_ways(self) -> None:
        if self.rebase_every is not None and (self.rebase_every <= timedelta(0) or self.start == "base"):
            raise DefinitionError(
                f"expected rebase_every above 0 beside start='champion', got {self.rebase_every!r} and {self.start!r}"
            )
        if self.stack and (self.start == "base" or self.full or self.merge):
            raise DefinitionError("expected stack only beside start='champion', without full and merge")
        if self.full and self.merge:
            raise DefinitionError("expected full or merge, got both: a full training leaves nothing to merge")

    @property
    def requires(self) -> tuple[tuple[str, str], ...]:
        return tuple((package, "lora") for package in ("torch", "transformers", "peft", "safetensors"))

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(("text",), stateful=True, weights=True, resume="exact", base=True)

    def fit(self, job: TrainJob, context: RunContext) -> TrainResult:
        """Write a model folder; a fault of the data is a result, not an exception."""
        from trueup.train.lora.fit import fit

        return fitting.plainly(lambda: fit(self, job, context))

    def hinders(self, champion: Manifest, base: Manifest | None) -> str | None:
        """Why the champion cannot be gone on from; None where it can."""
        whole = self.full or self.merge
        wanted = "causal" if whole else "adapter"
        if champion.format != wanted or base is None:
            return f"another sort of model: the champion is {champion.format}, the trainer makes {wanted}"
        if champion.details.get("base") != base.digest():
            return "the base changed: its weights, its architecture or its tokenizer"
        asked = values.to_json(self.prompt) if self.prompt is not None else base.details.get("prompt")
        if champion.details.get("prompt") != asked:
            return "the prompt changed"
        names = () if whole else ("targets",) if self.stack else ("r", "alpha", "targets")
        shape, was = self.shape(), champion.details.get("lora") or {}
        changed = [name for name in names if shape[name] != was.get(name)]
        return f"the adapter's {changed[0]} changed: {was.get(changed[0])} to {shape[changed[0]]}" if changed else None

    def shape(self) -> dict[str, Any]:
        """What an adapter must have in common with another to go on from it."""
        targets = self.targets if isinstance(self.targets, str) else sorted(self.targets)
        return {"r": self.r, "alpha": float(self.alpha), "targets": targets}


def _whole(name: str, number: object, high: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= high:
        raise ArgumentError(f"expected {name} as a whole number from 1 to {high}, got {number!r}")
