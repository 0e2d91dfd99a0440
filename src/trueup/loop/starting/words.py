# SPDX-License-Identifier: Apache-2.0
"""What the loop files of `init` have in common: names, the golden set and its gates, as Python."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trueup.core.errors import ArgumentError
from trueup.loop.starting.holding import Held

GATE = 0.5  # the least chance that an equally good candidate should have of passing


def shared(name: str, label: str, answers: str, data: str) -> dict[str, str]:
    """The words of every template, without data of one's own."""
    return {
        "title": name.replace("-", " ").capitalize(), "name": quoted(name), "label": quoted(label),
        "answers": answers, "data": data, "held_out": "", "written": "",
    }


def import_of(held: Held, data: Path) -> str:
    """The file, and what an import of it must be told, for a shell: without the quotes that `shared` adds."""
    return " ".join([shlex.quote(str(data.resolve())), *(f"--map {shlex.quote(one)}" for one in held.said.as_maps)])


def golden(held: Held) -> str:
    """The golden set as Python."""
    slices = ', slices=("class",)' if held.sliced else ""
    how = "the newest of the file" if held.dated else "drawn by chance"
    return (
        f"\n# {len(held.items):,} rows, {how}, that judge candidates and never train them.\n"
        f'core = GoldenSet("core", HERE / "golden/core.jsonl"{slices})\n'
    )


def gates(held: Held, scorer: str, first: str) -> tuple[str, list[str], list[str]]:
    """The gates as Python, `first` and what the items can carry, the names that they need, and notes."""
    from trueup import evaluate

    lines = [first]
    names = [] if first.startswith("#") else ["AtLeast"]
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
        notes.append(f"{len(held.items):,} golden items are too few to show that a candidate is no worse: no such gate")
    inner = "\n        ".join(lines)
    return f"\n        {inner}\n    ", names, notes


def quoted(text: str) -> str:
    """A Python text in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def tuple_of(names: Sequence[str]) -> str:
    """Names as a Python tuple."""
    return f"({', '.join(map(quoted, names))}{',' if len(names) == 1 else ''})"


def json_of(answer: Any) -> str:
    """A label, or a list of labels, as Python."""
    if isinstance(answer, list):
        return f"[{', '.join(map(json_of, answer))}]"
    if isinstance(answer, str):
        return quoted(answer)
    if isinstance(answer, bool | int | float):
        return repr(answer)
    raise ArgumentError(f"expected a label, got {answer!r:.80}")


def held_out(held: Held, data: Path) -> str:
    """What the README says of the golden items."""
    return (
        f"\n`golden/core.jsonl` holds {len(held.items):,} rows of {data.name}, {'its newest' if held.dated else 'drawn by chance'}. "
        "They judge every candidate and never train one: Snapshots leave them out by themselves.\n"
    )


def curation(held: Held) -> tuple[str, str]:
    """The steps' names, and the steps, as Python: units are capped where there are any."""
    if held.mapping.unit is None:
        return "Deduplicate", "Deduplicate()"
    return "CapPerUnit, Deduplicate", "CapPerUnit(0.05), Deduplicate()"
