# SPDX-License-Identifier: Apache-2.0
"""Training rows: the columns of every Snapshot, and what the steps have in common."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from inspect import getsource
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from trueup.core.errors import DataError
from trueup.core.json import digest, sha256

ROWS = pa.schema(
    [
        ("row_id", pa.string()),  # the choice's id
        ("ts", pa.int64()),  # when it was asked, microseconds since 1970
        ("known", pa.int64()),  # when its label became known
        ("unit", pa.string()),
        ("input", pa.string()),  # canonical JSON
        ("target", pa.string()),  # canonical JSON; null only before a step that writes it
        ("weight", pa.float64()),
        ("arm", pa.string()),
        ("candidate", pa.string()),
        ("cohort", pa.string()),
        ("part", pa.string()),  # new or replay
        ("propensity", pa.float64()),  # P(this answer was shown | the request); null where nobody said
    ]
)
"""The columns of training rows: of every Snapshot, and of every step's input and output."""

SAID = "propensity"
_SPACES = r"(?:\\[nrt]|[\s\p{Z}])+"
_ODD_SPACE = r'\\[nrt]|[\s\p{Z}]{2}|[\t\n\f\r]|[^ -~\P{Z}]|" | "'


def check_rows(rows: Any, step: str, *, unlabelled: bool = False) -> pa.Table:
    """The table with exactly the columns of `ROWS`, in order; raises DataError naming the step.

    With `unlabelled` the target may be null: a later step of the recipe writes it.
    """
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if not isinstance(rows, pa.Table):
        raise DataError(f"expected a pyarrow.Table from the step {step}, got {type(rows).__name__}")
    rows = whole(rows)
    missing = [name for name in ROWS.names if name not in rows.column_names]
    if missing:
        raise DataError(
            f"expected the columns {ROWS.names} from the step {step}, got no {', '.join(missing)}",
            cure="return the table that the step was given with rows taken away or values changed",
        )
    try:
        rows = rows.select(ROWS.names).cast(ROWS)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"expected the types of training rows from the step {step}: {error}") from None
    for name in ("row_id", "ts", "input", "target", "weight"):
        if rows[name].null_count and not (unlabelled and name == "target"):
            raise DataError(
                f"expected no null in {name} after the step {step}, got {rows[name].null_count}"
            )
    weights = rows["weight"].to_numpy()
    if len(weights) and not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise DataError(f"expected finite weights of at least 0 after the step {step}")
    return rows


def whole(rows: pa.Table) -> pa.Table:
    """The rows with every column of `ROWS`: those of a loop that does not explore come without one."""
    if SAID in rows.column_names:
        return rows
    return rows.append_column(ROWS.field(SAID), pa.nulls(rows.num_rows, pa.float64()))


def stored(rows: pa.Table) -> pa.Table:
    """The rows as a Snapshot keeps them: without the propensity where no row has one, so that the
    Snapshots of a loop that does not explore stay what they were, to the byte."""
    if SAID in rows.column_names and rows[SAID].null_count == rows.num_rows:
        return rows.drop_columns([SAID])
    return rows


def draws(ids: pa.ChunkedArray, seed: int, salt: str) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """One pseudo-random number a row, from (seed, salt, row id): the order of rows is no matter."""
    head = xxhash.xxh3_64_intdigest(f"{seed}\0{salt}".encode())
    numbers = [xxhash.xxh3_64_intdigest(str(ident).encode(), head) for ident in ids.to_pylist()]
    return np.array(numbers, dtype=np.uint64)


def codes(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, np.dtype[np.int64]], pa.Array]:
    """Equal values as equal whole numbers, null included, and the value of each number."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def normal(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text as it is compared: Unicode NFC, lower case, runs of white space (escaped too) as one."""
    lower = pc.utf8_lower(pc.utf8_normalize(column, form="NFC"))
    chunks = [_one_space(chunk) for chunk in lower.chunks]
    return pa.chunked_array(chunks, pa.string())


def _one_space(text: pa.Array) -> pa.Array:
    odd = pc.match_substring_regex(text, pattern=_ODD_SPACE)
    if not pc.any(odd).as_py():
        return text
    mended = pc.replace_substring_regex(text.filter(odd), pattern=_SPACES, replacement=" ")
    mended = pc.replace_substring_regex(mended, pattern='" | "', replacement='"')
    return pc.replace_with_mask(text, odd, mended)


def take(rows: pa.Table, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> pa.Table:
    """The rows where `keep` is True, in their order."""
    return rows if keep.all() else rows.filter(pa.array(keep))


def module_digest(*modules: str) -> str:
    """SHA-256 of the source text of modules: it changes when their results may change."""
    return digest([[name, sha256(getsource(sys.modules[name]))] for name in sorted(modules)])


def in_order(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The places of the rows by (ts, row id)."""
    return np.asarray(
        pc.sort_indices(rows, sort_keys=[("ts", "ascending"), ("row_id", "ascending")])
    ).astype(np.int64)


def leaves(data: Any) -> list[tuple[str, Any]]:
    """The scalars of a JSON value with the path of each, in order; however deep, without recursion."""
    found: list[tuple[str, Any]] = []
    waiting: list[tuple[str, Any]] = [("", data)]
    while waiting:
        path, part = waiting.pop()
        if isinstance(part, Mapping):
            waiting += [(f"{path}.{key}", part[key]) for key in sorted(part, reverse=True)]
        elif isinstance(part, list | tuple):
            waiting += [(f"{path}[]", item) for item in reversed(part)]
        else:
            found.append((path, part))
    return found
