# SPDX-License-Identifier: Apache-2.0
"""The rows of a training job, read and checked once for every trainer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np

from trueup.core import scalars
from trueup.core.errors import DataError
from trueup.core.json import Json, loads
from trueup.core.protocols import TrainJob
from trueup.core.references import Ref
from trueup.models.answers import name_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLUMNS = ("input", "target", "weight")


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs and targets as JSON values, and weights of float64, all of one length."""

    inputs: list[Json]
    targets: list[Json]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Targets as numbers.

    `labels` are the JSON values of the labels, sorted by name (none for numbers). `y` is (n,)
    int64 for one label, (n, labels) int8 for lists of labels, (n,) float64 for numbers.
    """

    labels: tuple[str | int | bool, ...]
    y: NDArray[Any]


def path_of(ref: Ref) -> Path:
    """Where a local reference lies; raises DataError for one that is elsewhere."""
    parts = urlsplit(ref.uri)
    if parts.scheme in ("", "file"):
        return Path(unquote(parts.path) if parts.scheme else ref.uri)
    raise DataError(
        f"expected data on this machine, got {ref.uri}",
        cure="run the job with trueup.train.run, which fetches it first",
    )


def read(job: TrainJob) -> Rows:
    """The rows of `job.data`; raises DataError for none, a missing column, NaN or a bad weight."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = path_of(job.data)
    try:
        names = pq.read_schema(path).names
        missing = [name for name in _COLUMNS if name not in names]
        if missing:
            raise DataError(f"expected the columns {_COLUMNS} in the training data, got none named {missing}")
        table = pq.read_table(path, columns=list(_COLUMNS), use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"expected training data as Parquet in {path}: {error}") from None
    if not table.num_rows:
        raise DataError(
            "expected at least one row to train on, got none", cure="widen the window, or lower min_rows"
        )
    inputs = _parsed("input", table.column("input").to_pylist())
    targets = _parsed("target", table.column("target").to_pylist())
    return Rows(inputs, targets, _weights(table.column("weight").to_pylist()))


def _parsed(column: str, texts: Sequence[Any]) -> list[Json]:
    made: list[Json] = []
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"expected a JSON text as {column} of training row {number}, got {text!r:.80}")
        try:
            made.append(loads(text))
        except DataError as error:
            raise DataError(f"training row {number}, {column}: {error.message}") from None
    return made


def _weights(numbers: Sequence[Any]) -> NDArray[np.float64]:
    for number, weight in enumerate(numbers):
        if not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0:
            raise DataError(
                f"expected a finite weight of at least 0 in training row {number}, got {weight!r}"
            )
    weights = np.asarray(numbers, dtype=np.float64)
    if not weights.sum() > 0:
        raise DataError("expected at least one training row with a weight above 0, got none")
    return weights


def encode(targets: Sequence[Json], output: str) -> Encoded:
    """Targets as the numbers that a trainer fits; raises DataError with the row's number."""
    if output == "number":
        return Encoded((), np.asarray([_number(n, x) for n, x in enumerate(targets)], dtype=np.float64))
    if output == "label":
        for number, target in enumerate(targets):
            _label(number, target)
        labels = _distinct(targets)
        place = {name_of(label): at for at, label in enumerate(labels)}
        return Encoded(labels, np.asarray([place[name_of(x)] for x in targets], dtype=np.int64))
    for number, target in enumerate(targets):
        if not isinstance(target, list):
            raise DataError(f"expected a list of labels as target of training row {number}, got {target!r:.80}")
        for label in target:
            _label(number, label)
    labels = _distinct(label for target in targets for label in target)  # type: ignore[union-attr]
    place = {name_of(label): at for at, label in enumerate(labels)}
    y = np.zeros((len(targets), len(labels)), dtype=np.int8)
    for number, target in enumerate(targets):
        for label in target:  # type: ignore[union-attr]
            y[number, place[name_of(label)]] = 1
    return Encoded(labels, y)


def in_order(encoded: Encoded, labels: tuple[Any, ...], output: str) -> Encoded:
    """The same targets in the order of the labels of an older model."""
    place = {name_of(label): at for at, label in enumerate(labels)}
    at = np.asarray([place[name_of(label)] for label in encoded.labels], dtype=np.int64)
    if output == "label":
        return Encoded(labels, at[encoded.y])
    if output == "number":
        return encoded
    y = np.zeros((len(encoded.y), len(labels)), dtype=np.int8)
    y[:, at] = encoded.y
    return Encoded(labels, y)


def need_two(encoded: Encoded) -> None:
    """Raise DataError where there is nothing to tell apart."""
    if len(encoded.labels) < 2:
        only = [name_of(label) for label in encoded.labels]
        raise DataError(
            f"expected at least two different labels to train on, got {only}",
            cure="widen the window, or check how the labels are joined",
        )


def _distinct(labels: Iterable[Any]) -> tuple[str | int | bool, ...]:
    """The labels by name, each once: as a boolean or a number where one of its spellings is one."""
    named: dict[str, Any] = {}
    for label in labels:
        name = name_of(label)
        if isinstance(named.get(name, ""), str):
            named[name] = scalars.whole(label)
    return tuple(named[name] for name in sorted(named))


def _label(number: int, label: Any) -> None:
    if not isinstance(scalars.whole(label), str | int):
        raise DataError(
            f"expected a label as text, whole number or boolean in training row {number}, got {label!r:.80}"
        )


def _number(number: int, target: Any) -> float:
    try:
        if not isinstance(target, bool) and isinstance(target, int | float) and math.isfinite(target):
            return float(target)
    except OverflowError:
        pass
    raise DataError(f"expected a finite number as target of training row {number}, got {target!r:.80}")
