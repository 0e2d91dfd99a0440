# SPDX-License-Identifier: Apache-2.0
"""Events: the facts that the ledger holds, as one flat row whatever their kind.

| kind | what happened | id |
|---|---|---|
| assignment | an arm was drawn for a unit of a running experiment | the choice's id |
| exposure | the unit saw the answer | the choice's id |
| interaction | a request and its answer | the choice's id |
| outcome | feedback on a choice, or the label of its input, early or late | from (choice, name, key) |
| answer | what another candidate would have answered (a shadow) | from (choice, candidate) |
| signal | something that the system has to say | new |

(kind, id) is unique: an event that comes twice is one event.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from trueup.core.json import dumps, sha256

Kind = Literal["assignment", "exposure", "interaction", "outcome", "answer", "signal"]
KINDS: tuple[Kind, ...] = ("assignment", "exposure", "interaction", "outcome", "answer", "signal")


class Event(NamedTuple):
    """One row of the ledger. Times are microseconds since 1970 in UTC.

    `ts` is when it happened, `received` when the ledger learned of it (0: the ledger fills it in).
    `input`, `output` and `extra` are canonical JSON texts; a label's value stands in `output`, a
    number or a boolean in `value` as well. `keep` is False where the user said: never train on this.
    """

    id: str
    loop: str
    kind: Kind
    ts: int
    received: int = 0
    unit: str | None = None
    choice: str | None = None
    arm: str | None = None
    candidate: str | None = None
    propensity: float | None = None
    generation: int | None = None
    release: str | None = None
    name: str | None = None
    value: float | None = None
    key: str | None = None
    input: str | None = None
    output: str | None = None
    error: str | None = None
    seconds: float | None = None
    keep: bool = True
    extra: str | None = None


def outcome(
    loop: str, choice: str, name: str, value: Any, *, ts: int, received: int = 0,
    key: str | None = None, unit: str | None = None, extra: Any = None,
) -> Event:
    """An outcome of a choice. The same (choice, name, key) is the same fact, whenever it comes.

    Without a key, the value is the key: saying the same twice is saying it once, and saying
    something else is a correction.
    """
    text = dumps(value)
    ident = sha256(dumps([loop, choice, name, key if key is not None else f"={text}"]))[:32]
    number = float(value) if isinstance(value, bool | int | float) else None
    return Event(
        id=ident, loop=loop, kind="outcome", ts=ts, received=received, unit=unit, choice=choice,
        name=name, value=number, key=key, output=text, extra=None if extra is None else dumps(extra),
    )


def answer(
    loop: str, choice: str, candidate: str, output: Any, *, ts: int, unit: str | None = None,
    error: str | None = None, seconds: float | None = None, release: str | None = None,
) -> Event:
    """What `candidate` answers to the input of `choice`, without any user seeing it."""
    return Event(
        id=sha256(dumps([loop, choice, candidate]))[:32], loop=loop, kind="answer", ts=ts, unit=unit,
        choice=choice, candidate=candidate, release=release,
        output=None if error is not None else dumps(output), error=error, seconds=seconds,
    )
