# SPDX-License-Identifier: Apache-2.0
"""Numbers in the spellings that files have: thousands separators, currency signs, decimal commas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from trueup.core import scalars
from trueup.core.errors import DataError

DECIMAL_COMMA, DECIMAL_POINT = "decimal-comma", "decimal-point"
_SIGN = r"(?:[$€£¥₹₽₩]|[A-Z]{3}\b|R\$|kr|zł|%)"
_DRESS = re.compile(rf"(?P<before>{_SIGN})?\s*(?P<minus>[-+])?\s*(?P<again>{_SIGN})?\s*(?P<body>[\d.,' \u00a0\u202f’]*\d[eE\d+-]*)\s*(?P<after>{_SIGN})?")
_SPACES = r"' \u00a0\u202f’"
_POINT = re.compile(rf"(?:[1-9]\d{{0,2}}(?:[,{_SPACES}]\d{{2,3}})*[,{_SPACES}]\d{{3}}|\d+)?(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(rf"(?:[1-9]\d{{0,2}}(?:[.{_SPACES}]\d{{2,3}})*[.{_SPACES}]\d{{3}}|\d+)?(?:,\d+)?", re.ASCII)
_CODE = re.compile(r"[+-]?0\d+", re.ASCII)


def parse_number(name: str, given: Any, spelling: str = "") -> float | int:
    """The number that a value is or spells: whole ones stay whole. Raises DataError with the column's name.

    `spelling` is "" (plain, as in JSON), "decimal-comma" (1.234,50) or "decimal-point" (1,234.50); the last
    two take a currency sign or a percent sign, which is left out.
    """
    if isinstance(given, str):
        text = given.strip()
        if not spelling and text.isascii() and text.isdigit() and len(text) <= 15 and (text[0] != "0" or len(text) == 1):
            return int(text)
        if scalars.PLAIN.fullmatch(text) and spelling != DECIMAL_COMMA:
            if not spelling and _CODE.fullmatch(text):
                raise DataError(
                    f"{name} is {given!r:.40}, a code with a leading zero in a column of numbers",
                    cure=f"--map text={name} keeps the column as it is written",
                )
            body = text
        else:
            body = _body(text, spelling)
        found = scalars.number(body) if body else None
        if found is not None and "." not in body and "e" not in body.lower() and len(body) <= 15:
            return int(body)
    else:
        found = scalars.number(given)
        if found is not None and isinstance(given, int) and not isinstance(given, bool) and abs(given) < 1e15:
            return given
    if found is None:
        raise DataError(f"{name} is {given!r:.40}, not a number")
    return found


def spellings(text: str) -> frozenset[str]:
    """Which spellings read a text as a number: "" for plain ones, which all of them read but for a
    decimal comma's that would read them as another."""
    text = text.strip()
    if scalars.PLAIN.fullmatch(text):
        if _CODE.fullmatch(text):
            return frozenset()
        if "." in text and text[-4:-3] != ".":
            return _POINTS
        return _ANY if "e" not in text.lower() and _COMMA.fullmatch(text.lstrip("+-")) else _POINTS
    return frozenset(one for one in (DECIMAL_POINT, DECIMAL_COMMA) if _body(text, one))


_POINTS = frozenset({"", DECIMAL_POINT})
_ANY = frozenset({"", DECIMAL_POINT, DECIMAL_COMMA})


def sign_of(text: str) -> str:
    """The currency or percent sign of a number; an empty text where it has none."""
    found = _DRESS.fullmatch(text.strip("() \u00a0"))
    return "" if found is None else found["before"] or found["again"] or found["after"] or ""


def is_code(values: Sequence[str]) -> bool:
    """Whether one of these texts is digits with a leading zero: such a column holds codes."""
    return any(_CODE.fullmatch(one.strip()) for one in values)


def _body(text: str, spelling: str) -> str:
    """Digits, point and sign of a dressed number; an empty text where it is none of this spelling."""
    text = text.replace("\u2212", "-")
    negative = text.startswith("(") and text.endswith(")")
    found = _DRESS.fullmatch(text[1:-1] if negative else text)
    pattern = _COMMA if spelling == DECIMAL_COMMA else _POINT if spelling else scalars.PLAIN
    if found is None or not pattern.fullmatch(found["body"]):
        return ""
    body = re.sub(f"[{_SPACES}]", "", found["body"])
    body = body.replace(".", "").replace(",", ".") if spelling == DECIMAL_COMMA else body.replace(",", "")
    return f"-{body}" if negative or found["minus"] == "-" else body
