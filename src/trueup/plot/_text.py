# SPDX-License-Identifier: Apache-2.0
"""Text that may be hostile, made safe for SVG, HTML and Markdown; and how wide it will be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

# Not allowed in XML 1.0, or turning the direction of the text around it.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")
_AT_START = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[=#>])|(?=[-+](?!\d)))(.)")
_NARROW = frozenset("ijlftrI.,:;'`|!()[]{} -/\\")
_WIDE = frozenset("mwMW@%&—…")
ELLIPSIS = "…"


def clean(text: object) -> str:
    """The text without characters that break XML or reverse the text beside them."""
    return _UNSAFE.sub("\ufffd", str(text))


def escape(text: object) -> str:
    """The text for SVG and HTML, in elements and in quoted attributes."""
    safe = clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe.replace('"', "&quot;").replace("'", "&#39;")


def escape_markdown(text: object) -> str:
    """The text for Markdown, on one line: no markup, no HTML, no table bars, no automatic links."""
    line = " ".join(clean(text).split())
    line = _MARKDOWN.sub(r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;"))
    line = _AT_START.sub(r"\1\\\2", line)
    line = re.sub(r"(?i)\b(www)\.", r"\1&#46;", line)
    return line.replace("://", "&#58;//").replace("@", "&#64;")


def fence(text: object) -> str:
    """A Markdown code block whose fence no line of the text can close."""
    body = clean(text)
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    bar = "`" * max(3, longest + 1)
    return f"{bar}text\n{body}\n{bar}"


def text_width(text: str, size: float) -> float:
    """About how many pixels the text takes in a system font of `size` pixels; rather too many."""
    return size * sum(_advance(char) for char in text)


def _advance(char: str) -> float:
    if char in _NARROW:
        return 0.40
    if char in _WIDE:
        return 0.97
    if char.isascii():
        return 0.74 if char.isupper() else 0.63
    if unicodedata.combining(char):
        return 0.0
    return 1.05 if unicodedata.east_asian_width(char) in "WF" else 0.70


def fit(text: object, size: float, width: float) -> str:
    """The text on one line, cut with an ellipsis where it would be wider than `width` pixels."""
    line = " ".join(clean(text).split())
    if text_width(line, size) <= width:
        return line
    used, kept = text_width(ELLIPSIS, size), 0
    for char in line:
        used += size * _advance(char)
        if used > width:
            break
        kept += 1
    return line[:kept].rstrip() + ELLIPSIS


def wrap(text: object, size: float, width: float, most: int = 2) -> list[str]:
    """The text in at most `most` lines of `width` pixels; the last one is cut where it must be."""
    words = clean(text).split()
    lines: list[str] = []
    while words and len(lines) < most - 1:
        taken = 1
        while taken < len(words) and text_width(" ".join(words[: taken + 1]), size) <= width:
            taken += 1
        lines.append(fit(" ".join(words[:taken]), size, width))
        words = words[taken:]
    if words:
        lines.append(fit(" ".join(words), size, width))
    return lines or [""]


def tag(name: str, attrs: Mapping[str, object] | None = None, *children: str) -> str:
    """An element: attribute values are escaped, children are markup (escape text before)."""
    head = "".join(
        f' {key}="{escape(_plain(item))}"' for key, item in (attrs or {}).items() if item is not None
    )
    return f"<{name}{head}>{''.join(children)}</{name}>" if children else f"<{name}{head}/>"


def _plain(item: object) -> object:
    return f"{item:.2f}".rstrip("0").rstrip(".") if isinstance(item, float) else item
