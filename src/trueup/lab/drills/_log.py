# SPDX-License-Identifier: Apache-2.0
"""What each unit did, as a champion's log tells it: what releases of the champion against itself draw from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.core.errors import DataError
from trueup.core.json import loads
from trueup.core.protocols import Prediction, Scorer, Unmeasured
from trueup.core.task import Outcome
from trueup.release import AB, Bandit, Interleave, Shadow, Terms, measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trueup.store import Ledger

    Floats = NDArray[np.float64]

Row = dict[str, Any]
LOGGED = 50_000      # the champion's last requests that are drawn from
LEAST = 200          # units without which there is nothing to draw


@dataclass(frozen=True)
class Traffic:
    """What each unit did. `outcomes` are on [0, 1] with 1 the best (nan: none) by name, over all its
    requests and, under `firsts`, in its first alone; `failed` and `seconds` are those of its first
    request, `burden` the share of its requests that failed; `scores` is the score of the champion's
    answer (nan: none), `truths` the same by people where they audit a judge, `contexts` what a policy may read, and `lists` by the name of an outcome the
    ranking that was shown, with what was clicked (None: no ranking)."""

    units: list[str]
    outcomes: Mapping[str, Floats]
    firsts: Mapping[str, Floats]
    failed: NDArray[np.bool_]
    burden: Floats
    seconds: Floats
    scores: Floats
    truths: Floats
    contexts: Sequence[Mapping[str, Any] | None]
    lists: Mapping[str, list[tuple[list[Any], list[Any]] | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.units)


def traffic_of(ledger: Ledger, terms: Terms, stages: Sequence[Any], champion: str, cut: int) -> Traffic:
    """The champion's last requests by unit; raises DataError where there are too few for a stage."""
    outcomes: dict[str, Outcome] = {}
    for stage in stages:
        if isinstance(stage, AB | Bandit):
            outcomes |= {one.name: one for one in (stage.outcome, *(guard.outcome for guard in stage.guardrails.outcomes))}
    shadow = next((stage for stage in stages if isinstance(stage, Shadow)), None)
    label = None if shadow is None else shadow.label(terms.outcomes)
    people = None
    if shadow is not None and shadow.audit is not None:
        people = next(one for one in terms.outcomes if one.name == shadow.audit.outcome)
    clicks = [stage.outcome for stage in stages if isinstance(stage, Interleave)]
    asked = list(dict.fromkeys([*outcomes, *(one.name for one in (label, people) if one is not None), *clicks]))
    rows = [
        row for row in ledger.interactions(terms.loop, outcomes=asked, cut=cut).to_pylist()[-4 * LOGGED :]
        if row["unit"] is not None and row["candidate"] == champion
    ][-LOGGED:]
    units: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["ts"], row["seq"])):
        units.setdefault(row["unit"], []).append(row)
    if len(units) < LEAST:
        raise DataError(
            f"expected at least {LEAST} units that the champion answered, got {len(units)}",
            cure="log more requests with their units, or run the drill without --loop",
        )
    mine = list(units.values())
    heads = [part[0] for part in mine]
    names = [one.name for stage in stages if isinstance(stage, Bandit) for one in stage.features]
    return Traffic(
        list(units),
        {name: np.array([_outcome(part, outcome) for part in mine]) for name, outcome in outcomes.items()},
        {name: np.array([_outcome(part[:1], outcome) for part in mine]) for name, outcome in outcomes.items()},
        np.array([head["error"] is not None for head in heads]),
        np.array([sum(row["error"] is not None for row in part) / len(part) for part in mine]),
        np.array([math.nan if head["seconds"] is None else head["seconds"] for head in heads]),
        np.full(len(mine), math.nan) if shadow is None or label is None else _scores(shadow.scorer, label, heads),
        np.full(len(mine), math.nan) if people is None or shadow is None or shadow.audit is None
        else _scores(shadow.audit.scorer or shadow.scorer, people, heads),
        _contexts(ledger, terms.loop, heads, names, cut) if names else [None] * len(mine),
        {name: _lists(name, terms.loop, ledger, heads, cut) for name in clicks},
    )


def _outcome(rows: list[Row], outcome: Outcome) -> float:
    """A unit's outcome, as an experiment scores it: the mean over these requests, on [0, 1]."""
    told = [row[f"{outcome.name}_value"] for row in rows]
    if outcome.absent is not None:
        told = [outcome.absent if one is None else one for one in told]
    values = [min(max(float(one), outcome.low), outcome.high) for one in told if one is not None]
    return outcome.scaled(math.fsum(values) / len(values)) if values else math.nan


def _scores(scorer: Scorer, label: Outcome, rows: list[Row]) -> Floats:
    found = np.full(len(rows), math.nan)
    there = [at for at, row in enumerate(rows) if row["output"] is not None and row[label.name] is not None]
    scores = measured(
        scorer, [loads(rows[at]["input"]) for at in there],
        [Prediction(loads(rows[at]["output"])) for at in there], [loads(rows[at][label.name]) for at in there],
    )
    for at, score in zip(there, scores, strict=True):
        if not isinstance(score, Unmeasured):
            found[at] = score
    if len(there) < LEAST:
        raise DataError(f"expected at least {LEAST} labelled answers of the champion, got {len(there)}")
    return found


def _contexts(ledger: Ledger, loop: str, rows: list[Row], names: Sequence[str], cut: int) -> list[Mapping[str, Any] | None]:
    """The context of each first request: the one that its assignment carries, else the features that
    its input names (outside a release nothing is assigned, and no context is written)."""
    assigned = ledger.scan(loop, ["assignment"], columns=["choice", "extra"], cut=cut)
    told = {row["choice"]: loads(row["extra"] or "{}").get("context") for row in assigned.to_pylist()}
    found: list[Mapping[str, Any] | None] = []
    for row in rows:
        context = told.get(row["choice"])
        given = loads(row["input"]) if context is None else None
        if isinstance(given, Mapping):
            context = {name: given[name] for name in names if name in given}
        found.append(context or None)
    return found


def _lists(
    name: str, loop: str, ledger: Ledger, rows: list[Row], cut: int
) -> list[tuple[list[Any], list[Any]] | None]:
    """The ranking that each first request showed, with the items that were clicked of it."""
    clicks: dict[str, list[Any]] = {}
    for one in ledger.scan(loop, ["outcome"], columns=["choice", "name", "output"], cut=cut).to_pylist():
        if one["name"] == name and one["output"] is not None:
            clicks.setdefault(one["choice"], []).append(loads(one["output"]))
    found: list[tuple[list[Any], list[Any]] | None] = []
    for row in rows:
        shown = loads(row["output"]) if row["output"] is not None else None
        items = shown.get("items") if isinstance(shown, Mapping) else shown
        plain = isinstance(items, list) and bool(items) and not any(isinstance(item, list | dict) for item in items)
        found.append((items, clicks.get(row["choice"], [])) if plain and len(set(items)) == len(items) else None)  # type: ignore[arg-type]
    if sum(one is not None for one in found) < LEAST:
        raise DataError(
            f"expected at least {LEAST} answers of the champion that are lists of different items, for Interleave",
            cure="log the ranking that was shown as the answer: client.log(choice, query, items)",
        )
    return found
