# SPDX-License-Identifier: Apache-2.0
"""The report: every policy in quality and in cost, and what the alarms may claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from trueup.plot import Bound, Chart, Rule, Section, Series, Table, Verdict, lines, save
from trueup.study import Backtest, Life

SCHEDULE, METRIC = "every 4 weeks", "metric, at most every 4 weeks"


@dataclass(frozen=True)
class Study:
    """What was found, whether on the real market, and how long it took."""

    found: Backtest
    real: bool
    seconds: float


def table(found: Backtest) -> Table:
    rows: list[list[object]] = [
        [life.policy, round(100 * life.quality, 2), len(life.trainings), round(life.seconds, 1), "none stated" if life.unrated else "stated"]
        for life in found.lives
    ]
    if found.same is not None:
        rows.append(["the same as the last row", round(100 * found.same[1], 2), 0, 0.0, ""])
    return Table.of(["policy", "right, %", "trainings", "seconds of training", "rate of false alarms"], rows)  # type: ignore[arg-type]


def lines_of(study: Study) -> list[str]:
    """The table as plain text."""
    made = table(study.found)
    head = "{:<38}{:>10}{:>12}{:>22}  {}".format(*made.header)
    return [verdict(study.found), head, *("{:<38}{:>10.2f}{:>12}{:>22.1f}  {}".format(*row) for row in made.rows), *unrated(study.found)]


def verdict(found: Backtest) -> str:
    metric, schedule = found.life(METRIC), found.life(SCHEDULE)
    best = max(found.lives, key=lambda life: life.quality)
    return (
        f"The metric trigger is right in {metric.quality:.2%} with {len(metric.trainings)} trainings; every four weeks in "
        f"{schedule.quality:.2%} with {len(schedule.trainings)}; the best, {best.policy}, in {best.quality:.2%} with {len(best.trainings)}."
    )


def pair(found: Backtest) -> tuple[Life, Life]:
    """The schedule, and the metric trigger."""
    return found.life(SCHEDULE), found.life(METRIC)


def of_pair(schedule: Life, metric: Life) -> str:
    return " ".join(f"{one.policy} {one.quality:.2%} with {len(one.trainings)} trainings;" for one in (schedule, metric)).rstrip(";")


def of_starts(pairs: Sequence[tuple[Life, Life]]) -> list[str]:
    """Means and standard deviations over the starts, and the difference within each."""
    text = []
    for lives in zip(*pairs, strict=True):
        right = _spread([100 * one.quality for one in lives])
        text.append(f"{lives[0].policy}: {right} % right, {fmean(len(one.trainings) for one in lives):.1f} trainings")
    text.append(f"metric minus schedule: {_spread([100 * (metric.quality - schedule.quality) for schedule, metric in pairs])} points")
    return text


def _spread(values: Sequence[float]) -> str:
    return f"{fmean(values):.2f} +- {stdev(values) if len(values) > 1 else 0.0:.2f}"


def unrated(found: Backtest) -> list[str]:
    """What the alarms may not claim, and why."""
    return [f"{life.policy}: no stated rate: {life.unrated}" for life in found.lives if life.unrated]


def sections(study: Study) -> list[Section]:
    found = study.found
    real = "" if study.real else "The real market was not there: these half-hours are made up, and so are the figures. "
    same = f" Saying what the last half-hour was is right in {found.same[1]:.1%}, and beats them all: these inputs do not hold it." if found.same else ""
    return [
        Section("", [
            Verdict(verdict(found), "champion"),
            f"{real}Each half-hour is predicted before its label is known, by the model that would have been live: "
            "gradient-boosted trees (100 iterations) on the last eight weeks; the first four weeks are the start. "
            "Triggers look once a week. They have no threshold to tune: the metric trigger compares a model with its own "
            "first week, the drift trigger watches prices, demands and transfer, both at one false alarm a year, and a "
            "cooldown of four weeks allows as many trainings as the four-weekly schedule has." + same,
            table(found),
        ]),
        Section("What the alarms may claim", unrated(found) or ["Every alarm has the rate that it states."]),
        Section("Quality", [quality(found), costs(found)]),
        Section("When it trained", [trainings(found.life(METRIC))]),
    ]  # fmt: skip


def quality(found: Backtest) -> Chart:
    shown = [name for name in ("trained once", SCHEDULE, "every week", METRIC) if any(life.policy == name for life in found.lives)]
    series = [Series(name, list(zip(found.edges, found.life(name).scores, strict=False))) for name in shown]
    if found.same is not None:
        series.append(Series("the same as the last row", list(zip(found.edges, found.same[0], strict=False)), colour="muted"))
    rules = [Rule(one, "", "muted") for one in _moments(found.life(METRIC))]
    return lines(
        series, title="Right answers by four weeks; rules are trainings of the metric trigger", y_label="right", unit="%", rules=rules,
        zero=False, width=1100, height=420,
    )


def costs(found: Backtest) -> Chart:
    """Quality against trainings: the frontier."""
    lives = sorted(found.lives, key=lambda life: len(life.trainings))
    points = [(float(len(life.trainings)), life.quality) for life in lives]
    return lines(
        [Series("policies", points)], title="Right answers against trainings", x_label="trainings", y_label="right", unit="%",
        zero=False, bounds=[Bound(found.life(SCHEDULE).quality, SCHEDULE, "muted")], width=1100, height=300,
    )


def trainings(life: Life) -> Table:
    from trueup.core.clock import from_us

    return Table.of(
        ["when", "why", "rows"], [[f"{from_us(one.at):%Y-%m-%d}", one.reason, one.rows] for one in life.trainings], life.policy
    )


def _moments(life: Life) -> Sequence:
    from trueup.core.clock import from_us

    return [from_us(one.at) for one in life.trainings]


def write(out: Path, study: Study) -> None:
    """Write report.html, report.md and its charts."""
    save(out, "Electricity: when to retrain", sections(study))
