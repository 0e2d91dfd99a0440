# SPDX-License-Identifier: Apache-2.0
"""Typed parameters: what a candidate, or an arm, may set beside its model: prompts, thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from trueup.core.errors import ArgumentError, UnknownName
from trueup.core.values import value

ParameterType = Literal["text", "number", "integer", "boolean"]
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,),
}


@value("parameter")
class Parameter:
    """A value that the application reads from `choice.parameters`, by its `name`.

    `type` is text, number, integer or boolean, `default` what holds where a candidate says nothing.
    Numbers lie within `low` and `high` where those are given; `choices`, where there are any, are
    all that it may be.
    """

    name: str
    type: ParameterType = "text"
    default: Any = None
    low: float | None = None
    high: float | None = None
    choices: Sequence[Any] = ()

    def __post_init__(self) -> None:
        if self.type not in _TYPES:
            raise ArgumentError(f"expected type out of {list(_TYPES)}, got {self.type!r}")
        if self.default is not None:
            self.check(self.default)

    def check(self, given: Any) -> Any:
        """The value itself; raises ArgumentError where it is not of the type, or out of bounds."""
        wrong = not isinstance(given, _TYPES[self.type]) or (isinstance(given, bool) and self.type != "boolean")
        if wrong or (isinstance(given, float) and not math.isfinite(given)):
            raise ArgumentError(f"expected {self.name} as a {self.type}, got {given!r:.80}")
        if self.choices and given not in self.choices:
            raise ArgumentError(f"expected {self.name} out of {list(self.choices)}, got {given!r:.80}")
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if self.type in ("number", "integer") and not low <= given <= high:
            raise ArgumentError(f"expected {self.name} within [{low:g}, {high:g}], got {given!r}")
        return given


def typed(declared: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a candidate, checked, with the defaults filled in.

    Where none are declared, anything goes. Raises UnknownName with the nearest name, or
    ArgumentError.

    >>> typed([Parameter("threshold", "number", 0.5, low=0.0, high=1.0)], {})
    {'threshold': 0.5}
    """
    if not declared:
        return dict(given)
    known = {one.name: one for one in declared}
    for name in given:
        if name not in known:
            raise UnknownName("parameter", str(name), known)
    found = {name: one.check(given[name]) if name in given else one.default for name, one in known.items()}
    return {name: one for name, one in found.items() if one is not None}
