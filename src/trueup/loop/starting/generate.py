# SPDX-License-Identifier: Apache-2.0
"""`init generate`: questions, and the texts that answer them; a language model learns them as an adapter."""

from __future__ import annotations

import os
from pathlib import Path

from trueup.core.errors import ArgumentError
from trueup.loop.starting.holding import Held
from trueup.loop.starting.words import curation, gates, golden, held_out, import_of, quoted, shared

SHORT = 40.0           # characters on average, up to which an answer is right or wrong as a whole
PER_TOKEN = 2.5        # characters, at the least: how long an answer may become
NEW_TOKENS = (16, 512)
MEGABYTES = 32_768     # of a training, where the model's size is not known


def checked(model: str | None, folder: Path) -> tuple[str, int]:
    """The language model as Python, where it is a folder of one or an id on the hub, and the megabytes
    that a training of it may take; raises ArgumentError."""
    from trueup.models.hub import is_hub_id

    if model is None:
        raise ArgumentError(
            "expected a language model to begin with, got none",
            cure="--model FOLDER (config.json, safetensors and a tokenizer), or --model OWNER/NAME of the hub",
        )
    path = Path(model)
    if path.is_dir():
        if not any((path / name).is_file() for name in ("config.json", "model.json")):
            raise ArgumentError(f"expected a language model's folder, got {model} without config.json")
        size = sum(part.stat().st_size for part in path.glob("*.safetensors")) // 2**20
        megabytes = max(4_096, 1_024 * round(4 + 4 * size / 1_024))  # weights of 2 bytes are computed with as 4
        inside = path.resolve().is_relative_to(folder.resolve())
        place = os.path.relpath(path.resolve(), folder.resolve()) if inside else str(path.resolve())
        return (f"HERE / {quoted(place)}" if inside else quoted(place)), megabytes
    if not is_hub_id(model):
        raise ArgumentError(f"expected a language model's folder, or its id on the hub (owner/name), got {model}")
    return quoted(model), MEGABYTES


def plain_words(name: str, model: tuple[str, int]) -> dict[str, str]:
    """The words of a loop without data: a prompt, its answer, one user."""
    return {
        **_learning(1_000, model[1]), **shared(name, "answer", "", "your-data.jsonl"), "origin": "", "golden": "",
        "input": '"prompt"', "unit": '"user_id"', "model": f"LocalModel({model[0]}, prompt=Prompt(max_new_tokens=128))",
        "data_imports": "Recipe", "evaluate_imports": "RougeL", "scorer": "RougeL", "gates": "",
        "curators": "CapPerUnit, Deduplicate", "curate": "CapPerUnit(0.05), Deduplicate()",
    }


def words(name: str, data: Path, held: Held, model: tuple[str, int]) -> tuple[dict[str, str], list[str]]:
    """The words of a loop that fits a file, and what its owner should know."""
    answers = sorted(len(str(item["target"])) for item in held.items)
    mean, long = sum(answers) / len(answers), answers[int(0.99 * (len(answers) - 1))]
    scorer = "Exact" if mean <= SHORT else "RougeL"
    lines, gate_names, gate_notes = gates(
        held, scorer, f"# AtLeast({scorer}(), 0.50, on=core),  # once you know what is good enough"
    )
    tokens = min(NEW_TOKENS[1], max(NEW_TOKENS[0], int(long / PER_TOKEN / 16 + 1) * 16))
    several = not isinstance(held.mapping.input, str)
    prompt = f"max_new_tokens={tokens}"
    if several:
        prompt = quoted("\n".join(f"{{{column}}}" for column in held.mapping.input) + "\n") + f", {prompt}"
    curators, curate = curation(held)
    origin = f" from {data.name} ({held.rows:,} rows)"
    made = {
        **_learning(held.rows, model[1]), **shared(name, held.label, "", import_of(held, data)), "origin": origin,
        "written": f"; `trueup init` wrote it{origin}", "golden": golden(held), "input": quoted(held.task.input),
        "unit": quoted(held.task.unit), "model": f"LocalModel({model[0]}, prompt=Prompt({prompt}))",
        "data_imports": "GoldenSet, Recipe", "evaluate_imports": ", ".join(sorted({scorer, *gate_names})),
        "scorer": scorer, "gates": lines, "curators": curators, "curate": curate, "held_out": held_out(held, data),
    }
    asked = " and ".join([held.mapping.input] if isinstance(held.mapping.input, str) else held.mapping.input)
    return made, [
        f"asked {asked!r}, answered {held.label!r}: {mean:.0f} characters on average, scored by {scorer}",
        f"held out {len(held.items):,} of {held.rows:,} rows as golden/core.jsonl",
        *gate_notes,
    ]


def _learning(rows: int, megabytes: int) -> dict[str, str]:
    return {
        "rows": f"{max(100, rows // 10):_}", "min_rows": f"{max(20, min(1_000, rows // 20)):_}", "megabytes": f"{megabytes:_}",
    }
