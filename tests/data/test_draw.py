# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from trueup.data.draw import draw, quotas_of
from trueup.data.labelled import cohort_of


def table(sizes: dict[str, int]) -> pa.Table:
    names = [name for name, size in sizes.items() for _ in range(size)]
    return pa.table({"row_id": [f"r{n}" for n in range(len(names))], "cohort": names})


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 300))
def test_quotas_are_as_even_as_sizes_allow(sizes: list[int], n: int) -> None:
    """CUR-14, FGT-01."""
    quotas = quotas_of(np.array(sizes), n)
    assert quotas.sum() == min(n, sum(sizes))
    assert (quotas <= sizes).all()
    open_ones = [q for q, size in zip(quotas, sizes, strict=True) if q < size]
    if open_ones:
        assert max(quotas) - min(open_ones) <= 1


def test_by_cohort_the_small_ones_are_not_lost() -> None:
    rows = table({"2026-01": 1000, "2026-02": 10, "2026-03": 1000})
    drawn = draw(rows, 110, 3, "s", by="cohort")
    counts = {pair["values"]: pair["counts"] for pair in drawn["cohort"].value_counts().to_pylist()}
    assert counts == {"2026-01": 50, "2026-02": 10, "2026-03": 50}
    assert draw(rows, 110, 3, "s", by="uniform").num_rows == 110


def test_a_draw_hangs_on_the_seed_and_not_on_the_order() -> None:
    rows = table({"a": 100, "b": 100})
    turned = rows.take(list(range(200))[::-1])
    one, other = draw(rows, 40, 1, "s", by="cohort"), draw(turned, 40, 1, "s", by="cohort")
    assert sorted(one["row_id"].to_pylist()) == sorted(other["row_id"].to_pylist())
    assert draw(rows, 40, 2, "s", by="cohort")["row_id"].to_pylist() != one["row_id"].to_pylist()
    more = set(draw(rows, 80, 1, "s", by="cohort")["row_id"].to_pylist())
    assert set(one["row_id"].to_pylist()) <= more
    assert draw(rows, 0, 1, "s").num_rows == 0
    assert draw(rows, 999, 1, "s").num_rows == 200


def test_cohorts() -> None:
    ts = pa.chunked_array([[0, 86_400_000_000 * 3, 1_767_225_600_000_000]])  # 1970-01-01, -04, 2026-01-01
    assert cohort_of(ts, "month").to_pylist() == ["1970-01", "1970-01", "2026-01"]
    assert cohort_of(ts, "day").to_pylist() == ["1970-01-01", "1970-01-04", "2026-01-01"]
    assert cohort_of(ts, "week").to_pylist() == ["1970-W01", "1970-W01", "2026-W01"]
