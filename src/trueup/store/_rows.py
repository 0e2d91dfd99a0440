# SPDX-License-Identifier: Apache-2.0
"""What may enter the ledger as an event: checked in the caller's thread, before anything is queued."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from trueup.core.errors import ArgumentError
from trueup.core.events import KINDS, Event

_FIELDS = Event._fields
_TEXT = {"id", "loop", "kind"}
_WHOLE = {"ts", "received"}
_MAYBE_WHOLE = {"generation"}
_MAYBE_REAL = {"propensity", "value", "seconds"}
_VALUE, _PROPENSITY, _SECONDS = (_FIELDS.index(name) for name in ("value", "propensity", "seconds"))
_EDGE = 2**63
_KNOWN_KINDS = frozenset(KINDS)
_good: set[tuple[type, ...]] = set()
"""Combinations of field types that have been looked at and found right: nearly all rows share one."""


def checked(events: Sequence[Event], now: int) -> list[tuple[Any, ...]]:
    """The events as rows, `received` filled in with `now` (us) where it is 0.

    Raises ArgumentError for the first that cannot be stored exactly as it is.
    """
    rows = []
    for event in events:
        types = tuple(map(type, event))
        if types not in _good:
            _look_at(event, types)
        ident, loop, kind, ts, received = event[:5]
        if kind not in _KNOWN_KINDS or not ident or not loop:
            _refuse_words(event)
        if not (-_EDGE < ts < _EDGE and -_EDGE < received < _EDGE):
            raise ArgumentError(f"expected times in microseconds within 64 bits, got {event!r:.200}")
        for at in (_PROPENSITY, _VALUE, _SECONDS):
            number: Any = event[at]
            if number is not None and not -inf < number < inf:
                raise ArgumentError(
                    f"expected a finite {_FIELDS[at]}, got {number!r} in event {ident!r}",
                    cure="leave out what was not measured",
                )
        rows.append(tuple(event) if received else (*event[:4], now, *event[5:]))
    return rows


def _look_at(event: Event, types: tuple[type, ...]) -> None:
    if len(types) != len(_FIELDS):
        raise ArgumentError(f"expected an Event of {len(_FIELDS)} fields, got {event!r:.200}")
    for name, kind in zip(_FIELDS, types, strict=True):
        if not _fits(name, kind):
            raise ArgumentError(
                f"expected {_wanted(name)} in the event's {name}, got {kind.__name__}: "
                f"{getattr(event, name, None)!r:.80}",
                cure="JSON values stand in an event as their canonical text: trueup.core.json.dumps",
            )
    if len(_good) < 4096:
        _good.add(types)


def _fits(name: str, kind: type) -> bool:
    if name == "keep":
        return kind is bool
    if name in _WHOLE:
        return kind is int
    if name in _MAYBE_WHOLE:
        return kind is int or kind is type(None)
    if name in _MAYBE_REAL:
        return issubclass(kind, float | int) or kind is type(None)
    return kind is str or (kind is type(None) and name not in _TEXT)


def _wanted(name: str) -> str:
    if name == "keep":
        return "True or False"
    if name in _WHOLE | _MAYBE_WHOLE:
        return "a whole number"
    return "a number" if name in _MAYBE_REAL else "text"


def _refuse_words(event: Event) -> None:
    if event.kind not in _KNOWN_KINDS:
        raise ArgumentError(f"expected a kind of {', '.join(KINDS)}, got {event.kind!r:.80}")
    raise ArgumentError(f"expected an id and a loop, got {event.id!r:.80} and {event.loop!r:.80}")
