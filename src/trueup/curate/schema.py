# SPDX-License-Identifier: Apache-2.0
"""The schema gate: rows whose input or target is not what was declared do not train."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from trueup.core import scalars
from trueup.core.errors import ArgumentError, DataError, UnknownName
from trueup.core.json import loads
from trueup.core.protocols import Curated
from trueup.core.values import value
from trueup.curate.rows import take
from trueup.curate.steps import own_version

_TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
    "any": (object,),
}


@value("curate.schema")
class Schema:
    """Types of the input (one for all of it, or one a field) and of the target.

    Types are text, number, integer, boolean, list, object and any; `?` after one allows null, and
    lets the field be absent. An empty text, NaN and infinities never pass. Rows that fail are
    dropped by reason; where they are more than `refuse_above` of all, DataError is raised: data
    that broken are not to be trained on.

        Schema(input={"title": "text", "year": "integer?"}, target="text")
    """

    input: str | Mapping[str, str] = "any"
    target: str = "any"
    refuse_above: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.refuse_above <= 1:
            raise ArgumentError(f"expected refuse_above in (0, 1], got {self.refuse_above!r}")
        fields = self.input.values() if isinstance(self.input, Mapping) else [self.input]
        for name in [*fields, self.target]:
            if name.removesuffix("?") not in _TYPES:
                raise UnknownName("type of a field", name, _TYPES)

    @property
    def version(self) -> str:
        return own_version(self, "trueup.curate.rows")

    def curate(self, rows: pa.Table, seed: int) -> Curated:
        reasons: Counter[str] = Counter()
        keep = np.ones(rows.num_rows, dtype=bool)
        pairs = zip(rows["input"].to_pylist(), rows["target"].to_pylist(), strict=True)
        for place, (given, target) in enumerate(pairs):
            reason = self._input(given)
            if not reason and target is not None:  # None: a teacher will write it later
                reason = _check("target", _parsed(target), self.target)
            if reason:
                reasons[reason] += 1
                keep[place] = False
        gone = sum(reasons.values())
        if gone > self.refuse_above * rows.num_rows:
            words = "; ".join(f"{n} x {reason}" for reason, n in reasons.most_common(3))
            raise DataError(
                f"expected at most {self.refuse_above:.0%} of the rows to break the schema, "
                f"got {gone} of {rows.num_rows}: {words}",
                cure="correct the source of the rows, or the schema in the recipe",
            )
        return Curated(take(rows, keep) if gone else rows, dict(sorted(reasons.items())))

    def _input(self, text: str) -> str | None:
        data = _parsed(text)
        if data is _BROKEN or isinstance(self.input, str):
            return _check("input", data, self.input if isinstance(self.input, str) else "object")
        if not isinstance(data, dict):
            return f"input is {_name(data)}, not an object"
        for field, wanted in self.input.items():
            if field not in data and not wanted.endswith("?"):
                return f"{field} is missing"
            reason = _check(field, data.get(field), wanted)
            if reason:
                return reason
        return None


_BROKEN = object()


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except (DataError, RecursionError):
        return _BROKEN


def _check(field: str, data: Any, wanted: str) -> str | None:
    if data is _BROKEN:
        return f"{field} is not JSON"
    if data is None:
        return None if wanted.endswith("?") else f"{field} is null"
    if isinstance(data, float) and not math.isfinite(data):
        return f"{field} is not finite"
    if isinstance(data, str) and not data.strip():
        return f"{field} is empty"
    kind = wanted.removesuffix("?")
    if kind == "integer":
        data = scalars.whole(data)
    fits = isinstance(data, _TYPES[kind])
    if isinstance(data, bool) and kind in ("number", "integer"):
        fits = False
    return None if fits else f"{field} is {_name(data)}, not {kind}"


def _name(data: Any) -> str:
    if isinstance(data, bool):
        return "boolean"
    if isinstance(data, float):
        return "number"
    for name, types in _TYPES.items():
        if name not in ("number", "any") and isinstance(data, types):
            return name
    return "null" if data is None else type(data).__name__
