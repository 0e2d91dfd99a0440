# SPDX-License-Identifier: Apache-2.0
"""Horizontal bars from zero with whiskers, side by side within groups: champion and challenger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trueup.core.errors import ArgumentError
from trueup.plot._scale import Scale, number_ticks, step_for, write
from trueup.plot._text import fit, tag, text_width
from trueup.plot.chart import SMALL, Chart, Table, column, exact, finite, heading, rect, rule, text
from trueup.plot.lines import Bound
from trueup.plot.palette import FIXED, PALETTE, SERIES

ROW, SPACE = 18.0, 10.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its interval, in a group (a slice) and of a series (champion, challenger).

    A value of None is drawn as a gap with `note` (why it was not measured) beside it.
    """

    group: str
    value: float | None
    interval: tuple[float, float] | None = None
    series: str = ""
    note: str = ""
    colour: str | None = None


def bars(
    items: Sequence[Bar], *, title: str, desc: str = "", x_label: str = "", unit: str = "",
    bounds: Sequence[Bound] = (), width: int = 760,
) -> Chart:
    """A bar chart from zero; bars of one group stand together. The height follows from the items.

    `unit` "%" takes shares. Each bar carries `data-group`, `data-series`, `data-value`, `data-low`
    and `data-high`; what it says stands at its right as text.
    """
    groups = list(dict.fromkeys(item.group for item in items))
    names = [name for name in dict.fromkeys(item.series for item in items) if name]
    colours = _colours(names)
    low, high = _extent(items, bounds)
    head, top = heading(title, width)
    legend, top = _legend(names, colours, bounds, top, width)

    labels, label_width = column(groups, 210)
    said = [_words(item, unit) for item in items]
    said, said_width = column(said, 240, SMALL)
    left, right = 20 + label_width, width - 20 - said_width
    if right - left < 80:
        raise ArgumentError(f"expected a chart wide enough for its labels, got {width} pixels")
    scale = Scale(low, high, left, right)

    body, marks, y = [head, *legend], [], top + 6
    for group, label in zip(groups, labels, strict=True):
        members = [(item, words) for item, words in zip(items, said, strict=True) if item.group == group]
        middle = y + ROW * len(members) / 2
        marks.append(tag("g", {"data-group": group}, text(left - 8, middle + 4, label, "f-ink e")))
        for item, words in members:
            marks.append(_bar(item, words, colours=colours, scale=scale, y=y, right=right))
            y += ROW
        y += SPACE
    foot = y
    height = int(foot + (42 if x_label else 26))
    for number, words in number_ticks(low, high, unit, max(2, int((right - left) / 56))):
        x = scale(number)
        body.append(rule(x, top, x, foot, "muted" if number == 0 else "line"))
        body.append(text(x, foot + 16, words, "f-muted m", font_size=SMALL))
    for bound in bounds:
        x = scale(bound.value)
        marks.append(rule(x, top, x, foot, bound.colour, stroke_width=1.5, stroke_dasharray="5 4",
                          data_bound=exact(bound.value), data_name=bound.name))  # fmt: skip
    if x_label:
        body.append(text((left + right) / 2, height - 8, fit(x_label, SMALL, width - 24), "f-muted m"))
    about = desc or "; ".join(
        f"{item.group} {item.series}".strip() + f": {words}" for item, words in zip(items, said, strict=True)
    )
    return Chart(title, about or "Nothing measured.", width, height, "".join(body + marks), _table(items, names))


def _colours(names: Sequence[str]) -> dict[str, str]:
    free = iter(SERIES * (1 + len(names) // len(SERIES)))
    return {name: name if name in FIXED else next(free) for name in names}


def _extent(items: Sequence[Bar], bounds: Sequence[Bound]) -> tuple[float, float]:
    values = [0.0, *(bound.value for bound in bounds)]
    for item in items:
        if item.colour is not None and item.colour not in PALETTE:
            raise ArgumentError(f"expected a colour of {', '.join(PALETTE)}, got {item.colour!r}")
        values += [v for v in map(finite, (item.value, *(item.interval or ()))) if v is not None]
    low, high = min(values), max(values)
    if low == high:
        high = low + 1.0
    step = step_for(low, high, 5)
    return (low if low == 0 else low - 0.25 * step), high + (0.0 if high == 0 else 0.1 * step)


def _legend(
    names: Sequence[str], colours: dict[str, str], bounds: Sequence[Bound], top: float, width: float
) -> tuple[list[str], float]:
    body, x, y = [], 12.0, top + 12
    entries = [(name, colours[name], False) for name in names] + [(b.name, b.colour, True) for b in bounds]
    for name, colour, dashed in entries:
        words = fit(name, 13, 300)
        size = 24 + text_width(words, 13)
        if x + size > width - 12 and x > 12:
            x, y = 12.0, y + 18
        if dashed:
            body.append(rule(x, y - 4, x + 14, y - 4, colour, stroke_width=1.5, stroke_dasharray="5 4"))
        else:
            body.append(rect(x + 1, y - 10, 11, 11, colour, rx=2))
        body.append(text(x + 18, y, words, "f-ink"))
        x += size + 14
    return body, (y + 8 if entries else top)


def _words(item: Bar, unit: str) -> str:
    value = finite(item.value)
    if value is None:
        return item.note or "not measured"
    words = write(value, unit)
    if item.interval is not None:
        words += f" [{write(item.interval[0], unit)}, {write(item.interval[1], unit)}]"
    return f"{words} {item.note}".rstrip()


def _bar(
    item: Bar, words: str, *, colours: dict[str, str], scale: Scale, y: float, right: float
) -> str:
    colour = item.colour or colours.get(item.series, "teal")
    low, high = item.interval or (None, None)
    value = finite(item.value)
    attrs = {
        "data-group": item.group, "data-series": item.series or None, "data-value": exact(value),
        "data-low": exact(finite(low)), "data-high": exact(finite(high)), "data-note": item.note or None,
    }  # fmt: skip
    marks, middle = [], y + ROW / 2
    if value is not None:
        zero, end = scale(0.0), scale(value)
        marks.append(rect(min(zero, end), y + 3, abs(end - zero), ROW - 6, colour, rx=1, fill_opacity=0.85))
        if low is not None and high is not None:
            a, b = scale(low), scale(high)
            marks.append(rule(a, middle, b, middle, "ink", stroke_width=1.3))
            marks += [rule(x, middle - 4, x, middle + 4, "ink", stroke_width=1.3) for x in (a, b)]
    state = "f-ink" if value is not None else "f-muted"
    marks.append(text(right + 10, middle + 4, words, state, font_size=SMALL))
    return tag("g", attrs, *marks)


def _table(items: Sequence[Bar], names: Sequence[str]) -> Table:
    rows = [
        [item.group, *([item.series] if names else []), finite(item.value), *(item.interval or (None, None)), item.note or None]
        for item in items
    ]
    return Table.of(["group", *(["series"] if names else []), "value", "low", "high", "note"], rows)
