# SPDX-License-Identifier: Apache-2.0
"""Rolling golden sets: the newest labelled rows, judged on before they are learned."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from trueup.core.errors import ArgumentError, DataError
from trueup.core.json import loads
from trueup.core.values import value
from trueup.curate import Distill
from trueup.data.draw import draw
from trueup.data.fit import Fit, set_aside
from trueup.data.golden import HISTORY, GoldenItems, first_asked, golden_items
from trueup.data.labelled import labelled
from trueup.data.taught import distil

if TYPE_CHECKING:
    from trueup.store import Ledger

MICROSECOND = timedelta(microseconds=1)


@value("golden.rolling")
class RollingSet:
    """Up to `rows` of the rows whose label became known within `last`, drawn with a seed: "yesterday's news".

    `name` is what gates and Decisions call it; `slices` are fields of the input by which results are
    split. The slice `history` is there for every loop with units: "new" are items of units that had
    asked nothing before the `last` began, "known" the others, so that a gate can hold a floor or a
    margin for people whom the model has never met: `NoWorse(..., slices={"history": 0.1})`. Give its items to `build` as well: rows that judge a candidate are not learned in that cycle.
    With a `teacher` rows without a label are drawn too, and it writes what is wanted of them.
    """

    name: str
    last: timedelta = timedelta(days=1)
    rows: int = 500
    slices: tuple[str, ...] = ()
    teacher: Distill | None = None

    def __post_init__(self) -> None:
        if self.last <= timedelta(0):
            raise ArgumentError(f"expected last above 0, got {self.last!r}")
        if self.rows < 1:
            raise ArgumentError(f"expected at least one row, got {self.rows!r}")

    def items(
        self, ledger: Ledger, *, loop: str, target: str, cut: int, now_us: int, seed: int = 0, fit: Fit | None = None
    ) -> GoldenItems:
        """The items at a cut: a pure function of it, `now_us` and the seed; DataError for none. Rows that do
        not `fit` the task and the features judge nobody."""
        rows, _ = labelled(
            ledger, loop, target, cut=cut, now_us=now_us, unlabelled=self.teacher is not None
        )
        recent = rows.filter(pc.greater(rows["known"], now_us - self.last // MICROSECOND))
        if not recent.num_rows:
            raise DataError(
                f"expected labelled rows within the last {self.last} for {self.name!r}, got none",
                cure="wait for labels, or let the rolling set reach further back",
            )
        drawn = draw(recent, self.rows, seed, f"rolling {self.name}")
        if self.teacher is not None:
            drawn = distil(ledger, loop, self.teacher, drawn, now_us=now_us).rows
        if fit is not None:
            drawn, _ = set_aside(drawn, fit)
        raw = [
            {"id": ident, "input": loads(given), "target": loads(wanted)}
            for ident, given, wanted in zip(
                *(drawn[name].to_pylist() for name in ("row_id", "input", "target")), strict=True
            )
        ]
        if HISTORY in self.slices:
            first, began = first_asked(ledger, loop, cut), now_us - self.last // MICROSECOND
            for item, unit in zip(raw, drawn["unit"].to_pylist(), strict=True):
                if unit is not None:
                    item[HISTORY] = "known" if first.get(unit, began) < began else "new"
        items = golden_items(self.name, raw, self.slices, f"the rolling set {self.name!r}")
        return replace(items, row_ids=frozenset(items.ids))

