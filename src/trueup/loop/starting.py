# SPDX-License-Identifier: Apache-2.0
"""`start`: a working loop file, from nothing or from a file of one's own data."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from trueup.core.errors import ArgumentError, DataError, Refused, UnknownName
from trueup.loop.check import Problem
from trueup.loop.files import load_loops
from trueup.loop.holding import Held, hold_out

if TYPE_CHECKING:
    from trueup.data import Profile

KINDS = ("classify",)
LONG_TEXT = 25.0  # characters on average, from which a column is read as words
GATE = 0.5        # the least chance that an equally good candidate should have of passing


@dataclass(frozen=True, slots=True)
class Started:
    """What was written, the loop's name, what `check` says of it, and what a person should know."""

    name: str
    files: tuple[Path, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "loop": self.name, "files": [str(path) for path in self.files],
            "problems": [str(problem) for problem in self.problems], "notes": list(self.notes),
        }


def start(
    kind: str, folder: Path, data: Path | None = None, *, force: bool = False, seed: int = 0
) -> Started:
    """Write `loop.py` and a README into `folder`; with `data`, fitted to that file.

    From the data come the names, the features, a majority-class model as the first champion, and
    `golden/core.jsonl`: a seeded sample that judges candidates and never trains. Existing files are
    refused unless `force` is set. Raises DataError where no label, or nothing to learn from, is
    found.
    """
    if kind not in KINDS:
        raise UnknownName("kind of loop", kind, KINDS)
    name = _name(folder)
    loop, golden = folder / "loop.py", folder / "golden" / "core.jsonl"
    for path in (loop, folder / "README.md", golden):
        if path.exists() and not force:
            raise Refused(f"expected nothing at {path}, got a file", cure="--force writes it anew")
    words, notes = _plain_words(name), ["no data: the names of columns are examples"]
    held = None
    if data is not None:
        held = hold_out(data, name, seed=seed)
        words, notes = _words(name, data, held)
    folder.mkdir(parents=True, exist_ok=True)
    written = [loop, folder / "README.md"]
    if held is not None:
        written.append(_write_golden(golden, held))
    loop.write_text(_filled("classify.py.txt", words), encoding="utf-8")
    (folder / "README.md").write_text(_filled("README.md.txt", words), encoding="utf-8")
    problems = next(iter(load_loops(loop).values())).check()
    return Started(name, tuple(written), tuple(problems), tuple(notes))


def _name(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:60].strip("-")
    name = name if re.match(r"[a-z]", name) else f"loop-{name}".strip("-")
    return name if len(name) > 1 else "my-loop"


def _filled(template: str, words: Mapping[str, str]) -> str:
    text = files("trueup.loop").joinpath("templates", template).read_text(encoding="utf-8")
    text = Template(text).substitute({**words, **(_as_text(words) if template.endswith("md.txt") else {})})
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).rstrip() + "\n"


def _as_text(words: Mapping[str, str]) -> dict[str, str]:
    """Names as Markdown shows them: without the quotes that Python needs."""
    return {key: json.loads(words[key]) for key in ("name", "label")}


def _plain_words(name: str) -> dict[str, str]:
    """The words of a loop without data: a text, its label, one user."""
    return {
        **_shared(name, "label", "", "your-data.csv"), "origin": "", "golden": "", "left_out": "",
        "features": "Features()  # the input is one text; Features(text=(...), numeric=(...)) names fields",
        "input": '"text"', "output": '"prediction"', "unit": '"user_id"', "champion": "",
        "data_imports": "Recipe", "model_imports": "Features", "evaluate_imports": "Accuracy",
        "scorer": "Accuracy", "rows": "1_000", "below": "0.8", "min_rows": "500", "gates": "",
        "curators": "CapPerUnit, Deduplicate", "curate": "CapPerUnit(0.05), Deduplicate()",
        "trainer_class": "Sklearn", "trainer": 'Sklearn("logistic", features=features)',
    }


def _shared(name: str, label: str, answers: str, data: str) -> dict[str, str]:
    return {
        "title": name.replace("-", " ").capitalize(), "name": _quoted(name), "label": _quoted(label),
        "answers": answers, "data": shlex.quote(data), "held_out": "", "written": "",
    }


def _words(name: str, data: Path, held: Held) -> tuple[dict[str, str], list[str]]:
    """The words of a loop that fits a file, and what its owner should know."""
    seen, mapping = held.profile, held.mapping
    several = seen.answers == "labels"
    scorer = "F1" if several else "Accuracy"
    features, left, has_text = _features(seen, mapping.input)
    gates, gate_names, gate_notes = _gates(held, scorer)
    boosted = not has_text and find_spec("xgboost") is not None
    trainer = "Xgboost" if boosted else "Sklearn"
    curators = ["Deduplicate"] if mapping.unit is None else ["CapPerUnit", "Deduplicate"]
    curate = ["Deduplicate()"] if mapping.unit is None else ["CapPerUnit(0.05)", "Deduplicate()"]
    origin = f" from {data.name} ({held.rows:,} rows)"
    usual = _json(held.usual)
    words = {
        **_shared(name, held.label, ', answers="labels"' if several else "", str(data.resolve())),
        "origin": origin, "written": f"; `trueup init` wrote it{origin}", "golden": _golden(held), "features": features,
        "left_out": f"\n# Left out: {', '.join(left)}." if left else "",
        "input": _quoted(held.task.input), "output": _quoted(held.task.output), "unit": _quoted(held.task.unit),
        "champion": f"\n    champion=ConstantModel({usual}),  # the commonest answer: the line to beat",
        "data_imports": "GoldenSet, Recipe", "model_imports": "ConstantModel, Features",
        "evaluate_imports": ", ".join(sorted({scorer, *gate_names})), "scorer": scorer,
        "rows": f"{max(100, held.rows // 10):_}", "below": f"{max(0.05, held.floor - 0.05):.2f}",
        "min_rows": f"{max(20, min(1_000, held.rows // 20)):_}", "gates": gates,
        "curators": ", ".join(curators), "curate": ", ".join(curate), "trainer_class": trainer,
        "trainer": "Xgboost(100, features=features)" if boosted else 'Sklearn("logistic", features=features)',
        "held_out": f"\n`golden/core.jsonl` holds {len(held.items):,} rows of {data.name}, drawn by chance. "
        "They judge every candidate and never train one: Snapshots leave them out by themselves.\n",
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
    said = [f"{kind}={_tuple(names)}" for kind, names in parts.items() if names]
    line = f"Features({', '.join(said)})"
    if len(line) > 85:
        line = "Features(\n" + "".join(f"    {part},\n" for part in said) + ")"
    return line, left, bool(parts["text"])


def _golden(held: Held) -> str:
    slices = ', slices=("class",)' if held.sliced else ""
    return (
        f"\n# {len(held.items):,} rows, drawn by chance, that judge candidates and never train them.\n"
        f'core = GoldenSet("core", HERE / "golden/core.jsonl"{slices})\n'
    )


def _gates(held: Held, scorer: str) -> tuple[str, list[str], list[str]]:
    """The gates as Python, the names that they need, and notes."""
    from trueup import evaluate

    lines = [f"AtLeast({scorer}(), {held.floor:.2f}, on=core),  # the commonest answer scores that"]
    names = ["AtLeast"]
    notes = []
    measure = getattr(evaluate, scorer)()
    for margin in (0.05, 0.10, 0.15, 0.20):
        gate = evaluate.NoWorse(measure, by=margin, on=held.set_of(Path("core.jsonl")))
        chance = gate.pass_probability(held.golden())
        if chance >= GATE and not gate.check(held.golden()):
            lines.append(f"NoWorse({scorer}(), by={margin:.2f}, on=core),")
            if held.sliced:
                lines.append("# Once a trained model serves: NoWorse(..., slices={\"class\": 0.10}) guards every class.")
            names.append("NoWorse")
            notes.append(
                f"gate: no worse by {margin:g} on {len(held.items):,} items; an equally good candidate passes "
                f"with probability {chance:.2f}"
            )
            break
    else:
        notes.append(f"{len(held.items):,} golden items are too few to show that a candidate is no worse: a floor only")
    inner = "\n        ".join(lines)
    return f"\n        {inner}\n    ", names, notes


def _write_golden(path: Path, held: Held) -> Path:
    from trueup.data import add_items

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    add_items(held.set_of(path), held.items)
    return path


def _quoted(text: str) -> str:
    """A Python text in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _tuple(names: Sequence[str]) -> str:
    return f"({', '.join(map(_quoted, names))}{',' if len(names) == 1 else ''})"


def _json(answer: Any) -> str:
    """A label, or a list of labels, as Python."""
    if isinstance(answer, list):
        return f"[{', '.join(map(_json, answer))}]"
    if isinstance(answer, str):
        return _quoted(answer)
    if isinstance(answer, bool | int | float):
        return repr(answer)
    raise ArgumentError(f"expected a label, got {answer!r:.80}")
