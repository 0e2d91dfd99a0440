# SPDX-License-Identifier: Apache-2.0
"""A chart is an SVG text, what it says in words, and the table of its numbers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from trueup.plot._text import escape, fit, tag, text_width, wrap
from trueup.plot.palette import chart_css

Cell: TypeAlias = str | float | int | None
SMALL, TITLE = 12.0, 14.0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header; numbers stand right, None is an empty cell. `caption` may be empty."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    @classmethod
    def of(cls, header: Iterable[str], rows: Iterable[Iterable[Cell]], caption: str = "") -> Table:
        return cls(tuple(header), tuple(tuple(row) for row in rows), caption)


@dataclass(frozen=True, slots=True)
class Chart:
    """`svg` is a whole file of its own; `inline` goes into a page; `table` holds the same numbers.

    Sizes are pixels. `body` is the markup inside the <svg>, made by the functions of this room.
    """

    title: str
    desc: str
    width: int
    height: int
    body: str
    table: Table

    @property
    def svg(self) -> str:
        """The chart as an SVG file: with its style, readable on light and on dark."""
        return self._draw(f"<style>{chart_css()}</style>", self._name()) + "\n"

    def inline(self, name: str) -> str:
        """The chart for a page that holds `chart_css()`; `name` is unique within the page."""
        return self._draw("", name)

    def _name(self) -> str:
        return "c" + hashlib.sha256((self.title + self.body).encode()).hexdigest()[:8]

    def _draw(self, style: str, name: str) -> str:
        attrs = {
            "xmlns": "http://www.w3.org/2000/svg", "class": "trueup", "role": "img",
            "width": self.width, "height": self.height,
            "viewBox": f"0 0 {self.width} {self.height}",
            "aria-labelledby": f"{name}-t {name}-d",
        }  # fmt: skip
        return tag(
            "svg", attrs,
            tag("title", {"id": f"{name}-t"}, escape(self.title)),
            tag("desc", {"id": f"{name}-d"}, escape(self.desc)),
            style, rect(0, 0, self.width, self.height, "panel"), self.body,
        )  # fmt: skip


# -- marks ----------------------------------------------------------------------------------------


def text(x: float, y: float, words: str, look: str = "f-ink", **more: object) -> str:
    """A line of text; `look` is its classes: f-NAME, b bold, e at its end, m at its middle."""
    return tag("text", {"x": x, "y": y, "class": look, **_hyphens(more)}, escape(words))


def rect(x: float, y: float, width: float, height: float, colour: str, **more: object) -> str:
    attrs = {"x": x, "y": y, "width": max(width, 0.0), "height": max(height, 0.0)}
    title = more.pop("title", None)
    children = (tag("title", None, escape(title)),) if title else ()
    return tag("rect", {**attrs, "class": f"f-{colour}", **_hyphens(more)}, *children)


def rule(x1: float, y1: float, x2: float, y2: float, colour: str = "line", **more: object) -> str:
    attrs = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": f"s-{colour}"}
    return tag("line", {**attrs, **_hyphens(more)})


def heading(title: str, width: float) -> tuple[str, float]:
    """The title in at most two lines, and the height that it takes."""
    lines = wrap(title, TITLE, width - 24)
    drawn = "".join(text(12, 22 + 18 * i, line, "t f-ink") for i, line in enumerate(lines))
    return drawn, 14.0 + 18 * len(lines)


def column(words: Sequence[str], most: float, size: float = 13.0) -> tuple[list[str], float]:
    """Labels cut to `most` pixels, and the width of the widest."""
    cut = [fit(word, size, most) for word in words]
    return cut, max((text_width(word, size) for word in cut), default=0.0)


def exact(number: float | None) -> str | None:
    """A number as data: all its digits; None for a gap."""
    return None if number is None else repr(float(number))


def finite(number: float | None) -> float | None:
    """The number, or None where it is none, NaN or infinite: a gap."""
    return None if number is None or not math.isfinite(number) else float(number)


def _hyphens(attrs: dict[str, object]) -> dict[str, object]:
    return {key.replace("_", "-"): item for key, item in attrs.items()}
