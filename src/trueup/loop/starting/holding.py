# SPDX-License-Identifier: Apache-2.0
"""A first look at a file of one's own: what it is about, and rows held out to judge candidates."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping as Names
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from trueup.core.errors import DataError
from trueup.core.json import Json, dumps, loads
from trueup.core.task import Outcome, Task
from trueup.loop.starting.guess import NOTHING, Said, Unsure, role_of

if TYPE_CHECKING:
    from trueup.data import GoldenItems, GoldenSet, Mapping, Profile

SHARE, MOST, LEAST = 0.2, 600, 20
ANSWERS = ("completion", "response", "answer", "output", "target", "summary", "reply", "label")
QUESTIONS = ("prompt", "instruction", "question", "input", "text", "document", "article", "message", "query")
READ = 200_000  # rows of a file that are looked at
CLASS_ITEMS = 56  # of a class, from which its slice can be tested at a margin of .10 and level .05


@dataclass(frozen=True)
class Held:
    """What a file seems to be about: its columns, the task, and golden items out of it.

    `rows` counts its labelled rows that differ, of the first 200,000; `usual` is the commonest
    answer, `floor` its score on the items, rounded down, `macro` its F1 over the labels, and `share` how
    much of the rows it is right for; `sliced` says whether two classes or more
    are large enough to be slices, `dated` whether the items are the newest rows.
    """

    profile: Profile
    task: Task
    label: str
    mapping: Mapping
    rows: int
    items: tuple[dict[str, Any], ...]
    usual: Json
    floor: float
    sliced: bool
    dated: bool = False
    share: float = 0.0
    macro: float = 0.0
    notes: tuple[str, ...] = ()
    said: Said = NOTHING

    def set_of(self, path: Path) -> GoldenSet:
        """The golden set's definition, with the items at `path`."""
        from trueup.data import GoldenSet

        return GoldenSet("core", path, slices=("class",) if self.sliced else ())

    def golden(self) -> GoldenItems:
        """The items as gates see them, before they are written."""
        return self._golden

    @cached_property
    def _golden(self) -> GoldenItems:
        from trueup.data.golden import checked_item, golden_items

        slices = ("class",) if self.sliced else ()
        return golden_items("core", [checked_item(item) for item in self.items], slices, "core.jsonl")


def hold_out(data: Path, loop: str, *, texts: bool = False, seed: int = 0, said: Said | None = None) -> Held:
    """Profile a file, read it as an import would, and hold golden items out: the newest rows where there is
    a time, else drawn with a seed.

    With `texts` the right answers are texts, found by their column's name, else labels. Raises
    DataError where there is no such column, one answer only, or too few rows.
    """
    from trueup.data import profile

    said = said or NOTHING
    seen = profile(data, target=said.target, time=said.time, unit=said.unit, ignore=said.ignore)
    columns = {column.name for column in seen.columns}
    told, answers, given = _text_columns(seen, data) if texts else _label_columns(seen, data)
    task = Task(given or _free("features", columns), "prediction", seen.unit or _free("row", columns), answers)
    label = Outcome.of_input(told)
    mapping, notes = _mapping(data, task, label, said)
    if isinstance(mapping.input, str) and _is_number(seen, mapping.input, said):
        mapping = replace(mapping, input=(mapping.input,))  # a number by itself is a field, a text is the input
    elif isinstance(mapping.input, str):
        task = Task(mapping.input, task.output, task.unit, answers)
        mapping, notes = _mapping(data, task, label, said)
    if told not in mapping.outcomes:
        raise DataError(f"expected {told} as the answer in {data.name}, but the task claims that column")
    rows = _rows(data, loop, mapping, task, label)
    if len(rows) < 5 * LEAST:
        raise DataError(f"expected at least {5 * LEAST} answered rows that differ in {data.name}, got {len(rows)}")
    usual = Counter(one.label for one in rows.values()).most_common(2)
    if len(usual) < 2:
        raise DataError(f"expected at least two different answers in {data.name}, got only {usual[0][0]:.80}")
    items, sliced, dated = _draw(rows, seed, answers, mapping.ts is not None)
    floor, macro = (0.0, 0.0) if answers == "text" else _score(items, loads(usual[0][0]), answers)
    share = usual[0][1] / len(rows)
    return Held(
        seen, task, told, mapping, len(rows), items, loads(usual[0][0]), floor, sliced, dated, share, macro, notes, said,
    )


def _mapping(data: Path, task: Task, label: Outcome, said: Said) -> tuple[Mapping, tuple[str, ...]]:
    """The mapping that an import would propose, and what it has to say; raises DataError where it is unsure."""
    from trueup.data import certain, propose, settled, with_maps

    first = propose(data, task, [label])
    mapping = with_maps(first.mapping, said.as_maps, [label.name])
    found = settled(data, mapping, task, [label])
    ambiguous = [doubt for doubt in first.doubts if "ts=" in doubt.cures and not said.time]
    doubts = tuple(doubt for doubt in (*ambiguous, *found.doubts) if doubt.column not in said.ignore)
    return certain(replace(found, doubts=doubts), data.name), found.notes


def _label_columns(seen: Profile, data: Path) -> tuple[str, Literal["label", "labels"], str | None]:
    """The column of labels, their kind, and the column of the input where one has that name."""
    if len(seen.candidates) > 1:
        raise Unsure(seen, data)
    if seen.label is None or seen.answers not in ("label", "labels"):
        found = "no column with few different values" if seen.label is None else f"{seen.label} ({seen.answers})"
        raise DataError(
            f"expected a column of labels in {data.name}, got {found}",
            cure="call the column of right answers 'label'; of texts: trueup init generate",
        )
    named = "input" if any(column.name == "input" for column in seen.columns) else None
    return seen.label, cast(Literal["label", "labels"], seen.answers), named


def _text_columns(seen: Profile, data: Path) -> tuple[str, Literal["text"], str | None]:
    """The column of answers, and of the question where only one asks."""
    names = {column.name.lower(): column.name for column in seen.columns if column.type in ("text", "number as text")}
    answer = next((names[one] for one in ANSWERS if one in names), None)
    if answer is None:
        raise DataError(
            f"expected a column of right answers in {data.name}, got {', '.join(names.values()) or 'no text'}",
            cure=f"call it {' or '.join(map(repr, ANSWERS[:4]))}",
        )
    asking = [names[one] for one in QUESTIONS if one in names and names[one] != answer]
    return answer, "text", asking[0] if len(asking) == 1 else None


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _is_number(seen: Profile, name: str, said: Said) -> bool:
    return any(role_of(column, seen.rows, said).role == "number" for column in seen.columns if column.name == name)


class _Row(NamedTuple):
    label: str
    ts: int


def _rows(data: Path, loop: str, mapping: Mapping, task: Task, label: Outcome) -> dict[str, _Row]:
    """Input to label as canonical JSON, with the time; an input that came with two labels is no golden item."""
    from trueup.data import read_events

    found: dict[str, _Row] = {}
    torn: set[str] = set()
    read = read_events(data, loop, mapping, task=task, outcomes=[label], now_us=0)
    for fact, outcomes in islice(read, READ):
        if not outcomes or not fact.keep:
            continue
        given, said = str(fact.input), str(outcomes[0].output)
        if found.setdefault(given, _Row(said, fact.ts)).label != said:
            torn.add(given)
    return {given: row for given, row in found.items() if given not in torn}


def _draw(rows: Names[str, _Row], seed: int, answers: str, dated: bool) -> tuple[tuple[dict[str, Any], ...], bool, bool]:
    """The items, whether classes are slices, and whether they are the newest rows: what is learned from the
    past is judged on what came after it. Where the newest have one answer only, they are drawn by chance."""
    size = max(LEAST, min(MOST, int(SHARE * len(rows))))
    chosen = sorted(sorted(rows, key=lambda given: (rows[given].ts, given))[-size:]) if dated else []
    dated = len({rows[given].label for given in chosen}) > 1
    if not dated:
        chosen = sorted(random.Random(seed).sample(sorted(rows), size))
    sizes = Counter(rows[given].label for given in chosen)
    sliced = answers == "label" and sum(n >= CLASS_ITEMS for n in sizes.values()) >= 2
    items = []
    for given in chosen:
        item: dict[str, Any] = {"input": loads(given), "target": loads(rows[given].label)}
        if sliced:
            target = item["target"]
            item["class"] = target if isinstance(target, str) else dumps(target)
        items.append(item)
    return tuple(items), sliced, dated


def _score(items: tuple[dict[str, Any], ...], usual: Json, answers: str) -> tuple[float, float]:
    """The mean score of the commonest answer on the items, and its F1 over the labels, rounded down to two digits."""
    from trueup.core.protocols import Prediction, Unmeasured
    from trueup.evaluate import F1, Accuracy, F1Macro

    scorer = F1() if answers == "labels" else Accuracy()
    given, targets = [Prediction(usual)] * len(items), [item["target"] for item in items]
    scores = scorer.score([item["input"] for item in items], given, targets)
    known = [score for score in scores if not isinstance(score, Unmeasured)]
    macro = F1Macro().measure(given, targets)
    return int(100 * sum(known) / max(1, len(known))) / 100, 0.0 if isinstance(macro, Unmeasured) else int(100 * macro) / 100
