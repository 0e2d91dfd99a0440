# SPDX-License-Identifier: Apache-2.0
"""Rows as a monitor sees them: in the order in which they became known, duplicates and floods cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import Json, dumps, loads_all
from trueup.core.values import value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

Rows: TypeAlias = "pa.Table | Sequence[Any] | NDArray[Any] | Sample"
_DAY = 86_400_000_000


@value("monitor.season")
class Season:
    """A cycle and its phases: rows are compared with rows of the same phase of earlier cycles.

    `period` is the length of a cycle, `phases` (2 to 400) the number of its equal parts.
    `Season()` is the week by days, `Season(timedelta(days=1), 24)` the day by hours; phases begin
    at 00:00 UTC, the week on Monday. Valid where cycles are exchangeable. Each phase is a column of
    its own in the split of the rate.
    """

    period: timedelta = timedelta(days=7)
    phases: int = 7

    def __post_init__(self) -> None:
        if self.period <= timedelta(0) or not 2 <= self.phases <= 400:
            raise ArgumentError(f"expected a period above 0 and 2 to 400 phases, got {self!r}")

    def phase(self, known: Ints) -> Ints:
        """The phase of each moment (microseconds since 1970), from 0."""
        period = self.period // timedelta(microseconds=1)
        since_monday = np.asarray(known, dtype=np.int64) - 4 * _DAY
        found: Ints = (since_monday % period) * self.phases // period
        return found


@value("monitor.batches")
class Batches:
    """How a stream is cut. All of it is a function of counts and times, never of values.

    `rows` rows, in the order in which they became known, are a run; within it a unit counts
    `per_unit` times (0: without limit), equal rows of a unit once. A detector takes a step for one
    or more whole runs: as many as it needs for neighbours not to resemble each other, and more
    when much has been seen, up to `most` rows. `reference` is the most rows kept of the reference,
    thinned evenly. `season` names a cycle whose phases are compared each with itself.
    """

    rows: int = 100
    per_unit: int = 1
    most: int = 2_000
    reference: int = 4_000
    season: Season | None = None

    def __post_init__(self) -> None:
        if self.rows < 10 or self.per_unit < 0 or self.most < self.rows or self.reference < 40:
            raise ArgumentError(
                f"expected rows >= 10, per_unit >= 0, most >= rows and reference >= 40, got {self!r}"
            )


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows for monitors. `inputs` (a list, or an array of vectors) and `answers` are parsed; `known`
    is in microseconds since 1970 (None: no times); `place` is a row's position before any were
    cut, of `total` in all."""

    inputs: Any
    answers: Sequence[Any]
    units: Sequence[str | None]
    known: Ints | None
    place: Ints
    total: int

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, index: Any) -> Sample:
        """Some of the rows, by positions or by a mask; `place` and `total` stay."""
        at = np.arange(len(self))[index]
        where = at.tolist()
        inputs = self.inputs[at] if isinstance(self.inputs, np.ndarray) else [self.inputs[i] for i in where]
        return replace(
            self, inputs=inputs, answers=[self.answers[i] for i in where] if self.answers else (),
            units=[self.units[i] for i in where], known=None if self.known is None else self.known[at],
            place=self.place[at],
        )  # fmt: skip

    def runs(self, rows: int) -> Ints:
        """The run of each row, from 0."""
        found: Ints = self.place // rows
        return found


def sample(rows: Rows, batches: Batches | None = None, *, most: int | None = None) -> Sample:
    """Rows cut by `batches` (None: all of them), thinned evenly to `most`.

    `rows` is a table with the column `input` (JSON text) and, where there are such, `known` or
    `received` or `ts` (microseconds), `unit` and `output` (JSON text): a Snapshot, or the requests
    of a loop. Or a sequence of inputs, or an array (n, d) of vectors, which have no times and no
    units. Raises DataError for anything else.
    """
    if isinstance(rows, Sample):
        return rows
    if not isinstance(rows, pa.Table):
        return _plain(rows, most)
    if "input" not in rows.column_names:
        raise DataError(f"expected a column input, got {rows.column_names}")
    rows = rows.filter(pc.is_valid(rows["input"]))
    clock = next((name for name in ("known", "received", "ts") if name in rows.column_names), None)
    order = None if clock is None else np.argsort(_ints(rows, clock), kind="stable")
    if order is not None and not (np.diff(order) == 1).all():
        rows = rows.take(pa.array(order))
    total = rows.num_rows
    units = _texts(rows, "unit")
    place = np.arange(total, dtype=np.int64)
    if batches is not None and batches.per_unit:
        kept = _capped(rows, units, place // batches.rows, batches.per_unit)
        place = place[kept]
    if most is not None and len(place) > most:
        place = place[np.arange(most) * len(place) // most]
    if len(place) < total:
        rows = rows.take(pa.array(place))
        units = [units[at] for at in place.tolist()]
    return Sample(
        _parsed(rows["input"].to_pylist()),
        _parsed(rows["output"].to_pylist()) if "output" in rows.column_names else (),
        units, None if clock is None else _ints(rows, clock), place, total,
    )  # fmt: skip


def halves(rows: Sample, seed: int) -> tuple[Sample, Sample]:
    """Two disjoint parts by a coin of each unit: rows of one unit never stand in both."""
    coin = coins(rows, seed)
    return rows.take(coin), rows.take(~coin)


def coins(rows: Sample, seed: int) -> Mask:
    """A coin a unit, told for each of its rows; a row without a unit has one of its own."""
    keys = unit_keys(rows)
    return np.fromiter(
        (xxhash.xxh3_64_intdigest(key.encode("utf-8", "surrogatepass"), seed & (2**63 - 1)) & 1 for key in keys),
        dtype=bool, count=len(keys),
    )  # fmt: skip


def unit_keys(rows: Sample) -> list[str]:
    """The unit of each row; one without a unit is its own."""
    return [unit if unit is not None else f"\0{at}" for unit, at in zip(rows.units, rows.place.tolist(), strict=True)]


def _plain(rows: Any, most: int | None) -> Sample:
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        inputs: Any = rows
    elif isinstance(rows, Iterable) and not isinstance(rows, str | bytes):
        inputs = list(rows)
    else:
        raise DataError(f"expected a table, a sequence of inputs or an array (n, d), got {type(rows).__name__}")
    place = np.arange(len(inputs), dtype=np.int64)
    made = Sample(inputs, (), [None] * len(inputs), None, place, len(inputs))
    if most is not None and len(inputs) > most:
        return made.take(np.arange(most) * len(inputs) // most)
    return made


def _capped(rows: pa.Table, units: list[str | None], runs: Ints, most: int) -> Mask:
    """Rows that stay: at most `most` of a unit in a run, equal ones once; without a unit, all."""
    named = np.array([unit is not None for unit in units], dtype=bool)
    codes = _codes(rows["unit"]) if "unit" in rows.column_names else np.zeros(len(units), dtype=np.int64)
    keys = runs * (int(codes.max(initial=0)) + 1) + codes
    keep = np.ones(len(units), dtype=bool)
    if most > 1:
        inputs = _codes(rows["input"])
        keep = _rank(keys * (int(inputs.max(initial=0)) + 1) + inputs) == 0
    where = np.flatnonzero(keep)
    keep[where] = _rank(keys[where]) < most
    found: Mask = keep | ~named
    return found


def _rank(keys: Ints) -> Ints:
    """Each row's number among the rows of its key, in order."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else np.zeros(0, np.int64)
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
    return rank


def _codes(column: pa.ChunkedArray) -> Ints:
    found = column.combine_chunks().dictionary_encode(null_encoding="encode").indices
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def _ints(rows: pa.Table, name: str) -> Ints:
    try:
        return np.asarray(rows[name].cast(pa.int64()).to_numpy(), dtype=np.int64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, TypeError) as error:
        raise DataError(f"expected microseconds since 1970 in {name}, without nulls: {error}") from None


def _texts(rows: pa.Table, name: str) -> list[str | None]:
    if name not in rows.column_names:
        return [None] * rows.num_rows
    return [None if one is None else str(one) for one in rows[name].to_pylist()]


def _parsed(texts: list[Any]) -> list[Json]:
    return loads_all(texts)


def text_of(item: Any, field: str | None = None) -> str:
    """The text of an input or of one of its fields; of a mapping without a field, all its texts."""
    if field is not None:
        item = item.get(field) if isinstance(item, dict) else None
    if item is None:
        return ""
    if isinstance(item, str):
        return item
    if isinstance(item, dict):
        return " ".join(text_of(item[key]) for key in sorted(item) if isinstance(item[key], str | list))
    if isinstance(item, list):
        return " ".join(text_of(one) for one in item)
    return dumps(item)
