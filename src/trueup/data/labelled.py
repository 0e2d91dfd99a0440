# SPDX-License-Identifier: Apache-2.0
"""Rows fit for training: logged requests whose label is known, at one cut of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trueup.core.errors import ArgumentError
from trueup.curate import ROWS

if TYPE_CHECKING:
    from trueup.store import Ledger


def _side(arm: Any) -> Any:
    """champion, or challenger for every other arm."""
    return pc.if_else(pc.equal(arm, "champion"), "champion", "challenger")


def labelled(
    ledger: Ledger,
    loop: str,
    target: str,
    *,
    cut: int,
    now_us: int,
    arms: Sequence[str] = ("champion", "challenger"),
    cohort: str = "month",
    unlabelled: bool = False,
) -> tuple[pa.Table, dict[str, int]]:
    """The training rows that were known at `now_us`, by (ts, row id), and the others by reason.

    Left out: requests that failed, whose user said never to train on them, whose label is not
    known yet, or whose arm is not one of `arms` (a row that no experiment drew always stays; every
    arm but the champion counts as the challenger, whatever its name). With `unlabelled` a request
    without a label stays, its target null, known since it was logged.
    """
    found = ledger.interactions(loop, outcomes=[target], cut=cut)
    known, label = found[f"{target}_known"], found[target]
    missing = pc.or_(pc.is_null(known), pc.is_null(label))
    if unlabelled:
        known = pc.if_else(missing, found["received"], known)
        missing = pc.is_null(known)
    tests = [
        ("never train on this", pc.invert(pc.fill_null(found["keep"].cast(pa.bool_()), True))),
        ("failed", pc.is_valid(found["error"])),
        ("no input", pc.is_null(found["input"])),
        ("label not known yet", missing),
        ("after now", pc.fill_null(pc.or_(pc.greater(known, now_us), pc.greater(found["ts"], now_us)), False)),
        ("of another arm", pc.and_(
            pc.is_valid(found["arm"]), pc.invert(pc.is_in(_side(found["arm"]), pa.array(arms, pa.string())))
        )),
    ]  # fmt: skip
    keep = np.ones(found.num_rows, dtype=bool)
    dropped: dict[str, int] = {}
    for reason, test in tests:
        hit = test.to_numpy().astype(bool) & keep
        if hit.any():
            dropped[reason] = int(np.count_nonzero(hit))
            keep &= ~hit
    place = found.schema.get_field_index(f"{target}_known")
    rows = found.set_column(place, f"{target}_known", known).filter(pa.array(keep))
    return _training_rows(rows, target, cohort), dropped


def cohort_of(ts: pa.ChunkedArray, cohort: str) -> pa.Array:
    """The period of each moment (microseconds since 1970): 2026-03, 2026-W11 or 2026-03-14."""
    moments = np.asarray(ts.to_numpy()).astype("datetime64[us]")
    if cohort in ("month", "day"):
        return pa.array(np.datetime_as_string(moments, unit="M" if cohort == "month" else "D"), pa.string())
    if cohort != "week":
        raise ArgumentError(f"expected cohort day, week or month, got {cohort!r}")
    parts = pc.iso_calendar(pa.array(moments))
    years, weeks = pc.struct_field(parts, "iso_year"), pc.struct_field(parts, "iso_week")
    padded = pc.utf8_lpad(weeks.cast(pa.string()), 2, padding="0")
    return pc.binary_join_element_wise(years.cast(pa.string()), padded, "-W")


def _training_rows(found: pa.Table, target: str, cohort: str) -> pa.Table:
    n = found.num_rows
    columns = {
        "row_id": found["choice"],
        "ts": found["ts"],
        "known": found[f"{target}_known"],
        "unit": found["unit"],
        "input": found["input"],
        "target": found[target],
        "weight": pa.array(np.ones(n)),
        "arm": found["arm"],
        "candidate": found["candidate"],
        "cohort": cohort_of(found["ts"], cohort),
        "part": pa.array(["new"] * n, pa.string()),
        "propensity": found["shown"],
    }
    rows = pa.table(columns).cast(ROWS)
    return rows.sort_by([("ts", "ascending"), ("row_id", "ascending")])
