# SPDX-License-Identifier: Apache-2.0
"""Weights against the bias of a feedback loop: what was shown seldom counts for what was not shown."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trueup.core.errors import ArgumentError, DataError
from trueup.core.protocols import Curated
from trueup.core.values import value
from trueup.curate.rows import ROWS, SAID, take
from trueup.curate.steps import own_version


@value("curate.importance_weights")
class ImportanceWeights:
    """Weight each row by the inverse of the probability with which its answer was shown.

    Labels that tell of the answer shown (clicks, purchases) are there for what the model chose to
    show: unweighted they answer "how do people like what I show", weighted "what people like". The
    weight is 1 / propensity, at most `cap` (what the cap cuts is bias again, and is counted in the
    funnel), scaled so that the mean is 1, times the weight that the row had. Under `least`
    effective rows, (sum w)^2 / sum w^2, it refuses: so few rows would speak for all. Rows without a
    propensity are refused as well, or with `missing="drop"` left out: a model that explores from a
    certain day on. The propensity is what the application said: `client.log(..., propensity=p)`.

    Estimates are unbiased where every answer can be shown, and the propensities are right: for
    each request the sum over the answers of the weighted rows is then the sum over all answers.
    Source: Horvitz and Thompson (1952); self-normalised, Owen (2013), chapter 9.
    """

    cap: float = 10.0
    least: float = 100.0
    missing: Literal["refuse", "drop"] = "refuse"

    def __post_init__(self) -> None:
        if not self.cap >= 1.0 or not np.isfinite(self.cap):
            raise ArgumentError(f"expected a finite cap of at least 1, got {self.cap!r}")
        if not self.least >= 1.0 or not np.isfinite(self.least):
            raise ArgumentError(f"expected at least 1 effective row, got {self.least!r}")
        if self.missing not in ("refuse", "drop"):
            raise ArgumentError(f"expected missing refuse or drop, got {self.missing!r}")

    @property
    def version(self) -> str:
        return own_version(self, "trueup.curate.rows")

    def curate(self, rows: pa.Table, seed: int) -> Curated:
        if not rows.num_rows:
            return Curated(rows)
        said = np.asarray(pc.is_valid(rows[SAID]).to_numpy())
        silent = int(np.count_nonzero(~said))
        if silent and (self.missing == "refuse" or silent == len(said)):
            raise DataError(
                f"expected the propensity of every row, {silent:,} of {len(said):,} have none",
                cure='log it, client.log(..., propensity=p), or leave such rows out: ImportanceWeights(missing="drop")',
            )
        kept = take(rows, said)
        shown = np.asarray(kept[SAID].to_numpy(), dtype=float)
        if not ((shown > 0.0) & (shown <= 1.0)).all():
            raise DataError("expected propensities above 0 and at most 1", cure="look at who logs them")
        inverse = np.minimum(1.0 / shown, self.cap)
        effective = float(inverse.sum() ** 2 / (inverse**2).sum())
        if effective < self.least:
            raise DataError(
                f"expected at least {self.least:g} effective rows, {len(shown):,} rows make {effective:.0f} with these propensities",
                cure="explore more, wait for more rows, or lower the cap (that is: accept more bias)",
            )
        weights = inverse / inverse.mean() * np.asarray(kept["weight"].to_numpy(), dtype=float)
        clipped = int(np.count_nonzero(1.0 / shown > self.cap))
        facts: dict[str, Any] = {
            "effective rows": round(effective, 1), "rows at the cap": clipped,
            "smallest propensity": float(shown.min()), "largest weight": float(weights.max()),
        }
        place = ROWS.get_field_index("weight")
        kept = kept.set_column(place, ROWS.field(place), pa.array(weights))
        return Curated(kept, {"no propensity": silent} if silent else {}, facts)
