# SPDX-License-Identifier: Apache-2.0
"""Seeded draws of rows, that depend on the rows and the seed only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from trueup.curate.rows import codes, draws

Numbers = np.ndarray[Any, Any]


def draw(rows: pa.Table, n: int, seed: int, salt: str, *, by: str = "uniform", each: str = "row") -> pa.Table:
    """`n` of the rows (all, where there are fewer), in their order.

    `by="cohort"` takes as many from each cohort as the others give, as far as their sizes allow:
    equal quotas, what a small cohort cannot fill goes to the larger ones, a remainder to the
    latest. `by="tempered"` takes from each in proportion to the square root of its size. Within a cohort (of all rows, where `by="uniform"`) they are drawn one by one with
    `each="row"`; with `each="unit"` its units take turns, and at its turn a unit's targets. A draw
    of fewer rows under the same seed and salt is part of a draw of more.
    """
    if n >= rows.num_rows:
        return rows
    if n <= 0:
        return rows.slice(0, 0)
    numbers = draws(rows["row_id"], seed, salt)
    if by == "uniform":
        quotas, groups = np.array([n]), np.zeros(rows.num_rows, dtype=np.int64)
    else:
        found, names = codes(rows["cohort"])
        order = np.argsort(np.array([str(name) for name in names.to_pylist()]))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        groups = place[found]
        sizes = np.bincount(groups, minlength=len(order))
        quotas = quotas_of(sizes, n, np.sqrt(sizes) if by == "tempered" else None)
    if each == "unit":
        numbers = _turns(rows, groups, numbers)
    return rows.filter(pa.array(_rank(groups, numbers) < quotas[groups]))


def quotas_of(sizes: Numbers, n: int, weights: Numbers | None = None) -> Numbers:
    """How many of each group, oldest first, so that `n` are taken and the least (as a share of its
    weight, where there are any) is the most."""
    weights = np.ones(len(sizes)) if weights is None else weights
    quotas = np.zeros(len(sizes), dtype=np.int64)
    left = min(n, int(sizes.sum()))
    while left:
        room = np.flatnonzero(quotas < sizes)
        share = left / weights[room].sum()
        for place in room[::-1]:
            given = min(max(1, int(share * weights[place])), int(sizes[place] - quotas[place]), left)
            quotas[place] += given
            left -= given
    return quotas


def _turns(rows: pa.Table, groups: Numbers, numbers: Numbers) -> Numbers:
    """Numbers of the same lot, by which the units of a group come round after round, and in each
    round of a unit another of its targets."""
    units, targets = codes(rows["unit"])[0], codes(rows["target"])[0]
    unit = _joined(groups, units)
    round_ = _rank(unit, _order(numbers, _rank(_joined(unit, targets), numbers)))
    return _order(numbers, round_)


def _joined(one: Numbers, other: Numbers) -> Numbers:
    """Equal pairs as equal whole numbers."""
    found: Numbers = one * (int(other.max(initial=0)) + 1) + other
    return found


def _order(second: Numbers, first: Numbers) -> Numbers:
    """The place of each row when sorted by `first`, and equal ones by `second`."""
    place = np.empty(len(first), dtype=np.int64)
    place[np.lexsort((second, first))] = np.arange(len(first))
    return place


def _rank(groups: Numbers, numbers: Numbers) -> Numbers:
    """Each row's place within its group, by its number."""
    order = np.lexsort((numbers, groups))
    ordered = groups[order]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return rank
