# SPDX-License-Identifier: Apache-2.0
"""The market's file with times: the real one where it is, else a made-up one with the same columns."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NAME = "elec2.parquet"
ROOT = Path(__file__).resolve().parents[2]
START = datetime(1996, 5, 7, tzinfo=UTC)  # a Tuesday, as `day` says
HALF_HOUR = timedelta(minutes=30)


def find(folder: Path, rows: int | None = None) -> tuple[Path, bool]:
    """A file with the moments `asked` and `known` added, written to `folder`, and whether it is real."""
    real = Path(os.environ.get("TRUEUP_DATA", ROOT.parent / "shared" / "data")) / NAME
    table = pq.read_table(real) if real.is_file() else generate(20 * 336)
    table = table.slice(0, rows)
    asked = [START + at * HALF_HOUR for at in range(table.num_rows)]
    for name, moments in (("asked", asked), ("known", [at + HALF_HOUR for at in asked])):
        table = table.append_column(name, pa.array(moments, pa.timestamp("us", "UTC")))
    path = folder / "market.parquet"
    pq.write_table(table, path)
    return path, real.is_file()


def generate(rows: int, seed: int = 0) -> pa.Table:
    """Half-hours whose price follows demand, in a way that turns every ten weeks."""
    rng = np.random.default_rng(seed)
    at = np.arange(rows)
    demand = 0.5 + 0.3 * np.sin(2 * np.pi * at / 48) + 0.05 * rng.standard_normal(rows)
    turned = np.where((at // 3_360) % 2 == 0, 1.0, -1.0)
    price = 0.06 + 0.02 * turned * (demand - 0.5) + 0.004 * rng.standard_normal(rows)
    return pa.table({
        "date": at / max(rows, 1), "day": (at // 48 + 2) % 7 + 1, "period": (at % 48) / 47.0, "nswprice": price + 0.05 * rng.standard_normal(rows),
        "nswdemand": demand, "vicprice": np.full(rows, 0.003), "vicdemand": np.full(rows, 0.42), "transfer": np.full(rows, 0.41),
        "class": np.where(price > 0.06, "UP", "DOWN"),
    })  # fmt: skip
