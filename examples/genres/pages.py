# SPDX-License-Identifier: Apache-2.0
"""The report: four lines in quality and in cost, the loop's Decisions, and why they took their time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

from rivals import Cell

from trueup.core.clock import from_us
from trueup.core.decisions import Decision
from trueup.loop import Loop
from trueup.plot import (
    Band,
    Chart,
    Look,
    Rule,
    Section,
    Series,
    Table,
    Verdict,
    lines,
    save,
    timeline,
)
from trueup.stats import needed_items

SMOOTH = 3  # months of the moving mean, weighted by films
NAMES = {
    "once": "trained once", "12 months": "monthly, 12 months", "all history": "monthly, all history",
    "the loop": "the loop",
}  # fmt: skip
COLOURS = {"once": "muted", "12 months": "teal", "all history": "violet", "the loop": "challenger"}
ENDED = {"refuse": "refused", "rollback": "rolled back", "invalid": "invalid"}


@dataclass(frozen=True)
class Study:
    """What was found: `cells` by line, a cell a month; `edges` are the months' beginnings and the
    end of the last."""

    loop: Loop
    real: bool
    edges: tuple[datetime, ...]
    films: int
    cells: dict[str, list[Cell]]
    decisions: tuple[Decision, ...]
    seconds: float

    def mean(self, line: str, last: int | None = None) -> float:
        """F1 per film over all months, or over the last ones."""
        scores = [score for cell in self.cells[line][-(last or 0):] for score in cell.scores]
        return sum(scores) / max(1, len(scores))

    def trainings(self, line: str) -> int:
        return sum(cell.seconds is not None for cell in self.cells[line])

    def cost(self, line: str) -> float:
        return sum(cell.seconds or 0.0 for cell in self.cells[line])

    @property
    def a_month(self) -> float:
        """Films a month."""
        cells = self.cells["once"]
        return sum(len(cell.scores) for cell in cells) / max(1, len(cells))


def summary_table(found: Study) -> Table:
    rows = [
        [NAMES[line], round(found.mean(line), 3), round(found.mean(line, 12), 3), found.trainings(line),
         round(found.cost(line), 1)]
        for line in NAMES
    ]  # fmt: skip
    return Table.of(
        ["line", "F1 per film", "in the last 12 months", "trainings", "seconds of one core"], rows
    )


def summary_lines(found: Study) -> list[str]:
    """The table as plain text."""
    table = summary_table(found)
    head = "{:<22}{:>12}{:>24}{:>12}{:>22}".format(*table.header)
    return [head, *("{:<22}{:>12.3f}{:>24.3f}{:>12}{:>22.1f}".format(*row) for row in table.rows)]


def write(out: Path, found: Study) -> None:
    """Write report.html, report.md and its charts."""
    title = f"Genres of new titles: {found.loop.name} from {found.edges[0]:%B %Y} to {found.edges[-1]:%B %Y}"
    save(out, title, sections(found))


def sections(found: Study) -> list[Section]:
    real = "" if found.real else "The real catalogue was not there: these titles are made up, and so are the figures. "
    return [
        Section("", [
            Verdict(_verdict(found), "champion"),
            f"{real}{found.films:,} films and series, by the month in which they were added: {found.a_month:.0f} a month. "
            "The score is F1 per film, of the genres answered against those that the editors gave. "
            "All lines have the same trainer and the same features; in all of them each month is predicted before "
            "it is learned. The trainer's settings were chosen on films of 2019 to 2021, which lie in this time: the "
            "lines can be compared with each other, and all of them are a little better than they would have been.",
            summary_table(found),
        ]),
        Section("Quality", [
            _quality(found),
            "Rules are the loop's Decisions: the promotion of its second champion, its third, and so on"
            + ("; and what was refused." if any(one.kind in ENDED for one in found.decisions) else "."),
        ]),
        Section("Cost", [
            _seconds(found), _trainings(found),
            "Seconds of one core for fitting alone, measured in the same way for every line: data preparation, gates "
            "and the shadow's answers are left out.",
        ]),
        Section("What the loop decided", [_strip(found), _rests(found)]),
        Section("Why no decision was faster", _why(found)),
    ]  # fmt: skip


def _verdict(found: Study) -> str:
    promoted = sum(decision.kind == "promote" for decision in found.decisions)
    return (
        f"The loop trained {found.trainings('the loop')} times and promoted {promoted}, where a monthly schedule trains "
        f"{found.trainings('all history')} times and promotes all of it unseen: F1 {found.mean('the loop'):.3f} against "
        f"{found.mean('all history'):.3f} on all history and {found.mean('12 months'):.3f} on 12 months, at "
        f"{found.cost('the loop') / max(found.cost('all history'), 1e-9):.0%} of the fitting time of the first. "
        f"Trained once and left alone: {found.mean('once'):.3f}."
    )


def _quality(found: Study) -> Chart:
    series = [Series(NAMES[line], _smooth(found.cells[line]), colour=COLOURS[line]) for line in NAMES]
    return lines(
        series, title=f"F1 per film, mean of {SMOOTH} months", y_label="F1 per film", rules=_rules(found), zero=False,
        width=1100, height=420,
    )  # fmt: skip


def _smooth(cells: Sequence[Cell]) -> list[tuple[datetime, float | None]]:
    """The mean over the films of the last months, at the middle of each month."""
    points: list[tuple[datetime, float | None]] = []
    for at, cell in enumerate(cells):
        scores = [score for part in cells[max(0, at + 1 - SMOOTH) : at + 1] for score in part.scores]
        points.append((from_us(cell.start), sum(scores) / len(scores) if scores else None))
    return points


def _rules(found: Study) -> list[Rule]:
    """Promotions, numbered by champion, and what ended otherwise."""
    rules, champions = [], 1
    for one in found.decisions:
        if one.kind == "promote":
            champions += 1
            rules.append(Rule(from_us(one.at), str(champions), "ok"))
        elif one.kind in ENDED:
            rules.append(Rule(from_us(one.at), ENDED[one.kind], "warn" if one.kind == "refuse" else "bad"))
    return rules


def _seconds(found: Study) -> Chart:
    series = [
        Series(NAMES[line], _sums(found.cells[line], [cell.seconds or 0.0 for cell in found.cells[line]]), colour=COLOURS[line])
        for line in NAMES
    ]  # fmt: skip
    return lines(series, title="Seconds of training so far", y_label="seconds of one core", width=1100, height=300)


def _trainings(found: Study) -> Chart:
    series = [
        Series(NAMES[line], _sums(found.cells[line], [float(cell.seconds is not None) for cell in found.cells[line]]), colour=COLOURS[line])
        for line in NAMES if line != "12 months"
    ]  # fmt: skip
    return lines(
        series, title="Trainings so far (both monthly lines train as often)", y_label="trainings", width=1100, height=260
    )


def _sums(cells: Sequence[Cell], parts: Sequence[float]) -> list[tuple[datetime, float | None]]:
    return [(from_us(cell.start), total) for cell, total in zip(cells, accumulate(parts), strict=True)]


def _strip(found: Study) -> Chart:
    """The looks at which something else than rest was decided, and the champions."""
    words: dict[int, list[str]] = {}
    why: dict[int, str] = {}
    names = {
        "TRAIN": "trained", "PROMOTE": "promoted", "REFUSE": "refused", "ROLLBACK": "rolled back", "INVALID": "invalid"
    }
    for one in found.decisions:
        if one.verdict in names:
            words.setdefault(one.at, []).append(names[one.verdict])
            why[one.at] = one.reason
    looks = [Look(from_us(at), parts, why[at]) for at, parts in sorted(words.items())]
    crowned = [one for one in found.decisions if one.verdict == "PROMOTE"]
    bands = [
        Band(str(one.subject), from_us(one.at), from_us(after.at) if after else None)
        for one, after in zip(crowned, [*crowned[1:], None], strict=True)
    ]
    return timeline(looks, bands, title="Looks at which the loop did something, and its champions", width=1100)


def _rests(found: Study) -> str:
    looks = [one for one in found.decisions if one.kind == "look"]
    rests = sum(one.verdict == "REST" for one in looks)
    stopped = sum(one.kind == "stop" for one in found.decisions)
    lost = f" {stopped} trainings ended without a candidate." if stopped else ""
    return (
        f"At {rests} of {len(looks)} looks it rested, and said why: too few new films, or a release that still ran. "
        f"Each is a Decision, with its reason.{lost}"
    )


def _why(found: Study) -> list[Any]:
    """What each test needed at least, what was forecast, and what it took."""
    loop, shadow = found.loop, found.loop.carrier
    assert shadow is not None
    rows = [_test(found, k, one) for k, one in enumerate((d for d in found.decisions if d.kind == "start"), 1)]
    table = Table.of(
        ["test", "began", "level", "if alike", "forecast", "to the line", "months", "in all", "F1 (champion's)", "verdict"],
        rows, caption="Pairs: if alike, forecast, to the line; months until then, and in all",
    )  # fmt: skip
    months, units = found.a_month, shadow.units or 0
    return [
        f"A pair is a film that champion and challenger have both answered and whose genres have become known: {months:.0f} "
        f"come a month. The loop promises that with probability {1 - loop.risk.wrong_promotion:g} it never in its life promotes a "
        f"model that is worse than its champion by {shadow.no_worse_by:g} of F1; that leaves each test the level in the table.",
        "If alike: the pairs that a challenger needs at that level which answers every film exactly as the champion does, "
        f"{_span([row[3] / months for row in rows])} months of films. Only one that is clearly better gets there sooner.",
        "Forecast: what `plan` says before the shadow begins, from how far the two models' answers lie apart. It takes each "
        "disagreement for a whole film won or lost, so that it errs on the long side: F1 moves by parts of a film. (Where the "
        "champion is new, nothing that it answered is logged yet, and a disagreement of .15 is taken.)",
        f"To the line: the pairs after which the evidence reached 1 / level, {_span([row[6] for row in rows if row[6]])} months of films. "
        "Looks are monthly, so that the first or the second look after the start could have promoted; but this loop keeps a "
        f"shadow for three months at least, so that no model is judged on one season. It would refuse at {units} pairs, "
        f"{units / max(months, 1e-9):.1f} months.",
        table,
    ]  # fmt: skip


def _test(found: Study, k: int, one: Decision) -> list[Any]:
    """A row: one release, from its start to its verdict."""
    level = float(one.level or 0.05)
    release = one.evidence["release"]
    ended = next(
        (end for end in found.decisions
         if end.evidence.get("release") == release and end.kind in ("stage", *ENDED)), None,
    )  # fmt: skip
    least = needed_items(found.loop.carrier.no_worse_by, level)  # type: ignore[union-attr]
    row = [k, f"{from_us(one.at):%b %y}", round(level, 4), least, one.evidence["forecast"]["pairs"]]
    if ended is None:
        return [*row, None, None, None, "", "still running"]
    result, days = ended.evidence["result"], (ended.at - one.at) / 86_400e6
    return [
        *row, result["n"], round(result["n"] / found.a_month, 1), round(days / 30.44, 1),
        f"{result['new']:.3f} ({result['old']:.3f})", "promoted" if ended.kind == "stage" else ENDED[ended.kind],
    ]  # fmt: skip


def _span(numbers: Sequence[float]) -> str:
    return f"{min(numbers):.1f} to {max(numbers):.1f}" if numbers else "some"
