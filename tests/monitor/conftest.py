# SPDX-License-Identifier: Apache-2.0
"""Rows with times for monitors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from trueup.core.json import dumps

DAY = 86_400_000_000


@pytest.fixture
def table() -> Callable[..., pa.Table]:
    def make(inputs: Sequence[Any], start: float = 0.0, per_day: float = 1000, units: Any = None, outputs: Any = None) -> pa.Table:
        """Inputs spread evenly over the days from `start` on, each of a unit of its own."""
        n = len(inputs)
        columns = {
            "input": pa.array([dumps(one) for one in inputs], pa.string()),
            "ts": pa.array((start * DAY + np.arange(n) * (DAY / per_day)).astype(np.int64)),
            "unit": pa.array(list(units) if units is not None else [f"{start}-{at}" for at in range(n)], pa.string()),
        }
        if outputs is not None:
            columns["output"] = pa.array([dumps(one) for one in outputs], pa.string())
        return pa.table(columns)

    return make


def topics(rng: np.random.Generator, n: int, drift: float = 0.0, dimension: int = 384) -> np.ndarray[Any, Any]:
    """Unit vectors around 20 topics, a share of them around one that is new."""
    fixed = np.random.default_rng(7)
    centres = fixed.normal(size=(21, dimension)) / dimension**0.5
    kinds = np.where(rng.random(n) < drift, 20, rng.integers(0, 20, n))
    x = centres[kinds] + rng.normal(size=(n, dimension)) / dimension**0.5
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def vectors() -> Callable[..., np.ndarray[Any, Any]]:
    return topics


@pytest.fixture
def columns() -> Callable[..., list[dict[str, Any]]]:
    def make(rng: np.random.Generator, n: int, shift: float = 0.0, k: int = 19) -> list[dict[str, Any]]:
        """19 numbers (half of them log-normal) and a category; the first number moves."""
        x = rng.normal(size=(n, k))
        x[:, k // 2 :] = np.exp(x[:, k // 2 :])
        x[:, 0] += shift
        kinds = rng.integers(0, 5, n)
        return [
            {**{f"x{j:02d}": float(x[i, j]) for j in range(k)}, "colour": "abcde"[kinds[i]]} for i in range(n)
        ]

    return make
