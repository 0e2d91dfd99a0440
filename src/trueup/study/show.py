# SPDX-License-Identifier: Apache-2.0
"""A backtest for people: a table, charts, a page; PNG files where resvg is installed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from trueup.core.clock import from_us
from trueup.core.errors import MissingDependency
from trueup.plot import (
    Bar,
    Bound,
    Chart,
    Code,
    Rule,
    Section,
    Series,
    Table,
    Verdict,
    bars,
    lines,
    png,
    save,
)
from trueup.study.backtest import Backtest

SHOWN = 5


def table(found: Backtest) -> Table:
    """Policies in order of quality: quality, trainings, seconds, money, and the frontier."""
    frontier = found.frontier()
    money = [f"money, {found.currency}"] if found.currency else []
    rows = []
    for life in sorted(found.lives, key=lambda one: -one.quality):
        cost: list[float] = [round(life.money, 4)] if found.currency else []
        rows.append([
            life.policy, round(life.quality, 4), len(life.trainings), round(life.seconds, 1), *cost,
            "yes" if life.policy in frontier else "", "none stated" if life.unrated else "",
        ])  # fmt: skip
    if found.same is not None:
        rows.append(["the same as the last label", round(found.same[1], 4), 0, 0.0, *([0.0] if money else []), "", ""])
    return Table.of(["policy", found.scorer, "trainings", "seconds", *money, "frontier", "alarm rate"], rows)


def text(found: Backtest) -> list[str]:
    """The table as plain text, with what it rests on."""
    made = table(found)
    widths = [max(len(str(cell)) for cell in column) for column in zip(made.header, *made.rows, strict=True)]
    out = [
        f"{found.loop}: {found.edges[0]:%Y-%m-%d} to {found.edges[-1]:%Y-%m-%d}, {found.lives[0].answered:,} labelled answers "
        f"({found.labelled:.0%} of the inputs have a label, {_span(found.delay)} after them)",
        f"{found.made} trainings made now, {found.shared} shared or there already",
    ]
    for row in (made.header, *made.rows):
        out.append("  ".join(str(cell).ljust(width) if not at else str(cell).rjust(width) for at, (cell, width) in enumerate(zip(row, widths, strict=True))))
    out += [f"{life.policy}: no stated rate: {life.unrated}" for life in found.lives if life.unrated]
    out += [f"{life.policy}: {life.failed} trainings gave no model" for life in found.lives if life.failed]
    return out


def sections(found: Backtest, proposal: str, diff: str) -> list[Section]:
    """The page."""
    life = found.life(proposal)
    said = f"{proposal}: {found.scorer} {life.quality:.4f} with {len(life.trainings)} trainings, the least cost within reach of the best."
    return [
        Section("", [Verdict(said, "champion"), *text(found)[:2], table(found)]),
        Section("Quality by period", [quality(found)]),
        Section("Quality against cost", [frontier(found)]),
        Section("The change that is proposed", [Code(diff)] if diff else ["None: the loop does this already, or its file cannot be edited."]),
        Section("Trainings", [Table.of(
            ["policy", "when", "rows", "seconds", "why"],
            [[one.policy, f"{from_us(t.at):%Y-%m-%d %H:%M}", t.rows, round(t.seconds, 1), t.reason] for one in found.lives for t in one.trainings[:200]],
        )]),
    ]  # fmt: skip


def quality(found: Backtest) -> Chart:
    """Quality by period of the best policies, the loop's own and "never"."""
    best = [life.policy for life in sorted(found.lives, key=lambda one: -one.quality)]
    names = list(dict.fromkeys([*(name for name in ("the loop", "never") if name in best), found.proposal(), *best]))[:SHOWN]
    series = [Series(name, list(zip(found.edges, found.life(name).scores, strict=False))) for name in names]
    if found.same is not None:
        series.append(Series("same as the last label", list(zip(found.edges, found.same[0], strict=False)), colour="muted"))
    rules = [Rule(from_us(one.at), "", "muted") for one in found.life(found.proposal()).trainings][:60]
    title = f"{found.scorer} by period; rules are trainings of {found.proposal()}"
    return lines(series, title=title, y_label=found.scorer, rules=rules, zero=False, width=1100, height=420)


def frontier(found: Backtest) -> Chart:
    """Quality, with the seconds of training beside it."""
    on = found.frontier()
    items = [
        Bar(f"{life.policy}: {life.seconds:.1f} s, {len(life.trainings)} trainings", life.quality, colour="ok" if life.policy in on else "muted")
        for life in sorted(found.lives, key=lambda one: one.seconds)
    ]
    bounds = [Bound(found.same[1], "same as the last label", "warn")] if found.same else []
    return bars(items, title="Quality by policy, the cheapest first; green: no other is better at no more cost", bounds=bounds, width=1100)


def write(folder: Path, found: Backtest, proposal: str, diff: str) -> list[Path]:
    """backtest.html, backtest.md, charts as SVG, and as PNG where resvg is installed."""
    paths = list(save(folder, f"Backtest of {found.loop}", sections(found, proposal, diff), name="backtest"))
    with suppress(MissingDependency):
        for name, chart in (("quality", quality(found)), ("frontier", frontier(found))):
            path = folder / f"{name}.png"
            path.write_bytes(png(chart))
            paths.append(path)
    return paths


def _span(seconds: float) -> str:
    for name, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
