# SPDX-License-Identifier: Apache-2.0
"""Which logged rows can train: the others are set aside, with their reasons, when a Snapshot is built.

An application may log anything. One row of another shape must cost that row, not the training.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from trueup.core import scalars
from trueup.core.errors import DataError
from trueup.core.json import AT_ONCE, loads, loads_all
from trueup.core.task import Answers
from trueup.curate.rows import take
from trueup.data.labelled import labelled
from trueup.models.features import Features

if TYPE_CHECKING:
    from trueup.store import Ledger

_KINDS = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a mapping"}


@dataclass(frozen=True, slots=True)
class Fit:
    """What a row must be: an answer of the task's kind, and an input that the features can read (None: any)."""

    answers: Answers
    features: Features | None = None

    def fault(self, given: Any, target: Any) -> str | None:
        """What is wrong with an input and its right answer, in words without their values; None where they fit."""
        wrong = _target_fault(target, self.answers)
        return wrong or (None if self.features is None else self.features.fault(given))


@dataclass(frozen=True, slots=True)
class Unfit:
    """A logged row that cannot train: its choice, when it was asked, why, and its input as JSON."""

    row_id: str
    ts: int
    reason: str
    input: str


def set_aside(rows: pa.Table, fit: Fit) -> tuple[pa.Table, Mapping[str, int]]:
    """The rows that fit, and how many do not by reason. A row without a target is judged by its input."""
    reasons = _faults(rows, fit)
    counted = Counter(reasons.values())
    if not reasons:
        return rows, counted
    keep = np.ones(rows.num_rows, dtype=bool)
    keep[[*reasons]] = False
    return take(rows, keep), counted


def unfit(ledger: Ledger, loop: str, target: str, fit: Fit, *, cut: int, now_us: int) -> list[Unfit]:
    """The labelled rows of a loop that cannot train, the oldest first."""
    rows, _ = labelled(ledger, loop, target, cut=cut, now_us=now_us)
    found = _faults(rows, fit)
    some = rows.take(pa.array([*found], pa.int64())).to_pylist()
    return [Unfit(row["row_id"], row["ts"], why, row["input"]) for row, why in zip(some, found.values(), strict=True)]


def _faults(rows: pa.Table, fit: Fit) -> dict[int, str]:
    """The places of the rows that do not fit, with the reasons; read a few thousand at a time."""
    found: dict[int, str] = {}
    for start in range(0, rows.num_rows, AT_ONCE):
        part = rows.slice(start, AT_ONCE)
        inputs, targets = part["input"].to_pylist(), part["target"].to_pylist()
        for at, (given, target) in enumerate(zip(_parsed(inputs), _parsed(targets), strict=True)):
            if given is _BROKEN or target is _BROKEN:
                why: str | None = "no JSON that can be read"
            elif targets[at] is None:  # a teacher will write it
                why = None if fit.features is None else fit.features.fault(given)
            else:
                why = fit.fault(given, target)
            if why is not None:
                found[start + at] = why
    return found


_BROKEN = object()


def _parsed(texts: list[Any]) -> list[Any]:
    try:
        return loads_all(texts)
    except (DataError, RecursionError):
        return [_one(text) for text in texts]


def _one(text: str | None) -> Any:
    try:
        return None if text is None else loads(text)
    except (DataError, RecursionError):
        return _BROKEN


def _target_fault(target: Any, answers: Answers) -> str | None:
    if answers == "label":
        return None if _is_label(target) else f"the label is {_kind(target)}, not a text, whole number or boolean"
    if answers == "labels":
        if not isinstance(target, list):
            return f"the labels are {_kind(target)}, not a list"
        wrong = next((one for one in target if not _is_label(one)), _BROKEN)
        return None if wrong is _BROKEN else f"one of the labels is {_kind(wrong)}, not a text, whole number or boolean"
    if answers == "number":
        number = isinstance(target, int | float) and not isinstance(target, bool) and scalars.number(target) is not None
        return None if number else f"the answer is {_kind(target)}, not a number"
    return "the answer is null" if target is None else None


def _is_label(target: Any) -> bool:
    if isinstance(target, float):
        return math.isfinite(target) and target.is_integer()
    return isinstance(target, str | int) and target != ""


def _kind(target: Any) -> str:
    if target == "" or target is None:
        return "null" if target is None else "empty"
    return "a fraction" if isinstance(target, float) else _KINDS.get(type(target), type(target).__name__)
