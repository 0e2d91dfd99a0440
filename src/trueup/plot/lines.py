# SPDX-License-Identifier: Apache-2.0
"""Lines over time or over a number: at most six, named at their ends, with intervals and decisions."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from trueup.core.errors import ArgumentError
from trueup.plot._scale import (
    Scale,
    Tick,
    X,
    log_ticks,
    number_ticks,
    step_for,
    to_number,
    write,
    write_x,
    x_axis,
)
from trueup.plot._text import clean, fit, tag, text_width
from trueup.plot.chart import SMALL, Chart, Table, column, exact, finite, heading, rule, text
from trueup.plot.palette import DASHES, FIXED, PALETTE, SERIES

MOST, DRAWN, MARKED = 6, 600, 60
LANE, GAP = 16.0, 16.0


@dataclass(frozen=True, slots=True)
class Series:
    """A named line: points (x, y), x a moment or a number; a y of None (or NaN) is a gap.

    `band` holds an interval (low, high) for each point, or None where there is none. `colour` is a
    name of the palette; without one, "champion" and "challenger" have theirs and others the next.
    """

    name: str
    points: Sequence[tuple[X, float | None]]
    band: Sequence[tuple[float, float] | None] | None = None
    colour: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A vertical rule: a decision, with its name. `colour`: ok, warn, bad, or another of the palette."""

    x: X
    name: str
    colour: str = "muted"


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound in units of the values, drawn across the chart with its name."""

    value: float
    name: str
    colour: str = "bad"


Point: TypeAlias = tuple[float, float | None, float | None, float | None]  # x, y, low, high


def lines(
    series: Sequence[Series], *, title: str, desc: str = "", x_label: str = "", y_label: str = "",
    unit: str = "", bounds: Sequence[Bound] = (), rules: Sequence[Rule] = (), zero: bool | None = None,
    width: int = 760, height: int = 320,
) -> Chart:
    """A line chart: direct labels, gaps where nothing was measured, rules where it was decided.

    `unit` stands in the tick labels; "%" takes shares and writes 0.25 as 25%. The axis holds zero,
    unless there is a bound or `zero=False`; where it does not begin at zero it says so. At most 6
    series; more is an ArgumentError (draw small multiples). The numbers are in `data-points`
    (of more than 600 the extremes of each stretch).
    """
    return _draw(
        series, title=title, desc=desc, x_label=x_label, y_label=y_label, unit=unit, bounds=bounds,
        rules=rules, zero=zero, width=width, height=height, log=False,
    )  # fmt: skip


def wealth(
    series: Sequence[Series], *, line: float, title: str, desc: str = "", x_label: str = "units scored",
    line_name: str = "", rules: Sequence[Rule] = (), width: int = 760, height: int = 300,
) -> Chart:
    """Evidence against its line on a logarithmic axis: crossing `line` (1/level) is rejecting.

    Wealth below a thousandth is drawn at a thousandth; the numbers are kept as they are.
    """
    if not (math.isfinite(line) and line > 0):
        raise ArgumentError(f"expected a line above 0, got {line!r}; give 1/level")
    bound = Bound(line, line_name or f"decides at {write(line)}", "ok")
    return _draw(
        series, title=title, desc=desc, x_label=x_label, y_label="evidence", unit="", bounds=(bound,),
        rules=rules, zero=True, width=width, height=height, log=True,
    )  # fmt: skip


def _draw(
    series: Sequence[Series], *, title: str, desc: str, x_label: str, y_label: str, unit: str,
    bounds: Sequence[Bound], rules: Sequence[Rule], zero: bool | None, width: int, height: int, log: bool,
) -> Chart:
    if len(series) > MOST:
        raise ArgumentError(f"expected at most {MOST} series, got {len(series)}; draw small multiples")
    rows = [_points(one) for one in series]
    timed = any(not isinstance(x, int | float) for one in series for x, _ in one.points)
    xs = [p[0] for row in rows for p in row] + [to_number(r.x) for r in rules]
    low_x, high_x = (min(xs), max(xs)) if xs else (0.0, 1.0)
    if zero is None:
        zero = not bounds
    low, high, ticks = _extent(rows, bounds, unit, zero, log)

    head, top = heading(title, width)
    note = y_label if zero or log or low <= 0 <= high else f"{y_label} (from {ticks[0][1]}, not from 0)".strip()
    body = [head]
    if note:
        body.append(text(12, top + 12, fit(note, SMALL, width - 24), "f-muted"))
        top += 20
    ends = [f"{clean(one.name)}" for one in series] + [bound.name for bound in bounds]
    _, label_width = column(ends, 190)
    _, tick_width = column([words for _, words in ticks], 120, SMALL)
    left, right = 20 + tick_width, width - 16 - label_width
    x_scale = Scale(low_x, high_x, left + 6, right - 6)
    below = 46 if x_label else 28
    height = max(height, math.ceil(top + 86 + _lanes_height(rules, x_scale, right) + below))
    foot = height - below
    drawn_rules, top = _rules(rules, x_scale, right, top + 6, foot)
    y_scale = Scale(low, high, foot, top + 6, log)

    body += _axes(ticks, y_scale, x_axis(timed, low_x, high_x, "", max(2, int((right - left) / 95))), x_scale, foot)
    if x_label:
        body.append(text((left + right) / 2, height - 10, fit(x_label, SMALL, right - left), "f-muted m"))
    body += drawn_rules
    labels: list[tuple[float, str, str]] = []
    for bound in bounds:
        y = y_scale(bound.value)
        body.append(rule(left, y, right, y, bound.colour, stroke_width=1.5, stroke_dasharray="5 4",
                         data_bound=exact(bound.value), data_name=bound.name))  # fmt: skip
        labels.append((y, bound.name, bound.colour))
    colours = _colours(series)
    plain = [one for one in series if one.name not in FIXED]
    for place, (one, row) in enumerate(zip(series, rows, strict=True)):
        dash = DASHES[plain.index(one)] if one in plain else None
        body.append(_series(one.name, row, colours[place], dash, scales=(x_scale, y_scale)))
        last = next((p[1] for p in reversed(row) if p[1] is not None), None)
        if last is not None:
            labels.append((y_scale(last), one.name, colours[place]))
    body += _end_labels(labels, right + 8, top, foot, width - right - 12)
    said = desc or _say(series, rows, unit)
    return Chart(title, said, width, height, "".join(body), _table(series, rows, x_label, timed))


def _points(one: Series) -> list[Point]:
    band = one.band if one.band is not None else [None] * len(one.points)
    if len(band) != len(one.points):
        raise ArgumentError(
            f"expected an interval for each of {len(one.points)} points of {one.name!r}, got {len(band)}"
        )
    rows = []
    for (x, y), pair in zip(one.points, band, strict=True):
        low, high = pair if pair is not None else (None, None)
        rows.append((to_number(x), finite(y), finite(low), finite(high)))
    if any(not math.isfinite(row[0]) for row in rows):
        raise ArgumentError(f"expected finite x values in {one.name!r}, got one that is not")
    return sorted(rows, key=lambda row: row[0])


def _extent(
    rows: Sequence[Sequence[Point]], bounds: Sequence[Bound], unit: str, zero: bool, log: bool
) -> tuple[float, float, list[Tick]]:
    values = [v for row in rows for point in row for v in point[1:] if v is not None]
    values += [bound.value for bound in bounds]
    if log:
        low = max(1e-3, min([v for v in values if v > 0] + [0.5]))
        high = max([*values, 2.0]) * 1.5
        low, high = 10.0 ** math.floor(math.log10(low) + 1e-9), min(high, 1e12)
        return low, high, log_ticks(low, high)
    values = (values or [0.0, 1.0]) + ([0.0] if zero else [])
    low, high = min(values), max(values)
    if low == high:
        low, high = low - (abs(low) or 1.0) * 0.1, high + (abs(high) or 1.0) * 0.1
    step = step_for(low, high, 5)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return low, high, number_ticks(low, high, unit)


def _colours(series: Sequence[Series]) -> list[str]:
    colours, free = [], 0
    for one in series:
        if one.colour is not None and one.colour not in PALETTE:
            raise ArgumentError(f"expected a colour of {', '.join(PALETTE)}, got {one.colour!r}")
        if one.colour is not None or one.name in FIXED:
            colours.append(one.colour or one.name)
        else:
            colours.append(SERIES[free % len(SERIES)])
            free += 1
    return colours


def _axes(ticks: list[Tick], y_scale: Scale, x_ticks: list[Tick], x_scale: Scale, foot: float) -> list[str]:
    left, right = x_scale.start - 6, x_scale.stop + 6
    body = []
    for number, words in ticks:
        y = y_scale(number)
        body.append(rule(left, y, right, y, "muted" if number == 0 else "line"))
        body.append(text(left - 6, y + 4, words, "f-muted e", font_size=SMALL))
    free = 0.0
    for number, words in x_ticks:
        x, half = x_scale(number), text_width(words, SMALL) / 2
        body.append(rule(x, foot, x, foot + 4, "muted"))
        if x - half > free and x + half < right + 60:
            body.append(text(x, foot + 18, words, "f-muted m", font_size=SMALL))
            free = x + half + 10
    if ticks[0][0] != 0:
        body.append(rule(left, foot, right, foot, "muted"))
    return body


def _lanes(rules: Sequence[Rule], x_scale: Scale, right: float) -> list[tuple[float, float, int, str, Rule]]:
    """Each rule with its x, the start of its label, a lane in which the label is free, and its words."""
    ends: list[float] = []
    placed = []
    for one in sorted(rules, key=lambda r: to_number(r.x)):
        words = fit(one.name, SMALL, 170)
        size = text_width(words, SMALL)
        x = x_scale(to_number(one.x))
        start = max(4.0, min(x - 3, right - size))
        lane = next((i for i, end in enumerate(ends) if start > end + 8), len(ends))
        ends[lane:] = [start + size, *ends[lane + 1 :]]
        placed.append((x, start, lane, words, one))
    return placed


def _lanes_height(rules: Sequence[Rule], x_scale: Scale, right: float) -> float:
    return LANE * max((lane + 1 for _, _, lane, _, _ in _lanes(rules, x_scale, right)), default=0)


def _rules(
    rules: Sequence[Rule], x_scale: Scale, right: float, top: float, foot: float
) -> tuple[list[str], float]:
    """The rules drawn, and where the plot begins below their names."""
    body, names = [], []
    for x, start, lane, words, one in _lanes(rules, x_scale, right):
        y = top + LANE * lane
        attrs = {"data-rule": one.name, "data-x": exact(to_number(one.x))}
        body.append(tag("g", attrs, rule(x, y + LANE - 2, x, foot, one.colour, stroke_width=1.2)))
        names.append(text(start, y + 11, words, f"h f-{one.colour}", font_size=SMALL))
    return body + names, top + _lanes_height(rules, x_scale, right)


def _series(name: str, row: list[Point], colour: str, dash: str | None, *, scales: tuple[Scale, Scale]) -> str:
    x, y = scales
    kept = _thin(row)
    marks = []
    for run in _runs([p for p in kept if p[2] is not None and p[3] is not None] and kept, band=True):
        upper = [f"{x(p[0]):.2f},{y(p[3] or 0.0):.2f}" for p in run]
        lower = [f"{x(p[0]):.2f},{y(p[2] or 0.0):.2f}" for p in reversed(run)]
        marks.append(tag("path", {"class": f"f-{colour}", "fill-opacity": 0.14, "d": "M" + "L".join(upper + lower) + "Z"}))
    for run in _runs(kept, band=False):
        path = "M" + "L".join(f"{x(p[0]):.2f},{y(p[1] or 0.0):.2f}" for p in run)
        marks.append(tag("path", {"class": f"n s-{colour}", "stroke-width": 2, "stroke-linejoin": "round",
                                  "stroke-dasharray": dash, "d": path}))  # fmt: skip
        if len(run) == 1 or len(row) <= MARKED:
            marks += [tag("circle", {"cx": x(p[0]), "cy": y(p[1] or 0.0), "r": 2.6, "class": f"f-{colour}"}) for p in run]
    data = json.dumps([list(p) for p in kept])
    return tag("g", {"data-series": name, "data-points": data}, *(marks or [""]))


def _runs(row: list[Point], *, band: bool) -> list[list[Point]]:
    """Stretches without a gap."""
    runs: list[list[Point]] = [[]]
    for point in row:
        if point[1] is None or (band and (point[2] is None or point[3] is None)):
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if len(run) > int(band)]


def _thin(row: list[Point]) -> list[Point]:
    """At most about `DRAWN` points: of each stretch the first, the lowest, the highest and the last."""
    if len(row) <= DRAWN:
        return row
    size = math.ceil(len(row) * 4 / DRAWN)
    kept = []
    for start in range(0, len(row), size):
        part = list(enumerate(row[start : start + size]))
        real = [(i, p[1]) for i, p in part if p[1] is not None]
        chosen = {0, len(part) - 1}
        if real:
            chosen |= {min(real, key=lambda c: c[1])[0], max(real, key=lambda c: c[1])[0]}
        chosen |= {i for i, p in part if p[1] is None}
        kept += [part[i][1] for i in sorted(chosen)]
    return kept


def _end_labels(labels: list[tuple[float, str, str]], x: float, top: float, foot: float, room: float) -> list[str]:
    """Names beside the ends of their lines, pushed apart where they would touch."""
    placed: list[list[float]] = []
    order = sorted(range(len(labels)), key=lambda i: labels[i][0])
    for i in order:
        y = max(labels[i][0], top + 6)
        if placed and y < placed[-1][0] + GAP:
            y = placed[-1][0] + GAP
        placed.append([y, i])
    limit = foot
    for spot in reversed(placed):
        spot[0] = min(spot[0], limit)
        limit = spot[0] - GAP
    return [
        text(x, y + 4, fit(labels[int(i)][1], 13, room), f"f-{labels[int(i)][2]}") for y, i in placed
    ]


def _table(series: Sequence[Series], rows: list[list[Point]], x_label: str, timed: bool) -> Table:
    xs = sorted({p[0] for row in rows for p in row})
    span = xs[-1] - xs[0] if xs else 0.0
    as_text = write_x(timed, span)
    header, columns = [x_label or ("when" if timed else "x")], []
    for one, row in zip(series, rows, strict=True):
        found = {p[0]: p for p in _thin(row)}
        header.append(one.name)
        columns.append([found[x][1] if x in found else None for x in xs])
        if one.band is not None:
            header += [f"{one.name}: low", f"{one.name}: high"]
            columns += [[found[x][i] if x in found else None for x in xs] for i in (2, 3)]
    kept = [i for i in range(len(xs)) if any(c[i] is not None for c in columns)]
    return Table.of(header, [[as_text(xs[i]), *(c[i] for c in columns)] for i in kept])


def _say(series: Sequence[Series], rows: list[list[Point]], unit: str) -> str:
    parts = []
    for one, row in zip(series, rows, strict=True):
        known = [p[1] for p in row if p[1] is not None]
        if known:
            parts.append(
                f"{clean(one.name)}: {len(known)} points, from {write(known[0], unit)} to {write(known[-1], unit)}, "
                f"lowest {write(min(known), unit)}, highest {write(max(known), unit)}"
            )
        else:
            parts.append(f"{clean(one.name)}: nothing measured")
    return ". ".join(parts) or "Nothing measured."


