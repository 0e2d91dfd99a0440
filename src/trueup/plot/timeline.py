# SPDX-License-Identifier: Apache-2.0
"""The life of a loop on one strip: what was decided at each look, and who was champion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from trueup.plot._scale import to_number, write_x
from trueup.plot._text import clean, fit, tag, text_width, wrap
from trueup.plot.chart import SMALL, Chart, Table, heading, rect, rule, text

COLOURS = {
    "rest": "muted", "trained": "teal", "promoted": "ok", "refused": "warn", "rolled back": "bad",
    "approved": "ok", "rejected": "bad", "held": "warn", "paused": "warn", "invalid": "bad", "waiting": "violet",
}  # fmt: skip
LINE, BAND = 15.0, 22.0


@dataclass(frozen=True, slots=True)
class Look:
    """A look: its moment, what was decided (one word, or several in order), and why, for the table.

    Known words have their colour (rest, trained, promoted, refused, rolled back, approved,
    rejected, held, paused, waiting, invalid); others are drawn in ink. `name` is drawn above,
    else the month or the day.
    """

    at: date | datetime
    decided: str | Sequence[str]
    why: str = ""
    name: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        return (self.decided,) if isinstance(self.decided, str) else tuple(self.decided)


@dataclass(frozen=True, slots=True)
class Band:
    """A champion: from when until when (None: until now)."""

    name: str
    start: date | datetime
    stop: date | datetime | None = None


def timeline(
    items: Sequence[Look], bands: Sequence[Band] = (), *, title: str, desc: str = "", width: int = 960
) -> Chart:
    """A strip of looks with what was decided in each, and the champions as bands below.

    Looks are equally wide and wrap into as many rows as they need. Each look carries `data-at`
    (ISO) and `data-decided`, each band `data-champion`, `data-start` and `data-stop`.
    """
    looks = sorted(items, key=lambda look: to_number(look.at))
    head, top = heading(title, width)
    body, y = [head], top + 4
    names = _names(looks)
    most = max(1, int((width - 24) // _least(looks, names)))
    per_row = math.ceil(len(looks) / math.ceil(len(looks) / most)) if looks else 1
    cell = (width - 24) / per_row
    edges = _edges(looks)
    for start in range(0, len(looks), per_row):
        row = looks[start : start + per_row]
        marks, tall = _row(row, names[start : start + per_row], cell, y)
        body += marks
        y += tall + 6
        stop = start + len(row)
        body += _bands(bands, edges, first=start, stop=stop, cell=cell, y=y, last=stop == len(looks))
        y += (BAND + 14) if bands else 8
    if not looks:
        body.append(text(12, y + 12, "no looks yet", "f-muted"))
        y += 24
    said = desc or "; ".join(f"{name}: {', '.join(look.words)}" for look, name in zip(looks, names, strict=True))
    rows = [[name, ", ".join(look.words), look.why] for look, name in zip(looks, names, strict=True)]
    table = Table.of(["look", "decided", "why"], rows)
    return Chart(title, said or "No looks yet.", width, int(y + 4), "".join(body), table)


def _least(looks: Sequence[Look], names: Sequence[str]) -> float:
    """The width of a cell in which the longest word fits."""
    words = [piece for look in looks for word in look.words for piece in word.split()]
    sizes = [text_width(clean(word), SMALL) + 14 for word in words]
    sizes += [text_width(clean(name), SMALL) + 6 for name in names]
    return min(max([62.0, *sizes]), 110.0)


def _edges(looks: Sequence[Look]) -> list[float]:
    at = [to_number(look.at) for look in looks]
    if not at:
        return []
    last = at[-1] - at[-2] if len(at) > 1 else 1.0
    return [*at, at[-1] + max(last, 1.0)]


def _names(looks: Sequence[Look]) -> list[str]:
    at = [to_number(look.at) for look in looks]
    span = at[-1] - at[0] if at else 0.0
    by_day = write_x(True, span)
    monthly = len({by_day(x)[:7] for x in at}) == len(at)
    return [look.name or (by_day(x)[:7] if monthly else by_day(x)) for look, x in zip(looks, at, strict=True)]


def _row(row: Sequence[Look], names: Sequence[str], cell: float, y: float) -> tuple[list[str], float]:
    room = cell - 14
    wrapped = [[wrap(word, SMALL, room, 2) for word in look.words] for look in row]
    tallest = max((sum(len(w) * LINE + 5 for w in words) for words in wrapped), default=0.0)
    marks = []
    for i, (look, name, words) in enumerate(zip(row, names, wrapped, strict=True)):
        x, top = 12 + cell * i, y + 20
        inner = [text(x + 2, y + 12, fit(name, SMALL, cell - 4), "f-muted", font_size=SMALL)]
        for word, said in zip(look.words, words, strict=True):
            tall = len(said) * LINE + 3
            colour = COLOURS.get(word, "ink")
            inner.append(rect(x, top, cell - 3, tall, colour, fill_opacity=0.13, rx=2))
            inner.append(rect(x, top, 4, tall, colour, rx=1))
            look_of = "f-muted" if word == "rest" else "f-ink"
            inner += [
                text(x + 8, top + 12 + LINE * k, line, look_of, font_size=SMALL) for k, line in enumerate(said)
            ]
            top += tall + 2
        attrs = {"data-at": look.at.isoformat(), "data-decided": "|".join(look.words), "data-why": look.why or None}
        marks.append(tag("g", attrs, *inner))
    return marks, 20 + tallest


def _place(moment: float, edges: Sequence[float]) -> float:
    """Where a moment stands in units of looks, from 0 to their number."""
    if moment <= edges[0]:
        return 0.0
    for i in range(len(edges) - 1):
        if moment < edges[i + 1]:
            return i + (moment - edges[i]) / max(edges[i + 1] - edges[i], 1e-9)
    return float(len(edges) - 1)


def _bands(
    bands: Sequence[Band], edges: Sequence[float], *, first: int, stop: int, cell: float, y: float, last: bool
) -> list[str]:
    marks: list[str] = []
    if len(edges) < 2:
        return marks
    ordered = sorted(bands, key=lambda band: to_number(band.start))
    for i, band in enumerate(ordered):
        a = max(_place(to_number(band.start), edges), float(first))
        b = min(_place(to_number(band.stop), edges) if band.stop is not None else float(len(edges) - 1), float(stop))
        if b <= a and not (last and i == len(ordered) - 1 and a >= stop):
            continue
        x, size = 12 + cell * (a - first), max(cell * (b - a) - 3, 3.0)
        attrs = {
            "data-champion": band.name, "data-start": band.start.isoformat(),
            "data-stop": band.stop.isoformat() if band.stop is not None else None,
        }  # fmt: skip
        words = fit(band.name, SMALL, size - 12)
        inner = [rect(x, y, size, BAND, "champion", fill_opacity=0.14, rx=2, title=band.name),
                 rule(x, y, x, y + BAND, "champion", stroke_width=2)]  # fmt: skip
        if size > 16 + text_width("M…", SMALL):
            inner.append(text(x + 8, y + 15, words, "f-champion", font_size=SMALL))
        marks.append(tag("g", attrs, *inner))
    return marks


