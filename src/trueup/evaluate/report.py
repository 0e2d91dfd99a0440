# SPDX-License-Identifier: Apache-2.0
"""The report for a human: verdict first, then numbers by slice, gates, examples, training facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup import plot
from trueup.core.json import dumps
from trueup.core.protocols import GateResult
from trueup.evaluate.compare import Evaluation, SliceScore
from trueup.evaluate.gates import interval_words
from trueup.plot import Bar, Bound, Chart, Code, Markdown, Section, Sides, Table, Verdict

MOST_SLICES, MOST_TEXT = 24, 600
METHOD = (
    "Whiskers and brackets are 95 % intervals for one look at a fixed set. A golden set that is used "
    "again and again is a filter: it can refuse a candidate, it does not promise anything of fresh traffic."
)


@dataclass(frozen=True, slots=True)
class Report:
    """A page as HTML and as Markdown; `save` writes both."""

    title: str
    sections: tuple[Section, ...]

    def html(self) -> str:
        """One self-contained file."""
        return plot.page(self.title, self.sections)

    def markdown(self) -> Markdown:
        """The Markdown text, and the SVG files beside it."""
        return plot.markdown(self.title, self.sections)

    def save(self, folder: Path, name: str = "report") -> tuple[Path, Path]:
        """Write `name`.html, `name`.md and its charts; returns the first two paths."""
        return plot.save(folder, self.title, self.sections, name)


def report(
    evaluations: Evaluation | Sequence[Evaluation], *, title: str = "Evaluation", verdict: Verdict | None = None,
    gates: Sequence[GateResult] = (), funnel: Sequence[str] = (), facts: Mapping[str, object] | None = None,
    sections: Sequence[Section] = (),
) -> Report:
    """What was found, for a person who has to decide.

    `funnel` are lines that say how many rows went where; `facts` are facts of the training
    (candidate, parent, Snapshot, seconds, seed); `sections` of one's own come at the end. Inputs
    and answers are treated as hostile text. Without a `verdict` one is read off gates and scores.
    """
    sets = (evaluations,) if isinstance(evaluations, Evaluation) else tuple(evaluations)
    made = [Section("Verdict", [verdict or verdict_of(sets, gates), *_short(sets)])]
    if gates:
        rows = [["passed" if gate.passed else "failed", gate.reason] for gate in gates]
        made.append(Section("Gates", [Table.of(["result", "why"], rows)]))
    for one in sets:
        made += _sections(one, gates)
    if funnel:
        made.append(Section("Data", [Code("\n".join(funnel))]))
    if facts:
        made.append(Section("Training", [Table.of(["fact", "value"], [[key, _text(item)] for key, item in facts.items()])]))
    return Report(title, (*made, *sections))


def verdict_of(sets: Sequence[Evaluation], gates: Sequence[GateResult]) -> Verdict:
    """Refused by a gate, else better, worse, or no difference shown on the first set."""
    failed = [gate.reason for gate in gates if not gate.passed]
    if failed:
        return Verdict("Refused: " + "; ".join(failed), "bad")
    passed = f" All {len(gates)} gates passed." if len(gates) > 1 else " The gate passed." if gates else ""
    score = next((s for s in (one.overall() for one in sets) if s is not None), None)
    if score is None:
        return Verdict("Nothing was scored." + passed, "warn")
    name = sets[0].set
    if score.change is None:
        return Verdict(f"{score.measure} on {name}: {interval_words(score.challenger)}.{passed}", "")
    mean, low, high = _good_way_up(score)
    words = f" on {name}: {score.measure} {change_words(score)}.{passed}"
    if low is not None and low > 0:
        return Verdict("Better" + words, "ok")
    if high is not None and high < 0:
        return Verdict("Worse" + words, "bad")
    return Verdict(("No difference shown" if low is not None else "Higher" if mean > 0 else "Not higher") + words, "")


def change_words(score: SliceScore) -> str:
    """Challenger minus champion: +5.7 pp [+2.0, +9.4]; of unbounded metrics in their own units."""
    if score.change is None:
        return "not compared"
    mean, low, high = score.change
    if score.better == "lower" or low is None or high is None:
        return f"{mean:+.4g} ({score.better} is better)"
    return f"{100 * mean:+.1f} pp [{100 * low:+.1f}, {100 * high:+.1f}]"


def _good_way_up(score: SliceScore) -> tuple[float, float | None, float | None]:
    assert score.change is not None
    mean, low, high = score.change
    if score.better == "higher":
        return mean, low, high
    return -mean, None if high is None else -high, None if low is None else -low


def _short(sets: Sequence[Evaluation]) -> Iterator[str]:
    for one in sets:
        words = f"{one.set}: {one.n:,} items"
        if one.disagreement is not None:
            words += f"; the models answer {one.disagreement:.1%} of them differently"
        yield words + "."
        for score in one.scores:
            if not score.by and score.challenger.why_not():
                yield f"{score.measure}: {score.challenger.why_not()}."
        worst = one.forgetting()
        if worst is not None:
            shown = worst.change is not None and (_good_way_up(worst)[2] or 0.0) < 0
            words = "Loses most on" if shown else "No cohort is shown to have lost; the largest difference down is on"
            yield f"{words} the cohort {worst.slice}: {worst.measure} {change_words(worst)}."
    yield METHOD


def _sections(one: Evaluation, gates: Sequence[GateResult]) -> Iterator[Section]:
    whole = [score for score in one.scores if not score.by]
    if whole:
        chart = _sides(whole, f"Champion and challenger on {one.set}", by_measure=True)
        yield Section(f"On {one.set}", [*chart, _table(whole)])
    for by in dict.fromkeys(score.by for score in one.scores if score.by):
        measure = whole[0].measure if whole else one.scores[0].measure
        scores = one.by(by, measure)
        shown = sorted(scores, key=lambda s: (-s.challenger.n, s.slice))[:MOST_SLICES]
        shown.sort(key=lambda s: s.slice)
        parts: list[Any] = [*_sides(shown, f"{measure} by {by}, on {one.set}", by_measure=False)]
        parts += _changes(shown, f"Challenger minus champion by {by}, on {one.set}", _margin(gates, one, by))
        if len(shown) < len(scores):
            parts.append(f"The charts show the {len(shown)} largest of {len(scores)} slices.")
        every = [score for score in one.scores if score.by == by]
        yield Section(f"By {by}, on {one.set}", [*parts, _table(every)])
    if one.examples:
        yield Section(f"Where they differ, on {one.set}", [_example(example) for example in one.examples])


def _margin(gates: Sequence[GateResult], one: Evaluation, by: str) -> float | None:
    """The margin of a gate on this slicing, to be drawn."""
    for gate in gates:
        if gate.evidence.get("digest") == one.digest:
            for part in gate.evidence.get("parts", ()):
                if part["by"] == by:
                    return float(part["margin"])
    return None


def _sides(scores: Sequence[SliceScore], title: str, *, by_measure: bool) -> list[Chart]:
    """Champion and challenger side by side, for what lies in [0, 1]."""
    items = []
    for score in scores:
        if score.better == "lower":
            continue
        group = score.measure if by_measure else f"{score.slice} (n={score.challenger.n})"
        for series in ("champion", "challenger"):
            found = score.champion if series == "champion" else score.challenger
            if found is None:
                continue
            span = None if found.low is None or found.high is None else (found.low, found.high)
            items.append(Bar(group, found.mean, span, series, "" if found.mean is not None else "not measured"))
    return [plot.bars(items, title=title)] if items else []


def _changes(scores: Sequence[SliceScore], title: str, margin: float | None) -> list[Chart]:
    items = []
    for score in scores:
        if score.change is None or score.change[1] is None or score.change[2] is None:
            continue
        mean, low, high = score.change[0], score.change[1], score.change[2]
        colour = "bad" if high < 0 else "ok" if low > 0 else "muted"
        items.append(Bar(score.slice, mean, (low, high), colour=colour))
    bounds = [] if margin is None else [Bound(-margin, f"margin {-100 * margin:g}%")]
    return [plot.bars(items, title=title, unit="%", bounds=bounds)] if items else []


def _table(scores: Sequence[SliceScore]) -> Table:
    sliced = any(score.by for score in scores)
    rows = [
        [
            *([score.slice] if sliced else []), score.measure,
            None if score.champion is None else interval_words(score.champion), interval_words(score.challenger),
            None if score.change is None else change_words(score), score.challenger.n_measured, score.challenger.n,
        ]
        for score in scores
    ]  # fmt: skip
    names = ["measure", "champion", "challenger", "difference", "measured", "items"]
    return Table.of([*(["slice"] if sliced else []), *names], rows)


def _example(example: Any) -> Sides:
    def scored(score: float | None) -> str:
        return "" if score is None else f"  (score {score:.3g})"

    return Sides({
        f"input {example.id}": _text(example.input),
        "label": _text(example.label),
        "champion": _text(example.champion) + scored(example.champion_score),
        "challenger": _text(example.challenger) + scored(example.challenger_score),
    })  # fmt: skip


def _text(item: Any) -> str:
    if item is None:
        return "nothing"
    words = item if isinstance(item, str) else dumps(item) if isinstance(item, list | tuple | dict | int | float) else str(item)
    return words if len(words) <= MOST_TEXT else words[:MOST_TEXT] + "…"
