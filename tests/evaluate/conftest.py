# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from trueup.core.json import digest
from trueup.core.protocols import Prediction


@dataclass
class Named:
    name: str = "core"


@dataclass
class Toy:
    """Items whose inputs hold what each model will answer."""

    inputs: Sequence[Any]
    targets: Sequence[Any]
    slices: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    name: str = "core"

    def __post_init__(self) -> None:
        self.ids = [row["id"] for row in self.inputs]
        self.digest = digest([list(self.inputs), list(self.targets)])


Answer = Callable[[Sequence[Any]], list[Prediction]]


def model(name: str) -> Answer:
    return lambda inputs: [Prediction(row[name]) for row in inputs]


def make(n: int, seed: int, *, base: float = 0.8, win: float = 0.05, loss: float = 0.05, bad_slice: float = 0.0) -> Toy:
    """Two models on n items of three genres: right with `base`, the challenger wins and loses some.

    `bad_slice` is the share of genre "anime" (a tenth of the items) that it loses besides.
    """
    rng = np.random.default_rng(seed)
    genres = ["anime" if i % 10 == 0 else "drama" if i % 2 else "comedy" for i in range(n)]
    rows = []
    for i in range(n):
        champ = rng.random() < base
        new = champ
        u = rng.random()
        if champ and u < loss / base:
            new = False
        elif not champ and u < win / (1 - base):
            new = True
        if genres[i] == "anime" and rng.random() < bad_slice:
            new = False
        rows.append({"id": f"i{i:05d}", "new": "x" if new else "y", "champ": "x" if champ else "z"})
    return Toy(rows, ["x"] * n, {"genre": genres, "cohort": [f"2025-{1 + i * 12 // n:02d}" for i in range(n)]})


@pytest.fixture
def new() -> Answer:
    return model("new")


@pytest.fixture
def champ() -> Answer:
    return model("champ")


@pytest.fixture
def core() -> Named:
    return Named()


@pytest.fixture
def world() -> Callable[..., Toy]:
    return make
