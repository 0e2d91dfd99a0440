# SPDX-License-Identifier: Apache-2.0
"""The recipe of a dataset: which rows, how many old ones beside them, and what is done to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, get_args

from trueup.core.errors import ArgumentError, DefinitionError
from trueup.core.values import value
from trueup.curate import Step, check_step

Cohort = Literal["day", "week", "month"]
Arm = Literal["champion", "challenger"]


@value("replay")
class Replay:
    """Old rows beside the new ones, against forgetting: `share` x the number of new rows.

    They are drawn, seeded, from the rows older than the window: with `by="cohort"` as evenly over
    the cohorts as their sizes allow, with `by="uniform"` from all old rows alike, and with
    `by="tempered"` between the two, by the square root of a cohort's size. With `each="row"`
    row by row; with `each="unit"` the units take turns, and at its turn each another of its targets,
    so that of much that is known little is left out, and nobody who has filed much is heard more often. Which
    rows are drawn goes by the new ones too: each training rehearses others.
    """

    share: float = 0.5
    by: Literal["cohort", "tempered", "uniform"] = "cohort"
    each: Literal["row", "unit"] = "row"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 100:
            raise ArgumentError(f"expected a share of the new rows above 0, got {self.share!r}")
        if self.by not in ("cohort", "tempered", "uniform"):
            raise ArgumentError(f"expected by cohort, tempered or uniform, got {self.by!r}")
        if self.each not in ("row", "unit"):
            raise ArgumentError(f"expected each row or unit, got {self.each!r}")


@value("recipe")
class Recipe:
    """From the ledger to a Snapshot.

    `window` ends now; a row belongs to it by the time at which its label became known, so that
    late labels train too (None: all history). A backfill of labels for old requests counts as new;
    the Snapshot's cohorts, which go by the time of the request, show it. Fewer than `min_rows` new
    rows after curation is no dataset. `max_rows` draws so many of the new rows. `replay` adds old
    rows, and `cohort` (day, week or month) says how rows are grouped by time. `arms` are the arms
    whose rows train; rows that no experiment drew, such as imported ones, always may. `curate` are
    steps in order: values of `trueup.curate`, or functions at module level from table to table.
    Golden items are always excluded after them. `expire` is for later: only False can be given.
    """

    window: timedelta | None = timedelta(days=30)
    min_rows: int = 1_000
    replay: Replay | None = None
    curate: Sequence[Step] = ()
    arms: Sequence[Arm] = ("champion", "challenger")
    cohort: Cohort = "month"
    max_rows: int | None = None
    expire: bool = False

    def __post_init__(self) -> None:
        if self.window is not None and self.window <= timedelta(0):
            raise ArgumentError(f"expected a window above 0, got {self.window!r}")
        if isinstance(self.min_rows, bool) or not isinstance(self.min_rows, int) or self.min_rows < 1:
            raise ArgumentError(f"expected min_rows of at least 1, got {self.min_rows!r}")
        if self.max_rows is not None and self.max_rows < self.min_rows:
            raise ArgumentError(
                f"expected max_rows of at least min_rows ({self.min_rows}), got {self.max_rows!r}"
            )
        if not self.arms or set(self.arms) - set(get_args(Arm)):
            raise ArgumentError(f"expected arms out of {list(get_args(Arm))}, got {self.arms!r}")
        if self.cohort not in get_args(Cohort):
            raise ArgumentError(f"expected cohort {list(get_args(Cohort))}, got {self.cohort!r}")
        if self.replay is not None and self.window is None:
            raise DefinitionError(
                "expected a window where there is replay: all history leaves no old rows",
                cure="give the recipe a window, or take the replay away",
            )
        if self.expire:
            raise DefinitionError(
                "expected expire=False: rows that expire after use are not there yet",
                cure="take expire away; the rows then stay until they are pruned",
            )
        for step in self.curate:
            check_step(step)
