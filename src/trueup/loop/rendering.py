# SPDX-License-Identifier: Apache-2.0
"""Facts of evidence as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trueup.core.facts import Fact, Line, Measure, Note, Table


def fact_lines(facts: Sequence[Fact]) -> list[str]:
    """Facts in lines: a measure and the evidence about it, which follows under its name, share one."""
    lines: list[str] = []
    before: Fact | None = None
    for fact in facts:
        if isinstance(fact, Line) and isinstance(before, Measure) and before.name == fact.name:
            lines[-1] = f"{_measure(replace(before, n=None))}{fact_line(fact).removeprefix(fact.name)}"
        else:
            lines.append(fact_line(fact))
        before = fact
    return lines


def fact_line(fact: Fact) -> str:
    """A fact in a line."""
    if isinstance(fact, Note):
        return fact.text.format(**fact.values) if fact.text else " ".join([fact.code, *(f"{name}={part}" for name, part in fact.values.items())])
    if isinstance(fact, Line):
        at = f" at {fact.at:,}" if fact.crossed and fact.at else ""
        return f"{fact.name}: evidence {fact.evidence:.3g} against {fact.line:.3g}, {'crossed' if fact.crossed else 'not crossed'}{at}"
    if isinstance(fact, Measure):
        return _measure(fact)
    return _table(fact)


def _measure(fact: Measure) -> str:
    words = f"{fact.name} " + ("none yet" if fact.value is None else f"{fact.value:+.4f}")
    if fact.low is not None and fact.high is not None:
        words += f" [{fact.low:+.4f}, {fact.high:+.4f}]"
    return f"{words} {fact.unit}".rstrip() + ("" if fact.n is None else f" on {fact.n:,} units")


def _table(fact: Table) -> str:
    rows = ("; ".join(
        f"{row[0]} " + ", ".join(f"{name} {_cell(cell)}" for name, cell in zip(fact.columns[1:], row[1:], strict=True)) for row in fact.rows
    ))
    return f"{fact.name}: {rows}"


def _cell(cell: object) -> str:
    return "-" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell)
