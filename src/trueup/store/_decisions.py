# SPDX-License-Identifier: Apache-2.0
"""Decisions in the journal: one chain a loop, and the state that its last link explains."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from trueup.core.decisions import Decision
from trueup.core.errors import ArgumentError, Conflict, NotFound
from trueup.core.json import dumps, loads, sha256
from trueup.store.journal import Link, State

_HEX = re.compile(r"[0-9a-f]{1,64}")


def link(decision: Decision, last: tuple[str, int, int] | None, expect: int) -> tuple[Link, State]:
    """The next link of a loop's chain and the state that it moves the loop to.

    `last` is (digest, generation, at) of the loop's last decision, read in the transaction in which
    both are written. Raises Conflict where its generation is not `expect`.
    """
    if not decision.loop:
        raise ArgumentError(f"expected the name of a loop, got {decision.loop!r}")
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
    return (
        Link(made.loop, made.generation, digest, previous, made.at, made.kind, made.verdict, made.subject, body),
        State(made.loop, made.generation, digest, dumps(made.state)),
    )


def decision_of(digest: str, body: str) -> Decision:
    """The decision that a row holds: what any reader will read, tuples turned into lists included."""
    return Decision(**loads(body), id=digest[:16])


def bounds(ident: str) -> tuple[str, str]:
    """The digests that begin with an id: at least the first, below the second."""
    if not _HEX.fullmatch(ident):
        raise ArgumentError(f"expected the id of a decision (hexadecimal digits), got {ident!r:.80}")
    return ident, ident + "g"


def only(ident: str, among: Sequence[Decision]) -> Decision:
    """The one decision among those found."""
    if not among:
        raise NotFound(f"expected a decision whose id begins with {ident!r}, got none in this home")
    if len(among) > 1:
        ids = ", ".join(one.id for one in among)
        raise ArgumentError(f"expected one decision, got several that begin with {ident!r}: {ids}")
    return among[0]
