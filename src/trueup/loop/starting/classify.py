# SPDX-License-Identifier: Apache-2.0
"""`init classify`: texts or columns, and the label that each belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.core.errors import DataError
from trueup.loop.starting.guess import Guess, others, role_of
from trueup.loop.starting.holding import Held
from trueup.loop.starting.words import (
    curation,
    gates,
    golden,
    held_out,
    import_of,
    json_of,
    quoted,
    shared,
    tuple_of,
)

if TYPE_CHECKING:
    from trueup.data import Column

IMBALANCED = 0.75  # of the rows have the commonest answer: from here on accuracy says little


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
    roles = [role_of(column, seen.rows, held.said) for column in _input_columns(held)]
    features = _features(roles, mapping.input)
    left = [f"{one.column} ({one.reason})" for one in roles if one.role == "ignored"]
    has_text = any(one.role == "words" for one in roles)
    floor, floor_names = _floor(held, scorer)
    lines, gate_names, gate_notes = gates(held, scorer, floor)
    boosted = not has_text and find_spec("xgboost") is not None
    trainer = "Xgboost" if boosted else "Sklearn"
    curators, curate = curation(held)
    origin = f" from {data.name} ({held.rows:,} rows)"
    usual = json_of(held.usual)
    words = {
        **shared(name, held.label, ', answers="labels"' if several else "", import_of(held, data)),
        "origin": origin, "written": f"; `trueup init` wrote it{origin}", "golden": golden(held), "features": features,
        "left_out": f"\n# Left out: {'; '.join(left)}." if left else "",
        "input": quoted(held.task.input), "output": quoted(held.task.output), "unit": quoted(held.task.unit),
        "champion": f"\n    champion=ConstantModel({usual}),  # the commonest answer: the line to beat",
        "data_imports": "GoldenSet, Recipe", "model_imports": "ConstantModel, Features",
        "evaluate_imports": ", ".join(sorted({scorer, *gate_names, *floor_names})), "scorer": scorer,
        "rows": f"{max(100, held.rows // 10):_}", "below": f"{max(0.05, held.floor - 0.05):.2f}",
        "min_rows": f"{max(20, min(1_000, held.rows // 20)):_}", "gates": lines,
        "curators": curators, "curate": curate, "trainer_class": trainer,
        "trainer": "Xgboost(100, features=features)" if boosted else 'Sklearn("logistic", features=features)',
        "held_out": held_out(held, data),
    }
    names = [one.column for one in roles]
    notes = [
        *(str(one) for one in (*others(seen, held.label, mapping.key, names), *roles)),
        *(note for note in held.notes if not note.startswith(tuple(f"{one}: " for one in names))),
        f"label {held.label!r}: {len(seen.classes)} classes; always {usual}, the commonest answer, is right {held.share:.0%} of the time: "
        "the line to beat",
        f"held out {len(held.items):,} of {held.rows:,} rows as golden/core.jsonl, "
        + ("the newest: learned from the past, judged on what came after" if held.dated else "drawn by chance"),
        *gate_notes,
    ]
    return words, notes


def _floor(held: Held, scorer: str) -> tuple[str, list[str]]:
    """The first gate, which the commonest answer does not pass: where nearly all rows have one answer, F1
    over the labels, because accuracy says little there."""
    usual = json_of(held.usual)
    if scorer == "Accuracy" and held.share >= IMBALANCED:
        line = f"AtLeast(F1Macro(), {held.macro + 0.05:.2f}, on=core),  # always {usual}: {held.macro:.2f}, and {held.floor:.2f} by accuracy"
        return line, ["F1Macro"]
    return f"AtLeast({scorer}(), {min(1.0, held.floor + 0.01):.2f}, on=core),  # always {usual}, the commonest answer: {held.floor:.2f}", []


def _input_columns(held: Held) -> list[Column]:
    columns = {column.name: column for column in held.profile.columns}
    inputs = held.mapping.input
    return [columns[name] for name in ([inputs] if isinstance(inputs, str) else inputs)]


def _features(roles: Sequence[Guess], inputs: str | Sequence[str]) -> str:
    """The Features as Python."""
    if isinstance(inputs, str):
        if roles[0].role not in ("words", "category"):
            raise DataError(
                f"expected a text, or several columns, to learn from, got only {inputs} ({roles[0].reason})",
                cure="bring a file with more columns",
            )
        return "Features()  # the input is one text"
    names = {"text": "words", "numeric": "number", "categorical": "category"}
    parts = {kind: [one.column for one in roles if one.role == role] for kind, role in names.items()}
    if not any(parts.values()):
        raise DataError(f"expected columns to learn from, got {', '.join(map(str, roles)) or 'none'}")
    said = [f"{kind}={tuple_of(found)}" for kind, found in parts.items() if found]
    line = f"Features({', '.join(said)})"
    return line if len(line) <= 85 else "Features(\n" + "".join(f"    {part},\n" for part in said) + ")"
