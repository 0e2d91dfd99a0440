# SPDX-License-Identifier: Apache-2.0
"""The drift report: what moved, by how much, with which right to say so; JSON and a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from trueup import plot
from trueup.core.errors import ArgumentError, DataError
from trueup.monitor.expected import Expected
from trueup.monitor.found import Found
from trueup.monitor.rows import Batches, Rows, Sample, sample
from trueup.monitor.slices import Example, Segment, furthest, segments, words
from trueup.monitor.views import Category, Embedding, Vectors, View, views_of
from trueup.monitor.watch import Monitor, RowDrift, watch
from trueup.plot import Bar, Bound, Section, Table, Verdict
from trueup.stats import benjamini_hochberg, embedding_shift

MOST_ROWS, SHOWN = 10_000, 24
METHOD = (
    "A line of this table is one look at two sets of rows; of the lines called moved, at most one in twenty is so by "
    "chance (Benjamini-Hochberg). AUC is the chance that a new row lies further out than an old one: 0.5 is no change. "
    "Rows of one unit were capped first."
)


@dataclass(frozen=True, slots=True)
class Line:
    """One look at one view: p-value, AUC, shift in standard deviations; `moved` after
    Benjamini-Hochberg over all lines. `note` says why it could not be looked at."""

    name: str
    p: float
    auc: float
    shift: float
    moved: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What `drift_report` found. `alarms` are empty where rows have no times."""

    rows_before: int
    rows_now: int
    lines: tuple[Line, ...]
    alarms: tuple[Found, ...] = ()
    segments: tuple[Segment, ...] = ()
    examples: tuple[Example, ...] = ()
    words: tuple[tuple[str, float, float], ...] = ()
    expected: Expected | None = None
    false_alarms_per_year: float | None = None

    @property
    def moved(self) -> tuple[str, ...]:
        """The names of the lines that moved."""
        return tuple(line.name for line in self.lines if line.moved)

    @property
    def alarm(self) -> bool:
        """Whether any monitor alarms."""
        return any(one.alarm for one in self.alarms)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DriftReport:
        try:
            return cls(
                data["rows_before"], data["rows_now"], tuple(Line(**one) for one in data["lines"]),
                tuple(Found.from_json(one) for one in data["alarms"]),
                tuple(Segment.from_json(one) for one in data["segments"]),
                tuple(Example(**one) for one in data["examples"]),
                tuple((str(w), float(a), float(b)) for w, a, b in data["words"]),
                Expected.from_json(data["expected"]) if data["expected"] else None, data["false_alarms_per_year"],
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"expected a drift report, got {sorted(data)}: {error}") from None

    def sections(self) -> tuple[Section, ...]:
        """The page's parts, verdict first."""
        return tuple(_sections(self))

    def html(self, title: str = "Drift") -> str:
        """One self-contained file; texts of rows are escaped."""
        return plot.page(title, self.sections())

    def save(self, folder: Path, title: str = "Drift", name: str = "drift") -> tuple[Path, Path]:
        """Write `name`.html and `name`.md; returns the two paths."""
        return plot.save(folder, title, self.sections(), name)


def drift_report(
    reference: Rows, current: Rows, *, views: Sequence[View | Monitor] = (), embedder: Any = None,
    by: Sequence[str] | None = None, since: datetime | None = None, false_alarms_per_year: float = 1.0,
    batches: Batches | None = None, expected: Expected | None = None, q: float = 0.05, seed: int = 0,
) -> DriftReport:
    """Compare `current` with `reference`: each view, each segment, the rows that moved most.

    `views` (none: found from the reference) are looked at once, and watched with a stated rate
    where rows have times; monitors such as `ScoreDrift` are watched only. `embedder` adds the
    embedding of all text. `by` names the fields that make segments (None: those with few values);
    units without history are a segment of their own wherever rows have units. Of more than 10,000
    rows an even sample is looked at once; all are watched. Raises DataError for fewer than 16 rows.
    """
    batches = batches or Batches()
    old, new = (sample(rows, batches, most=MOST_ROWS) for rows in (reference, current))
    if min(len(old), len(new)) < 16:
        raise DataError(f"expected at least 16 rows before and now, got {len(old)} and {len(new)}")
    asked: list[View | Monitor] = list(views or views_of(old))
    if embedder is not None:
        asked.append(Embedding(embedder))
    looks = [one.view if isinstance(one, RowDrift) else one for one in asked]
    plain = [one for one in looks if isinstance(one, View)]
    lines, matrices = _lines(plain, old, new, q, seed)
    fields = tuple(one.field for one in plain if isinstance(one, Category)) if by is None else tuple(by)
    main = _main(plain, matrices)
    try:
        alarms = watch(asked, reference, current, since=since, false_alarms_per_year=false_alarms_per_year, batches=batches, seed=seed)
    except ArgumentError:
        if new.known is not None or len(plain) < len(asked):
            raise
        alarms = ()
    return DriftReport(
        len(old), len(new), tuple(lines), alarms,
        tuple(segments(old, new, fields, main, q=q, seed=seed)) if main else (),
        tuple(furthest(old, new, main, seed=seed)) if main else (), tuple(words(old, new)), expected,
        false_alarms_per_year if alarms else None,
    )  # fmt: skip


def _lines(views: Sequence[View], old: Sample, new: Sample, q: float, seed: int) -> tuple[list[Line], dict[str, Any]]:
    found, matrices = [], {}
    for view in views:
        try:
            look = view.fit(old)
            pair = look(old), look(new)
        except DataError as error:
            found.append(Line(view.name, 1.0, 0.5, 0.0, note=error.message))
            continue
        matrices[view.name] = pair
        shift = embedding_shift(*pair, np.random.default_rng(seed), features=view.features)
        found.append(Line(view.name, min(max(shift.p, 0.0), 1.0), shift.auc, shift.shift))
    moved = benjamini_hochberg([one.p for one in found], q).tolist() if found else []
    made = [Line(one.name, one.p, one.auc, one.shift, bool(flag), one.note) for one, flag in zip(found, moved, strict=True)]
    return sorted(made, key=lambda one: (not one.moved, one.p, one.name)), matrices


def _main(views: Sequence[View], matrices: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """The numbers by which rows are told near or far: the embedding where there is one, else all."""
    for view in views:
        if isinstance(view, Embedding | Vectors) and view.name in matrices:
            found: tuple[Any, Any] = matrices[view.name]
            return found
    kept = [pair for name, pair in matrices.items() if name != "answers"]
    if not kept:
        return None
    spread = [max(float(pair[0].std()), 1e-6) for pair in kept]
    return tuple(  # type: ignore[return-value]
        np.column_stack([pair[at] / scale for pair, scale in zip(kept, spread, strict=True)]).astype(np.float32) for at in (0, 1)
    )


def _sections(report: DriftReport) -> Iterator[Section]:
    yield Section("Verdict", [_verdict(report), f"{report.rows_now:,} rows against {report.rows_before:,} of the reference."])
    if report.alarms:
        rate = f"All alarms of this page together are false at most {report.false_alarms_per_year:g} times a year."
        if not all(one.rated for one in report.alarms):
            rate += " That does not hold where no rate is stated."
        yield Section("Alarms", [rate, Table.of(
            ["monitor", "state", "evidence", "line", "effect", "of", "stated rate"],
            [[one.name, "alarm" if one.alarm else "quiet", one.evidence, one.line, one.effect, one.unit,
              "yes" if one.rated else f"no: {one.note}"] for one in report.alarms],
        )])  # fmt: skip
    yield Section("What moved", [METHOD, *_lines_part(report.lines)])
    if report.segments:
        yield Section("Segments", [Table.of(
            ["by", "segment", "share before", "share now", "rows now", "AUC within", "p", "moved"],
            [[one.by, one.name, one.before, one.now, one.rows, one.auc, one.p, "yes" if one.moved else ""] for one in report.segments[:SHOWN]],
        )])  # fmt: skip
    if report.words:
        yield Section("Words", [Table.of(["word", "share of rows before", "share now"], report.words)])
    if report.examples:
        yield Section("Rows that moved most", [Table.of(
            ["row", "lies beyond this share of the reference"], [[one.text, one.beyond] for one in report.examples]
        )])  # fmt: skip
    if report.expected is not None:
        yield _expected(report.expected)


def _lines_part(lines: Sequence[Line]) -> Iterator[Any]:
    shown = [line for line in lines if not line.note][:SHOWN]
    if shown:
        yield plot.bars(
            [Bar(line.name, line.auc, colour="bad" if line.moved else "muted") for line in shown],
            title="AUC of each view, old rows against new", bounds=[Bound(0.5, "no change", "muted")],
        )  # fmt: skip
    yield Table.of(
        ["what", "moved", "p", "AUC", "shift in sd", "note"],
        [[one.name, "yes" if one.moved else "", one.p, one.auc, one.shift, one.note] for one in lines],
    )


def _verdict(report: DriftReport) -> Verdict:
    fired = [one.name for one in report.alarms if one.alarm]
    unrated = [one.name for one in report.alarms if one.alarm and not one.rated]
    if fired:
        return Verdict(f"Alarm: {', '.join(fired)}." + (f" No stated rate: {', '.join(unrated)}." if unrated else ""), "bad")
    if report.moved:
        return Verdict(f"Moved: {', '.join(report.moved)}." + (" No alarm." if report.alarms else ""), "warn")
    return Verdict("Nothing moved beyond chance.", "ok")


def _expected(found: Expected) -> Section:
    parts: list[Any] = [
        f"Without labels, {found.value:.1%} [{found.low:.1%}, {found.high:.1%}] of {found.n:,} answers are expected to be right.",
        f"This assumes: {found.assumption}.",
    ]
    if found.warning:
        parts.insert(0, Verdict(f"{found.warning[0].upper()}{found.warning[1:]}.", "warn"))
    return Section("Expected quality", parts)
