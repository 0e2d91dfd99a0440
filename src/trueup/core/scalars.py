# SPDX-License-Identifier: Apache-2.0
"""One spelling for a scalar, whatever the file or the program that wrote it.

A CSV file has "10115", a nullable column of a data frame 10115.0, an application 10115: they are one
category, one label, one unit. A code such as "01067" or "1.10" is none of these numbers.
"""

from __future__ import annotations

import math
import re
from typing import Any

MARKERS = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none", "nil", "-", "--", "?", "."})
"""Texts in lower case that mean: not known."""
TRUTH = {
    "true": True, "t": True, "yes": True, "y": True, "1": True, "on": True,
    "false": False, "f": False, "no": False, "n": False, "0": False, "off": False,
}  # fmt: skip
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d{0,14}))\.0+", re.ASCII)


def name(given: Any) -> str | None:
    """The name of a scalar: a text as it is, true and false, a number in its shortest form.

    A text that spells true, false or a whole number with a zero fraction has the name of what it
    spells. None where it is no scalar: null, a list, a mapping, NaN or infinite.

    >>> [name(one) for one in (10115, 10115.0, "10115.0", "01067", True, "True", 0.5)]
    ['10115', '10115', '10115', '01067', 'true', 'true', '0.5']
    """
    if isinstance(given, str):
        if given[-1:] == "0" and (found := _WHOLE.fullmatch(given)):
            return found[1]
        return given.lower() if given[-1:] in "eE" and given.lower() in ("true", "false") else given
    if isinstance(given, bool):
        return "true" if given else "false"
    given = whole(given)
    if isinstance(given, int):
        return _digits(given)
    return repr(given) if isinstance(given, float) and math.isfinite(given) else None


def key(given: Any) -> str | None:
    """The name by which two scalars are compared where nobody reads it: true is 1, false is 0."""
    found = name(given)
    return {"true": "1", "false": "0"}.get(found, found) if found is not None else None


def whole(given: Any) -> Any:
    """A float without a fraction as a whole number; anything else as it is."""
    if isinstance(given, float) and given.is_integer() and abs(given) < 1e15:
        return int(given)
    return given


def number(given: Any) -> float | None:
    """The finite number that a scalar is or plainly spells; None for anything else."""
    if isinstance(given, str):
        given = given.strip()
        if len(given) > 400 or not PLAIN.fullmatch(given):
            return None
    elif not isinstance(given, bool | int | float):
        return None
    try:
        found = float(given)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def truth(given: Any) -> bool | None:
    """Yes or no: booleans, 1 and 0, and the words for them; None for anything else."""
    if isinstance(given, bool):
        return given
    return TRUTH.get((name(given) or "").strip().lower())


def missing(given: Any) -> bool:
    """Whether this is null, or a text that means: not known."""
    return given is None or (isinstance(given, str) and len(given) < 8 and (given in MARKERS or given.strip().lower() in MARKERS))


def _digits(number: int) -> str | None:
    try:
        return str(number)
    except ValueError:  # more digits than Python writes
        return None
