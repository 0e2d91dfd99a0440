# SPDX-License-Identifier: Apache-2.0
"""Decisions in the journal: one chain a loop, and the state that its last link explains."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trueup.core.decisions import Decision
from trueup.core.errors import ArgumentError, Conflict, NotFound
from trueup.core.json import dumps, loads, sha256
from trueup.store import sql

SQL = sql.load("trueup.store", "sql/journal.sql")
_HEX = re.compile(r"[0-9a-f]{1,64}")


def decide(connection: sqlite3.Connection, decision: Decision, expect: int) -> Decision:
    """Append a decision and move its loop's state, within the caller's transaction."""
    if not decision.loop:
        raise ArgumentError(f"expected the name of a loop, got {decision.loop!r}")
    last = connection.execute(SQL["last_decision"], (decision.loop,)).fetchone()
    previous, generation, at = last or (None, 0, decision.at)
    if generation != expect:
        raise Conflict(
            f"expected generation {expect} of {decision.loop!r}, got {generation}: "
            "somebody else has decided since it was read"
        )
    made = replace(
        decision, generation=expect + 1, previous=previous, at=max(decision.at, at), id="",
    )  # fmt: skip
    body = dumps(made.body())
    digest = sha256(body)
    connection.execute(SQL["add_decision"], (
        digest, made.loop, made.generation, made.at, made.kind, made.verdict, made.subject, previous, body,
    ))  # fmt: skip
    connection.execute(SQL["set_state"], (made.loop, made.generation, digest, dumps(made.state)))
    # What comes back is what any reader will read, tuples turned into lists included.
    return decision_of(digest, body)


def decision_of(digest: str, body: str) -> Decision:
    """The decision that a row holds."""
    return Decision(**loads(body), id=digest[:16])


def bounds(ident: str) -> tuple[str, str]:
    """The digests that begin with an id: at least the first, below the second."""
    if not _HEX.fullmatch(ident):
        raise ArgumentError(f"expected the id of a decision (hexadecimal digits), got {ident!r:.80}")
    return ident, ident + "g"


def only(ident: str, rows: Sequence[Any]) -> Decision:
    """The one decision among those found."""
    if not rows:
        raise NotFound(f"expected a decision whose id begins with {ident!r}, got none in this home")
    if len(rows) > 1:
        ids = ", ".join(digest[:16] for digest, _ in rows)
        raise ArgumentError(f"expected one decision, got several that begin with {ident!r}: {ids}")
    return decision_of(*rows[0])
