# SPDX-License-Identifier: Apache-2.0
"""The loop: forward, backward, step; and all its state, to be written down and taken up again."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.protocols import RunContext
from trueup.train.lora.data import IGNORED, Examples, batch, order

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from trueup.train.lora.config import Lora

REPORT = 0.5
"""Seconds between two reports: reading the loss makes a GPU wait."""


def rate(trainer: Lora, step: int, steps: int) -> float:
    """The learning rate of a step: a pure function, so that it needs no place in a checkpoint."""
    warm = math.ceil(trainer.warmup * steps)
    if step < warm:
        return trainer.learning_rate * (step + 1) / warm
    if trainer.schedule == "constant":
        return trainer.learning_rate
    done = (step - warm) / max(1, steps - warm)
    share = 1 - done if trainer.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return trainer.learning_rate * share


class Training:
    """A training between two steps; `short` is what was last said when memory ran out."""

    def __init__(
        self, trainer: Lora, model: Any, trained: Mapping[str, torch.nn.Parameter], found: Examples, seed: int,
        *, starved: int = 0, bfloat16: bool = False,
    ) -> None:
        import torch

        self.trainer, self.model, self.trained, self.found, self.seed = trainer, model, dict(trained), found, seed
        self.whole = trainer.batch * trainer.accumulate
        self.micro = max(1, trainer.batch >> starved)
        self.steps = trainer.epochs * math.ceil(len(found) / self.whole)
        if trainer.steps is not None:
            self.steps = min(self.steps, trainer.steps)
        self.step = 0
        self.short: str | None = None
        self.device = next(iter(self.trained.values())).device
        self.autocast: Any = torch.autocast(self.device.type, torch.bfloat16) if bfloat16 else nullcontext()
        self.loss_sum = torch.zeros((), device=self.device)
        self.optimizer = torch.optim.AdamW(
            list(self.trained.values()), lr=trainer.learning_rate, weight_decay=trainer.decay, fused=True
        )
        self._narrow = "logits_to_keep" in signature(model.forward).parameters
        self._step_order: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    def run(self, context: RunContext, write: Any) -> bool:
        """Step until the end, writing checkpoints; False where it was asked to stop before."""
        every = self.trainer.save_every.total_seconds()
        self.model.train()
        saved = said = time.monotonic()
        while self.step < self.steps:
            if context.should_stop():
                write(self)
                return False
            self._advance()
            now = time.monotonic()
            if now - said >= REPORT or self.step == self.steps:
                said = now
                context.report(self.step, self.steps, loss=float(self.loss_sum) / self.step)
            if now - saved >= every and self.step < self.steps:
                write(self)
                saved = time.monotonic()
        self.model.eval()
        return True

    def _advance(self) -> None:
        """One step on the next rows; where memory runs out, on fewer of them at a time."""
        import torch

        places = self._rows(self.step)
        while True:
            dice = self.dice()
            try:
                loss = self._gradients(places)
                break
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                self.short = f"{type(error).__name__}: {str(error).strip()[:300]}"
            self.optimizer.zero_grad(set_to_none=True)
            self.throw(dice)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if self.micro == 1:
                raise MemoryError(f"out of memory with one row at a time ({self.short})")
            self.micro //= 2
        if self.trainer.clip is not None:
            torch.nn.utils.clip_grad_norm_(list(self.trained.values()), self.trainer.clip)
        self.optimizer.param_groups[0]["lr"] = rate(self.trainer, self.step, self.steps)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.loss_sum += loss
        self.step += 1

    def _rows(self, step: int) -> NDArray[np.int64]:
        epoch, place = divmod(step, math.ceil(len(self.found) / self.whole))
        if self._step_order[0] != epoch:
            found = order(self.found.lengths, self.whole, self.seed, epoch, bucket=self.trainer.bucket)
            self._step_order = (epoch, found)
        return self._step_order[1][place]

    def _gradients(self, places: NDArray[np.int64]) -> torch.Tensor:
        """Add the gradients of a step's rows, `micro` at a time; their loss."""
        total = None
        for at in range(0, len(places), self.micro):
            with self.autocast:
                loss = self.loss(places[at : at + self.micro], len(places))
            loss.backward()
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        return total

    def loss(self, places: NDArray[np.int64], whole: int) -> torch.Tensor:
        """The sum over rows of weight times mean loss of the answer's tokens, over `whole`."""
        import torch

        one = batch(self.found, places, whole, self.device)
        more = {"logits_to_keep": one.kept} if self._narrow else {}
        logits = self.model(input_ids=one.ids, attention_mask=one.mask, use_cache=False, **more).logits
        if not self._narrow:
            logits = logits[:, one.kept]
        losses = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), one.labels.flatten(), ignore_index=IGNORED, reduction="none"
        )
        result: torch.Tensor = (losses.view_as(one.labels).sum(1) * one.scale).sum()
        return result

    def dice(self) -> dict[str, torch.Tensor]:
        """The states of torch's random numbers."""
        import torch

        found = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            found["cuda"] = torch.cuda.get_rng_state(self.device)
        return found

    def throw(self, dice: Mapping[str, torch.Tensor]) -> None:
        """Take up the states of `dice`."""
        import torch

        torch.set_rng_state(dice["cpu"].cpu())
        if "cuda" in dice and self.device.type == "cuda":
            torch.cuda.set_rng_state(dice["cuda"].cpu(), self.device)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """All that the next step depends on: tensors, and plain words."""
        tensors: dict[str, Any] = {f"dice.{name}": one for name, one in self.dice().items()}
        tensors["loss"] = self.loss_sum
        for name, parameter in self.trained.items():
            tensors[f"weight.{name}"] = parameter
            for part, one in self.optimizer.state.get(parameter, {}).items():
                tensors[f"adam.{part}.{name}"] = one
        return tensors, {"step": self.step, "micro": self.micro, "short": self.short}

    def take_up(self, tensors: Mapping[str, Any], said: Mapping[str, Any]) -> None:
        """Go on from a state; the rows at a time stay as few as they were, or are by now."""
        import torch

        self.step, self.micro = int(said["step"]), min(self.micro, int(said["micro"]))
        self.short = said.get("short")
        self.loss_sum = tensors["loss"].to(self.device)
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(tensors[f"weight.{name}"])
                state = {
                    part: tensors[f"adam.{part}.{name}"].to(self.device)
                    for part in ("step", "exp_avg", "exp_avg_sq") if f"adam.{part}.{name}" in tensors
                }
                if state:
                    self.optimizer.state[parameter] = state
        self.throw({name: tensors[f"dice.{name}"] for name in ("cpu", "cuda") if f"dice.{name}" in tensors})


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the processor."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return "not enough memory" in text or "out of memory" in text or "can't allocate memory" in text


def padded(training: Training) -> Iterator[tuple[int, int]]:
    """Tokens with and without padding, of each step of an epoch."""
    for places in order(training.found.lengths, training.whole, training.seed, 0, bucket=training.trainer.bucket):
        lengths = training.found.lengths[places]
        yield int(lengths.max()) * len(places), int(lengths.sum())
