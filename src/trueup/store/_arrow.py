# SPDX-License-Identifier: Apache-2.0
"""The columns of every Arrow table of events: seq, and the fields of Event."""

from __future__ import annotations

import pyarrow as pa

from trueup.core.events import Event

_WHOLE = {"seq", "ts", "received", "generation"}
_REAL = {"propensity", "value", "seconds"}
CHUNK_BYTES = 64 << 20
"""What one copy of rows may weigh, about: the bound on memory of sealing and of catching up."""


def _type(name: str) -> pa.DataType:
    if name == "keep":
        return pa.bool_()
    return pa.int64() if name in _WHOLE else pa.float64() if name in _REAL else pa.string()


SCHEMA = pa.schema([
    pa.field(name, _type(name)) for name in ("seq", *Event._fields)
])  # fmt: skip
EMPTY = SCHEMA.empty_table()
