# SPDX-License-Identifier: Apache-2.0
"""Where a loop's served answers are worse than elsewhere, from its own log (VAL-09, VAL-11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup import plot
from trueup.core.clock import to_us
from trueup.core.errors import DataError
from trueup.core.json import loads_all
from trueup.core.protocols import Prediction, Scorer, Unmeasured
from trueup.models.prompts import text_of
from trueup.monitor import WeakSlices, sample, weak_slices
from trueup.monitor.weak import METHOD
from trueup.plot import Bar, Bound, Section, Table, Verdict
from trueup.study.policy import scorer_of

if TYPE_CHECKING:
    from trueup.loop import Loop
    from trueup.store import Ledger

SHOWN, LETTERS = 12, 60


def weak(
    loop: Loop, ledger: Ledger, *, since: datetime | None = None, scorer: Scorer | None = None,
    by: Sequence[str] | None = None, least: int = 50, q: float = 0.1, seed: int = 0,
) -> WeakSlices:
    """Segments in which the champion's answers score below all its other answers.

    Of the labelled answers that it has served `since` (None: since it serves), by `scorer` (None: that
    of the gate that carries the promise). Beside the inputs' fields it looks at the answer, at the
    label, and at units without an earlier request. Raises DataError for too few rows.
    """
    from trueup.release import measured
    from trueup.state import read

    _, state = read(ledger, loop.name)
    label = loop.label.name
    first = state.since if since is None else to_us(since)
    found = ledger.interactions(loop.name, outcomes=[label], cut=ledger.cut()).sort_by([("ts", "ascending"), ("seq", "ascending")])
    before: set[str] = set()
    fresh = np.array([_first(unit, before) for unit in found["unit"].to_pylist()], dtype=bool)
    kept = np.array([
        given is not None and output is not None and said is not None and (first is None or ts >= first)
        and (state.champion is None or candidate == state.champion)
        for given, output, said, ts, candidate in zip(*(
            found[name].to_pylist() for name in ("input", "output", label, "ts", "candidate")
        ), strict=True)
    ], dtype=bool)
    rows, fresh = found.filter(kept), fresh[kept]
    if not rows.num_rows:
        raise DataError(
            f"expected labelled answers of {state.champion or loop.name}, got none",
            cure="wait for labels, or name an earlier --since",
        )
    inputs, answers, labels = (loads_all(rows[name].to_pylist()) for name in ("input", "output", label))
    scores = measured(scorer or scorer_of(loop), inputs, [Prediction(one) for one in answers], labels)
    numbers = [np.nan if isinstance(one, Unmeasured) else one for one in scores]
    fields = {"units": ["without history" if one else "with history" for one in fresh.tolist()]}
    if loop.task.answers == "label":
        fields |= {"answer": [str(one) for one in answers], "label": [str(one) for one in labels]}
    shown = [
        f"{text_of(answer)}, right is {text_of(right)}: {text_of(given)}" for given, answer, right in zip(inputs, answers, labels, strict=True)
    ]
    return weak_slices(
        sample(rows.select(["input", "unit"])), numbers, fields=fields, by=by, shown=shown, least=least, q=q, seed=seed,
    )


def _first(unit: str | None, before: set[str]) -> bool:
    """Whether a unit asks for the first time."""
    if unit is None or unit in before:
        return False
    before.add(unit)
    return True


def text(found: WeakSlices, scorer: str) -> list[str]:
    """The segments as plain text, the worst first."""
    out = [
        f"{found.rows:,} labelled answers, {scorer} {found.mean:.3f}; {found.searched:,} segments searched in half of the units, "
        f"{found.tested} tested in the other half"
    ]
    for one in found.found[:SHOWN]:
        low, high = one.interval
        out.append(
            f"  {one.name}: {one.score:.3f} of {one.rows:,} rows, {one.rest:.3f} elsewhere "
            f"({100 * (one.score - one.rest):+.1f} pp [{100 * low:+.1f}, {100 * high:+.1f}])"
        )
        out += [f"      {example.text[:110]}" for example in one.examples[:2]]
    if not found.found:
        out.append("  no segment is shown to be worse than the rest")
    return out


def write(folder: Path, found: WeakSlices, scorer: str) -> tuple[Path, Path]:
    """The page: verdict, chart, table, and rows to read; its HTML and its Markdown file."""
    return plot.save(folder, "Where answers are worse", list(_sections(found, scorer)), "slices")


def _sections(found: WeakSlices, scorer: str) -> Iterator[Section]:
    worst = found.found[0] if found.found else None
    verdict = Verdict("No segment is shown to be worse than the rest.", "ok") if worst is None else Verdict(
        f"{len(found.found)} {'segment is' if len(found.found) == 1 else 'segments are'} worse than the rest; the worst: {worst.name}, "
        f"{scorer} {worst.score:.3f} against {worst.rest:.3f}.",
        "warn",
    )
    yield Section("Verdict", [verdict, METHOD.format(q=found.q)])
    if worst is None:
        return
    shown = found.found[:SHOWN]
    bars: Any = plot.bars(
        [Bar(_short(one.name), one.score, (one.rest + one.interval[0], one.rest + one.interval[1]), colour="bad") for one in shown],
        title=f"{scorer} of each segment", bounds=[Bound(found.mean, "all rows", "muted")],
    )
    yield Section("Segments", [bars, Table.of(
        ["segment", "rows", scorer, "elsewhere", "lower", "upper", "p"],
        [[one.name, one.rows, one.score, one.rest, one.interval[0], one.interval[1], one.p] for one in found.found],
    )])  # fmt: skip
    for one in shown:
        yield Section(one.name, [Table.of(["row", scorer], [[example.text, 1.0 - example.beyond] for example in one.examples])])


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"
