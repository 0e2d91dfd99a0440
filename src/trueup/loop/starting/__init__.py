# SPDX-License-Identifier: Apache-2.0
"""`start`: a working loop file, from nothing or from a file of one's own data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from trueup.core.errors import ArgumentError, Refused, UnknownName
from trueup.loop.check import Problem
from trueup.loop.files import load_loops
from trueup.loop.starting import classify, generate
from trueup.loop.starting.guess import Said
from trueup.loop.starting.holding import Held, hold_out

KINDS = {"classify": classify, "generate": generate}


@dataclass(frozen=True, slots=True)
class Started:
    """What was written, the loop's name, what `check` says of it, what a person should know, and what an
    import of the file must be told (`--map`)."""

    name: str
    files: tuple[Path, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    maps: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "loop": self.name, "files": [str(path) for path in self.files],
            "problems": [str(problem) for problem in self.problems], "notes": list(self.notes), "maps": list(self.maps),
        }


def start(
    kind: str, folder: Path, data: Path | None = None, *, model: str | None = None, force: bool = False, seed: int = 0,
    said: Said | None = None,
) -> Started:
    """Write `loop.py` and a README into `folder`; with `data`, fitted to that file.

    `kind` is "classify" (a label for each input) or "generate" (a language model that answers with
    a text; `model` is its folder or its id on the hub). `said` is what a person knows of the columns. From the data come the names, the first
    champion or its prompt, and `golden/core.jsonl`: a sample (the newest rows where there is a time) that judges candidates and never
    trains. Existing files are refused unless `force` is set. Raises DataError where no right
    answers, or nothing to learn from, is found, and ArgumentError for a model where none is.
    """
    if kind not in KINDS:
        raise UnknownName("kind of loop", kind, KINDS)
    name = _name(folder)
    about: Any = KINDS[kind]
    if model is not None and kind != "generate":
        raise ArgumentError(f"expected no model for a loop that learns to {kind}, got {model}", cure="trueup init generate")
    if said is not None and (kind != "classify" or data is None):
        raise ArgumentError("expected --target, --time, --unit, --ignore and --map beside classify and --data", cure="trueup init classify DIR --data FILE")
    base: Any = generate.checked(model, folder) if kind == "generate" else None
    loop, golden = folder / "loop.py", folder / "golden" / "core.jsonl"
    for path in (loop, folder / "README.md", golden):
        if path.exists() and not force:
            raise Refused(f"expected nothing at {path}, got a file", cure="--force writes it anew")
    words, notes = about.plain_words(name, base), ["no data: the names of columns are examples"]
    held = None
    if data is not None:
        held = hold_out(data, name, texts=kind == "generate", seed=seed, said=said)
        words, notes = about.words(name, data, held, base)
    folder.mkdir(parents=True, exist_ok=True)
    written = [loop, folder / "README.md"]
    if held is not None:
        written.append(_write_golden(golden, held))
    loop.write_text(_filled(f"{kind}.py.txt", words), encoding="utf-8")
    (folder / "README.md").write_text(_filled("README.md.txt", words), encoding="utf-8")
    problems = next(iter(load_loops(loop).values())).check()
    return Started(name, tuple(written), tuple(problems), tuple(notes), () if said is None else said.as_maps)


def _name(folder: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:60].strip("-")
    name = name if re.match(r"[a-z]", name) else f"loop-{name}".strip("-")
    return name if len(name) > 1 else "my-loop"


def _filled(template: str, words: Mapping[str, str]) -> str:
    text = files("trueup.loop.starting").joinpath("templates", template).read_text(encoding="utf-8")
    text = Template(text).substitute({**words, **(_as_text(words) if template.endswith("md.txt") else {})})
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).rstrip() + "\n"


def _as_text(words: Mapping[str, str]) -> dict[str, str]:
    """Names as Markdown shows them: without the quotes that Python needs."""
    return {key: json.loads(words[key]) for key in ("name", "label")}


def _write_golden(path: Path, held: Held) -> Path:
    from trueup.data import add_items

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    add_items(held.set_of(path), held.items)
    return path
