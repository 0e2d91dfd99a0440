# SPDX-License-Identifier: Apache-2.0
"""Seeded draws of rows, that depend on the rows and the seed only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from trueup.curate.rows import codes, draws

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def draw(rows: pa.Table, n: int, seed: int, salt: str, *, by: str = "uniform") -> pa.Table:
    """`n` of the rows (all, where there are fewer), in their order.

    `by="cohort"` takes as many from each cohort as the others give, as far as their sizes allow:
    equal quotas, what a small cohort cannot fill goes to the larger ones, a remainder to the
    latest. A draw of fewer rows under the same seed and salt is part of a draw of more.
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
        quotas = quotas_of(np.bincount(groups, minlength=len(order)), n)
    return rows.filter(pa.array(_lowest(groups, numbers, quotas)))


def quotas_of(sizes: np.ndarray[Any, Any], n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How many of each group, oldest first, so that `n` are taken and the least is the most."""
    quotas = np.zeros(len(sizes), dtype=np.int64)
    left = min(n, int(sizes.sum()))
    while left:
        room = np.flatnonzero(quotas < sizes)
        share = max(1, left // len(room))
        for place in room[::-1]:
            given = min(share, int(sizes[place] - quotas[place]), left)
            quotas[place] += given
            left -= given
    return quotas


def _lowest(groups: np.ndarray[Any, Any], numbers: np.ndarray[Any, Any], quotas: np.ndarray[Any, Any]) -> Mask:
    order = np.lexsort((numbers, groups))
    ordered = groups[order]
    starts = np.searchsorted(ordered, np.arange(len(quotas)))
    rank = np.arange(len(ordered)) - starts[ordered]
    keep = np.zeros(len(ordered), dtype=bool)
    keep[order] = rank < quotas[ordered]
    return keep
