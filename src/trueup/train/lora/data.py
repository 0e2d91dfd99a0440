# SPDX-License-Identifier: Apache-2.0
"""Rows as tokens, in an order that the seed and the epoch alone decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.errors import DataError
from trueup.models.prompts import Asked
from trueup.train.rows import Rows

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

MEGABATCH = 50
"""Batches that are sorted by length together: more pad less, fewer mix better."""
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows as tokens: question and answer, where the answer begins, and weights of mean one."""

    ids: list[NDArray[np.int64]]
    starts: NDArray[np.int64]
    weights: NDArray[np.float32]
    lengths: NDArray[np.int64]
    cut: int
    """Rows that lost a part of their question, or of a very long answer."""

    def __len__(self) -> int:
        return len(self.ids)


def examples(rows: Rows, asked: Asked, room: int) -> Examples:
    """Rows as tokens, `room` at most each; rows of weight zero are left out."""
    keep = np.flatnonzero(rows.weights > 0)
    inputs, targets = [rows.inputs[at] for at in keep], [rows.targets[at] for at in keep]
    for at, target in zip(keep, targets, strict=True):
        if not isinstance(target, str):
            raise DataError(f"expected a text as target of training row {at}, got {target!r:.80}")
    found: list[NDArray[np.int64]] = []
    starts: list[int] = []
    cut = 0
    for question, answer in zip(asked.questions(inputs), asked.answers(inputs, targets), strict=True):
        answer = answer[: room - 1]
        kept = question[-(room - len(answer)) :]
        cut += len(kept) < len(question)
        if not kept:
            raise DataError("expected a question of at least one token, got none", cure="write a Prompt with a template")
        found.append(np.asarray([*kept, *answer], dtype=np.int64))
        starts.append(len(kept))
    weights = rows.weights[keep]
    return Examples(
        found, np.asarray(starts, dtype=np.int64), (weights / weights.mean()).astype(np.float32),
        np.asarray([len(ids) for ids in found], dtype=np.int64), int(cut),
    )


def order(lengths: NDArray[np.int64], rows: int, seed: int, epoch: int, *, bucket: bool) -> list[NDArray[np.int64]]:
    """The rows of each step of an epoch: a shuffle, sorted by length within stretches of 50 steps
    where `bucket`, cut into steps of `rows`, and the steps shuffled."""
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    shuffled = rng.permutation(len(lengths))
    if bucket:
        stretch = MEGABATCH * rows
        parts = [shuffled[at : at + stretch] for at in range(0, len(shuffled), stretch)]
        shuffled = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
    steps = [shuffled[at : at + rows] for at in range(0, len(shuffled), rows)]
    return [steps[at] for at in rng.permutation(len(steps))] if bucket else steps


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows side by side, padded on the right: tokens and mask (n, width), the `kept` places of the
    sequence whose next tokens (n, kept) are scored, the answers' lengths and the weights (n,)."""

    ids: torch.Tensor
    mask: torch.Tensor | None
    kept: torch.Tensor
    labels: torch.Tensor
    scale: torch.Tensor


def batch(found: Examples, places: Sequence[int] | NDArray[np.int64], whole: int, device: Any) -> Batch:
    """The rows at these places, out of a step of `whole` rows; `scale` turns summed losses into a
    row's share of the step's loss."""
    import torch

    lengths, starts = found.lengths[places], found.starts[places]
    width, first = int(lengths.max()), int(starts.min())
    ids = np.zeros((len(places), width), dtype=np.int64)
    labels = np.full((len(places), width - first), IGNORED, dtype=np.int64)
    for row, at in enumerate(places):
        one, start = found.ids[at], found.starts[at]
        ids[row, : len(one)] = one
        labels[row, start - first : len(one) - first] = one[start:]
    mask = None
    if int(lengths.min()) < width:
        mask = torch.from_numpy((np.arange(width) < lengths[:, None]).astype(np.int64)).to(device)
    scale = found.weights[places] / ((lengths - starts) * whole).astype(np.float32)
    return Batch(
        torch.from_numpy(ids).to(device), mask, torch.arange(first - 1, width - 1, device=device),
        torch.from_numpy(labels).to(device), torch.from_numpy(scale).to(device),
    )
