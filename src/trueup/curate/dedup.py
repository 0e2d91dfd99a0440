# SPDX-License-Identifier: Apache-2.0
"""Exact duplicates: equal input and target, once their text is brought into one form."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa

from trueup.core.errors import ArgumentError
from trueup.core.protocols import Curated
from trueup.core.values import value
from trueup.curate.rows import codes, in_order, normal, take
from trueup.curate.steps import own_version


@value("curate.deduplicate")
class Deduplicate:
    """Keep one row of those with an equal (input, target).

    Texts are compared in Unicode NFC, lower case, with runs of white space as one. With
    `keep="first"` the first by (ts, row id) stays, and an input that came with two targets stays
    with both. With `keep="latest"` an input stays once, with the target of its latest row: for
    labels that get corrected. The facts name how many inputs had targets in conflict.
    """

    keep: Literal["first", "latest"] = "first"

    def __post_init__(self) -> None:
        if self.keep not in ("first", "latest"):
            raise ArgumentError(f"expected keep first or latest, got {self.keep!r}")

    @property
    def version(self) -> str:
        return own_version(self, "trueup.curate.rows")

    def curate(self, rows: pa.Table, seed: int) -> Curated:
        if not rows.num_rows:
            return Curated(rows)
        inputs, _ = codes(normal(rows["input"]))
        targets, _ = codes(normal(rows["target"]))
        pairs = inputs * (int(targets.max()) + 1) + targets
        order = in_order(rows)
        pairs_first = _first(pairs, order)
        conflicts = _conflicts(inputs[pairs_first])
        if self.keep == "latest":
            keep = _first(inputs, order[::-1])
            corrected = int(np.count_nonzero(pairs_first)) - int(np.count_nonzero(keep))
        else:
            keep, corrected = pairs_first, 0
        gone = rows.num_rows - int(np.count_nonzero(keep))
        dropped = {"duplicate": gone - corrected, "older target": corrected}
        return Curated(
            take(rows, keep),
            {reason: n for reason, n in dropped.items() if n},
            {"inputs with conflicting targets": conflicts},
        )


def _first(keys: np.ndarray[Any, Any], order: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    _, places = np.unique(keys[order], return_index=True)
    keep = np.zeros(len(keys), dtype=bool)
    keep[order[places]] = True
    return keep


def _conflicts(inputs: np.ndarray[Any, Any]) -> int:
    _, counts = np.unique(inputs, return_counts=True)
    return int(np.count_nonzero(counts > 1))
