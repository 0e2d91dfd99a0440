# SPDX-License-Identifier: Apache-2.0
"""A cap on what one unit may contribute, so that one account cannot teach the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from trueup.core.errors import ArgumentError
from trueup.core.json import sha256
from trueup.core.protocols import Curated
from trueup.core.values import value
from trueup.curate.rows import codes, draws, take
from trueup.curate.steps import own_version

SHOWN = 5


@value("curate.cap_per_unit")
class CapPerUnit:
    """No unit contributes more than `limit`: a share of the rows that stay, or a number of rows.

    `limit` as a float in (0, 1] is a share: the cap is the largest c with c <= limit x (rows left
    when every unit is cut to c), so that a flood does not raise its own cap. Where there are fewer
    than 1 / limit units no cap can hold that; then it is the share of all rows that came in, and
    at least one row. As a whole number it is rows. Which rows stay is drawn from the seed and the
    row's id. Rows without a unit count as one unit. The facts name the largest units that were
    capped by a short hash, with the rows that each lost.

    In replay a share is one of the rows that are drawn, and not of the many out of which they are:
    a flood that was cut when it came would come back with its share of a far larger number.
    """

    limit: float

    def __post_init__(self) -> None:
        whole = isinstance(self.limit, int) and not isinstance(self.limit, bool) and self.limit >= 1
        if not whole and not (isinstance(self.limit, float) and 0 < self.limit <= 1):
            raise ArgumentError(
                f"expected a share in (0, 1] or a whole number of rows, got {self.limit!r}",
                cure="CapPerUnit(0.01) for one row in a hundred, CapPerUnit(50) for fifty rows",
            )

    @property
    def version(self) -> str:
        return own_version(self, "trueup.curate.rows")

    def among(self, rows: int) -> CapPerUnit:
        """The cap in rows where `rows` are drawn out of more."""
        return self if isinstance(self.limit, int) else CapPerUnit(max(1, int(self.limit * rows)))

    def again(self, rows: pa.Table, seed: int) -> Curated:
        """Hold the cap on what was drawn; too few units for the share were cut before, and all stay."""
        units = len(codes(rows["unit"])[1])
        return self.curate(rows, seed) if self.limit * units >= 1 else Curated(rows)

    def curate(self, rows: pa.Table, seed: int) -> Curated:
        if not rows.num_rows:
            return Curated(rows)
        units, names = codes(rows["unit"])
        counts = np.bincount(units, minlength=len(names))
        cap = self.limit if isinstance(self.limit, int) else _cap(counts, self.limit)
        keep = _rank(units, draws(rows["row_id"], seed, "cap")) < cap
        lost = np.maximum(counts - cap, 0)
        facts: dict[str, Any] = {"cap in rows": cap, "units": len(names)}
        if lost.any():
            facts["units capped"] = int(np.count_nonzero(lost))
            facts["largest"] = _largest(names, counts, lost)
        return Curated(take(rows, keep), {"over the cap of one unit": int(lost.sum())} if lost.any() else {}, facts)


def _cap(counts: np.ndarray[Any, Any], share: float) -> int:
    if len(counts) * share < 1:
        return max(1, int(share * counts.sum()))
    low, high = 1, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        if middle <= share * np.minimum(counts, middle).sum() * (1 + 1e-12):
            low = middle
        else:
            high = middle - 1
    return low


def _rank(units: np.ndarray[Any, Any], numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Each row's place within its unit, by its drawn number."""
    order = np.lexsort((numbers, units))
    sorted_units = units[order]
    starts = np.flatnonzero(np.r_[True, sorted_units[1:] != sorted_units[:-1]])
    sizes = np.diff(np.r_[starts, len(units)])
    rank = np.empty(len(units), dtype=np.int64)
    rank[order] = np.arange(len(units)) - np.repeat(starts, sizes)
    return rank


def _largest(names: pa.Array, counts: np.ndarray[Any, Any], lost: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    shown = []
    for place in np.lexsort((np.arange(len(lost)), -lost))[:SHOWN]:
        if not lost[place]:
            break
        name = names[int(place)].as_py()
        shown.append(
            {
                "unit": "none" if name is None else "u-" + sha256(name)[:8],
                "rows": int(counts[place]),
                "dropped": int(lost[place]),
            }
        )
    return shown
