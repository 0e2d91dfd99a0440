# SPDX-License-Identifier: Apache-2.0
"""One step of a recipe, whatever its form: a Curator, or a plain function over a table."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeAlias

import pyarrow as pa

from trueup.core.errors import DataError, DefinitionError
from trueup.core.json import digest, sha256
from trueup.core.protocols import Curated, Curator
from trueup.core.values import kind_of, name_of, source_digest
from trueup.curate.rows import ROWS, check_rows, module_digest

Step: TypeAlias = Curator | Callable[[Any], Any]
"""A step of a recipe: a Curator, or a function at module level from table to table.

A Curator whose limit is a share has two more methods, by which the share holds on what replay
draws, as `CapPerUnit` has them: `among(n)` gives the step for a draw of n rows out of many, and
`again(rows, seed)` holds the limit on the rows that were drawn."""


def check_step(step: Any) -> None:
    """Raise DefinitionError where `step` cannot be a step of a recipe."""
    if isinstance(step, FunctionType):
        name_of(step)
        if len(inspect.signature(step).parameters) != 1:
            raise DefinitionError(
                f"expected a step of one parameter, a table of training rows, got {step.__name__}"
                f"{inspect.signature(step)}"
            )
    elif inspect.isclass(step) or not isinstance(step, Curator):
        raise DefinitionError(
            f"expected a step with `version` and `curate`, or a function, got {step!r:.200}",
            cure="see trueup.curate for the steps that there are, such as Deduplicate()",
        )


def step_name(step: Any) -> str:
    """What the funnel calls a step: its kind without the room, or the function's name."""
    if isinstance(step, FunctionType):
        return step.__name__
    if hasattr(type(step), "__kind__"):
        return kind_of(step).rpartition(".")[2]
    return type(step).__name__


def version_of(step: Any) -> str:
    """The digest of a step's code: its own word for it, or a function's name and whole module."""
    check_step(step)
    if isinstance(step, FunctionType):
        try:
            source = sha256(inspect.getsource(sys.modules[step.__module__]))
        except (OSError, TypeError, KeyError):
            source = source_digest(step)
        return digest([name_of(step), source])
    return str(step.version)


def own_version(step: Any, *modules: str) -> str:
    """The version of a step of this room: its kind and the text of the modules that it rests on."""
    return digest([kind_of(step), module_digest(type(step).__module__, *modules)])


def run_step(step: Any, rows: pa.Table, seed: int, *, unlabelled: bool = False) -> Curated:
    """Apply one step and check what it gives back; raises DataError naming the step.

    With `unlabelled` targets may be null before it and after it.

    A function is called with the whole table, or with one batch after another where its parameter
    is annotated as a RecordBatch.
    """
    name = step_name(step)
    if not isinstance(step, FunctionType):
        curated = step.curate(rows, seed)
        if not isinstance(curated, Curated):
            raise DataError(f"expected Curated from the step {name}, got {type(curated).__name__}")
        kept = check_rows(curated.rows, name, unlabelled=unlabelled)
        dropped = dict(curated.dropped)
        silent = rows.num_rows - kept.num_rows - sum(dropped.values())
        if silent > 0:
            dropped["no reason given"] = silent
        return Curated(kept, dropped, curated.facts)
    if _by_batch(step):
        parts = [check_rows(step(batch), name, unlabelled=unlabelled) for batch in rows.to_batches() if batch.num_rows]
        kept = pa.concat_tables(parts) if parts else ROWS.empty_table()
    else:
        kept = check_rows(step(rows), name, unlabelled=unlabelled)
    gone = rows.num_rows - kept.num_rows
    facts = {"added": -gone} if gone < 0 else {}
    return Curated(kept, {"dropped": gone} if gone > 0 else {}, facts)


def _by_batch(function: FunctionType) -> bool:
    (parameter,) = inspect.signature(function).parameters.values()
    annotation = parameter.annotation
    return annotation is pa.RecordBatch or str(annotation).rpartition(".")[2] == "RecordBatch"
