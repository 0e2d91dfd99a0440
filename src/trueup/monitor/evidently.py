# SPDX-License-Identifier: Apache-2.0
"""Evidently's drift scores as a monitor: its number, ranked among earlier batches, with a rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from trueup.core.errors import ArgumentError, DataError, Refused
from trueup.core.values import value
from trueup.monitor.rows import Sample
from trueup.monitor.scores import watch_score
from trueup.monitor.watch import Terms, Watch

METHODS = ("psi", "wasserstein", "jensenshannon", "kl_div", "hellinger")


@value("monitor.evidently")
class Evidently:
    """A column's drift as Evidently computes it (`ValueDrift`), ranked among those of earlier batches.

    `column` is a field of the inputs. `method` is one of Evidently's distances (psi, wasserstein,
    jensenshannon, kl_div, hellinger): larger is stranger. Its tests give p-values, which a reference
    of many rows makes small with nothing moved; they are not taken. Evidently's threshold is not
    used: the rate is that of `ScoreDrift`, whose guarantee and conditions these are. Needs
    evidently (0.7) and pandas (2) beside Trueup.
    """

    column: str
    method: str = "psi"

    def __post_init__(self) -> None:
        if not self.column:
            raise ArgumentError("expected a column, got ''")
        if self.method not in METHODS:
            raise ArgumentError(
                f"expected method {', '.join(METHODS)}, got {self.method!r}", cure="take a distance: p-values are no scores",
            )

    @property
    def compares(self) -> bool:
        """It compares a batch with the reference."""
        return True

    @property
    def name(self) -> str:
        return f"evidently {self.method} {self.column}"

    @property
    def per_unit(self) -> bool:
        return False

    def begin(self, reference: Sample, terms: Terms) -> Watch:
        return watch_score(self, reference, terms)

    def score(self, reference: Sequence[Any], batch: Sequence[Any]) -> float:
        """Evidently's number for a batch; raises Refused where it is not installed, DataError where it gives none."""
        try:
            import pandas as pd
            from evidently import Report
            from evidently.metrics import ValueDrift
        except ImportError:
            raise Refused(
                "expected evidently and pandas, which are not installed", cure="pip install 'evidently>=0.7,<0.8' 'pandas<3'",
            ) from None
        tables = [pd.DataFrame({self.column: [row.get(self.column) for row in rows]}) for rows in (batch, reference)]
        run = Report([ValueDrift(column=self.column, method=self.method)]).run(*tables)
        number = float(run.dict()["metrics"][0]["value"])
        if not math.isfinite(number):
            raise DataError(f"expected a finite number from {self.name}, got {number!r}")
        return number
