# SPDX-License-Identifier: Apache-2.0
"""What a file seems to be made for: its columns, and which of them is the answer."""

from __future__ import annotations

from collections import Counter, abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.data.columns import Column, columns_of, sample
from trueup.data.mapping import (
    LABELS,
    UNITS,
    Mapping,
    check_columns,
    labels_of,
    split_of,
    take,
    time_of,
)

_TARGETS = (
    "churned", "churn", "converted", "conversion", "fraud", "is_fraud", "default", "defaulted", "survived", "clicked", "purchased",
    "bought", "subscribed", "cancelled", "canceled", "attrition", "diagnosis", "species", "spam", "is_spam", "outcome", "result",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Profile:
    """What a file looks like: its columns, and the task that it seems to be made for.

    `label` is the column that looks like the answer, `answers` what kind it is, `classes` the
    labels that were seen, most frequent first; `split` is set where one text holds several.
    `candidates` are the columns that could be the answer where no name says which.
    """

    columns: tuple[Column, ...]
    rows: int
    label: str | None
    answers: str
    classes: tuple[str, ...]
    split: str | None
    time: str | None
    unit: str | None
    candidates: tuple[str, ...] = ()


def profile(path: Path | str, *, target: str | None = None, time: str | None = None, unit: str | None = None,
            ignore: Sequence[str] = ()) -> Profile:
    """What a file looks like, from its rows: a start for a loop file, to be corrected. The columns that a
    person names (`target`, `time`, `unit`, `ignore`) are not guessed."""
    rows = sample(Path(path))
    columns = columns_of(Path(path))
    names = [column.name for column in columns]
    for name in (*filter(None, (target, time, unit)), *ignore):
        check_columns(Mapping(input=name), names, Path(path).name)
    left = {column.name: column for column in columns if column.name not in ignore}
    named = [take(left, [one]) for one in (target, time, unit) if one]
    del named
    label = target or take(left, LABELS[:5])
    if time is None:
        time, _ = time_of(left, frozenset())
    unit = unit or take(left, UNITS)
    candidates: tuple[str, ...] = ()
    if not label:
        named_so = [name for name in left if name.lower() in (*LABELS, *_TARGETS)]
        candidates = tuple(named_so) or _candidates(left, rows)
        label = candidates[-1] if candidates else None
    if label is None:
        return Profile(columns, len(rows), None, "text", (), None, time, unit)
    split = split_of(rows, label)
    values = [row.get(label) for row in rows if row.get(label) is not None]
    parts = [part for found in values for part in labels_of(found, split)]
    classes = tuple(str(name) for name, _ in Counter(map(str, parts)).most_common(100))
    kind = next(column for column in columns if column.name == label)
    if split or kind.type == "list":
        answers = "labels"
    elif kind.distinct <= max(20, len(rows) // 20):
        answers = "label"
    else:
        answers = "number" if kind.type.startswith("number") else "text"
    shown = classes if answers in ("label", "labels") else ()
    return Profile(columns, len(rows), label, answers, shown, split, time, unit, candidates)


def _candidates(left: abc.Mapping[str, Column], rows: Sequence[Any]) -> tuple[str, ...]:
    """Columns that could be the answer: few different values, each of them often."""
    few = [c for c in left.values() if 2 <= c.distinct <= max(20, len(rows) // 20) and c.type not in ("mixed", "time", "time as text", "bytes")]
    texts = [c for c in few if not c.type.startswith("number") or c.distinct == 2]
    return tuple(c.name for c in texts or few)
