# SPDX-License-Identifier: Apache-2.0
"""The definitions that a loop was seen with, by digest, and the changes from one to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueup.store import Ledger

DEFINED, USED = "loop", "loop-used"
"""The records of a definition, by its digest, and of the changes from one to another, counted."""


def definition(ledger: Ledger, loop: str) -> tuple[str, dict[str, Any]] | None:
    """The id and the JSON of the definition that a loop was last seen with; None where none has run."""
    if used := ledger.records(loop, USED, newest=True, limit=1):
        digest = str(used[0]["definition"])
        body = defined(ledger, loop, digest)
        return None if body is None else (digest, body)
    found = ledger.records(loop, DEFINED, newest=True, limit=1)  # of a ledger that counted no changes yet
    return (str(found[0]["id"]), found[0]["json"]) if found else None


def defined(ledger: Ledger, loop: str, digest: str) -> dict[str, Any] | None:
    """The JSON of the definition with this digest; None where this ledger does not hold it."""
    found = ledger.get(loop, DEFINED, digest)
    return found and found["json"]


def define(ledger: Ledger, loop: str, digest: str, body: dict[str, Any]) -> None:
    """Record that a loop is seen with this definition now: the definition itself once, and each change
    to it, for a file that is changed and changed back brings no new one."""
    last = definition(ledger, loop)
    if last is not None and last[0] == digest:
        return
    ledger.put(loop, DEFINED, digest, {"json": body})
    used = ledger.records(loop, USED, newest=True, limit=1)
    ledger.put(loop, USED, str(int(used[0]["id"]) + 1 if used else 1), {"definition": digest})
