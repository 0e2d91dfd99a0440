# SPDX-License-Identifier: Apache-2.0
"""`init classify`: texts or columns, and the label that each belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.errors import DataError
from trueup.loop.starting.holding import Held
from trueup.loop.starting.words import (
    curation,
    gates,
    golden,
    held_out,
    json_of,
    quoted,
    shared,
    tuple_of,
)

if TYPE_CHECKING:
    from trueup.data import Profile

LONG_TEXT = 25.0  # characters on average, from which a column is read as words


def plain_words(name: str, _model: None) -> dict[str, str]:
    """The words of a loop without data: a text, its label, one user."""
    return {
        **shared(name, "label", "", "your-data.csv"), "origin": "", "golden": "", "left_out": "",
        "features": "Features()  # the input is one text; Features(text=(...), numeric=(...)) names fields",
        "input": '"text"', "output": '"prediction"', "unit": '"user_id"', "champion": "",
        "data_imports": "Recipe", "model_imports": "Features", "evaluate_imports": "Accuracy",
        "scorer": "Accuracy", "rows": "1_000", "below": "0.8", "min_rows": "500", "gates": "",
        "curators": "CapPerUnit, Deduplicate", "curate": "CapPerUnit(0.05), Deduplicate()",
        "trainer_class": "Sklearn", "trainer": 'Sklearn("logistic", features=features)',
    }


def words(name: str, data: Path, held: Held, _model: None) -> tuple[dict[str, str], list[str]]:
    """The words of a loop that fits a file, and what its owner should know."""
    seen, mapping = held.profile, held.mapping
    several = seen.answers == "labels"
    scorer = "F1" if several else "Accuracy"
    features, left, has_text = _features(seen, mapping.input)
    lines, gate_names, gate_notes = gates(held, scorer, f"AtLeast({scorer}(), {held.floor:.2f}, on=core),  # the commonest answer scores that")
    boosted = not has_text and find_spec("xgboost") is not None
    trainer = "Xgboost" if boosted else "Sklearn"
    curators, curate = curation(held)
    origin = f" from {data.name} ({held.rows:,} rows)"
    usual = json_of(held.usual)
    words = {
        **shared(name, held.label, ', answers="labels"' if several else "", str(data.resolve())),
        "origin": origin, "written": f"; `trueup init` wrote it{origin}", "golden": golden(held), "features": features,
        "left_out": f"\n# Left out: {', '.join(left)}." if left else "",
        "input": quoted(held.task.input), "output": quoted(held.task.output), "unit": quoted(held.task.unit),
        "champion": f"\n    champion=ConstantModel({usual}),  # the commonest answer: the line to beat",
        "data_imports": "GoldenSet, Recipe", "model_imports": "ConstantModel, Features",
        "evaluate_imports": ", ".join(sorted({scorer, *gate_names})), "scorer": scorer,
        "rows": f"{max(100, held.rows // 10):_}", "below": f"{max(0.05, held.floor - 0.05):.2f}",
        "min_rows": f"{max(20, min(1_000, held.rows // 20)):_}", "gates": lines,
        "curators": curators, "curate": curate, "trainer_class": trainer,
        "trainer": "Xgboost(100, features=features)" if boosted else 'Sklearn("logistic", features=features)',
        "held_out": held_out(held, data),
    }
    notes = [
        f"label {held.label!r}: {len(seen.classes)} classes, the commonest answer {usual} is right {held.floor:.0%} of the time",
        f"held out {len(held.items):,} of {held.rows:,} rows as golden/core.jsonl",
        *gate_notes,
    ]
    if left:
        notes.append(f"left out: {', '.join(left)}")
    return words, notes


def _features(seen: Profile, inputs: str | Sequence[str]) -> tuple[str, list[str], bool]:
    """The Features as Python, the columns that are left out with why, and whether words are read."""
    columns = {column.name: column for column in seen.columns}
    if isinstance(inputs, str):
        if columns[inputs].type != "text":
            raise DataError(
                f"expected a text, or several columns, to learn from, got only {inputs} ({columns[inputs].type})",
                cure="bring a file with more columns",
            )
        return "Features()  # the input is one text", [], True
    parts: dict[str, list[str]] = {"text": [], "numeric": [], "categorical": []}
    left = []
    for name in inputs:
        column = columns[name]
        if column.type in ("number", "number as text"):
            parts["numeric"].append(name)
        elif column.type == "text" and column.length >= LONG_TEXT:
            parts["text"].append(name)
        elif column.type in ("text", "boolean") and column.distinct * 2 <= seen.rows:
            parts["categorical"].append(name)
        elif column.type == "text":
            parts["text"].append(name)
        else:
            left.append(f"{name} ({column.type})")
    if not any(parts.values()):
        raise DataError(f"expected columns to learn from, got {', '.join(left) or 'none'}")
    said = [f"{kind}={tuple_of(names)}" for kind, names in parts.items() if names]
    line = f"Features({', '.join(said)})"
    if len(line) > 85:
        line = "Features(\n" + "".join(f"    {part},\n" for part in said) + ")"
    return line, left, bool(parts["text"])
