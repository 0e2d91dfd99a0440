# SPDX-License-Identifier: Apache-2.0
"""JSON with one spelling: what is equal has equal bytes, and so an equal digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from trueup.core.errors import DataError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
JsonDict: TypeAlias = "Mapping[str, Json]"


def dumps(data: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, no NaN, text as it is."""
    try:
        return _ENCODER.encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"expected a value that JSON can hold, got {_shown(data)}: {error}") from error


def loads(text: str | bytes) -> Any:
    """Parse JSON; NaN and infinities are refused."""
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        return _DECODER.decode(text)
    except ValueError as error:
        raise DataError(f"expected JSON, got {text[:80]!r}: {error}") from error


def loads_all(texts: Sequence[str | None]) -> list[Any]:
    """`loads` of each text, None for None: thousands at once as one list, which is several times faster.

    >>> loads_all(['{"a":1}', None, '"b"'])
    [{'a': 1}, None, 'b']
    """
    found: list[Any] = []
    for at in range(0, len(texts), AT_ONCE):
        part = texts[at : at + AT_ONCE]
        try:
            parsed = _DECODER.decode(f"[{','.join(['null' if text is None else text for text in part])}]")
        except ValueError:
            parsed = []
        if len(parsed) != len(part):  # one of them is no JSON, or more than one value: say which
            parsed = [None if text is None else loads(text) for text in part]
        found += parsed
    return found


def _shown(data: Any) -> str:
    """The beginning of a value, where Python can write it: not one with a number of 5,000 digits."""
    try:
        return f"{data!r:.200}"
    except (ValueError, RecursionError):
        return type(data).__name__


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


AT_ONCE = 4_096
# Made once: json.dumps and json.loads make one a call wherever they are given arguments.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def sha256(data: bytes | str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def digest(data: Any) -> str:
    """SHA-256 of the canonical JSON of plain data."""
    return sha256(dumps(data))
