# SPDX-License-Identifier: Apache-2.0
"""What teachers have answered, in the ledger: each row is asked for once, and rebuilt the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from trueup.core.events import answer
from trueup.core.json import loads
from trueup.core.protocols import Curated
from trueup.curate import Distill, check_rows
from trueup.data.recipe import Recipe
from trueup.store import sql

if TYPE_CHECKING:
    from trueup.store import Ledger

QUERIES = sql.load("trueup.data", "queries.sql")


def distiller(recipe: Recipe) -> Distill | None:
    """The recipe's step that writes targets, or None."""
    return next((step for step in recipe.curate if isinstance(step, Distill)), None)


def distil(ledger: Ledger, loop: str, step: Distill, rows: pa.Table, *, now_us: int) -> Curated:
    """Apply a teacher with the ledger as its memory: what it wrote before stands, what is new is
    kept as an answer of the teacher to that request."""
    before = taught(ledger, loop, step.identity)
    known = dict(before)
    done = step.teach(rows, known)
    fresh = {ident: text for ident, text in known.items() if ident not in before}
    if fresh:
        ledger.append([
            answer(loop, ident, step.identity, loads(text), ts=now_us) for ident, text in fresh.items()
        ])
    return Curated(check_rows(done.rows, "distill"), done.dropped, done.facts)


def taught(ledger: Ledger, loop: str, teacher: str) -> Mapping[str, str]:
    """The answers (JSON texts) of a teacher by row id, those of later cuts included."""
    rows = ledger.query(QUERIES["taught"], {"loop": loop, "teacher": teacher})
    return dict(zip(rows["choice"].to_pylist(), rows["output"].to_pylist(), strict=True))
