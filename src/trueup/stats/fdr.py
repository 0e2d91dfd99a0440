# SPDX-License-Identifier: Apache-2.0
"""Reports over many columns: which of them are worth a look?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trueup.core.errors import ArgumentError
from trueup.stats import _check

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def benjamini_hochberg(pvalues: ArrayLike, q: float = 0.05) -> NDArray[np.bool_]:
    """Which columns to report, so that few of the reports are false, from p-values.

    Null: nothing changed in a column (each its own).

    Guarantee: expected share of false reports <= q, for independent (or positively dependent)
    p-values.

    Parameters:
        pvalues: in [0, 1], one for each column; q: in (0, 1).

    >>> benjamini_hochberg([0.001, 0.02, 0.04, 0.5], q=0.05).tolist()
    [True, True, False, False]

    Source: Benjamini and Hochberg, JRSS B (1995).
    """
    p = np.asarray(pvalues, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ArgumentError(f"expected p-values in [0, 1], got {pvalues!r}; give one per column")
    return _step_up(p, _check.level("q", q) * np.arange(1, p.size + 1) / max(p.size, 1))


def e_bh(evalues: ArrayLike, q: float = 0.05) -> NDArray[np.bool_]:
    """Which columns to report, so that few of the reports are false, from e-values.

    Null: nothing changed in a column (each its own).

    Guarantee: expected share of false reports <= q, **under any dependence**.

    Parameters:
        evalues: at least 0, one for each column; q: in (0, 1).

    >>> e_bh([100.0, 45.0, 3.0, 0.2], q=0.05).tolist()
    [True, True, False, False]

    Source: Wang and Ramdas, JRSS B (2022).
    """
    e = np.asarray(evalues, dtype=np.float64)
    if e.ndim != 1 or not (e >= 0.0).all():
        raise ArgumentError(f"expected e-values of at least 0, got {evalues!r}; one per column")
    with np.errstate(divide="ignore"):
        inverse = 1.0 / e
    return _step_up(inverse, _check.level("q", q) * np.arange(1, e.size + 1) / max(e.size, 1))


def _step_up(values: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.bool_]:
    order = np.argsort(values, kind="stable")
    below = np.flatnonzero(values[order] <= limits)
    chosen = np.zeros(values.size, dtype=bool)
    if below.size:
        chosen[order[: below[-1] + 1]] = True
    return chosen
