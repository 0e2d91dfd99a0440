# SPDX-License-Identifier: Apache-2.0
"""Records: the typed values that a ledger keeps under a kind, and their JSON.

`@record("cost")` makes a class a frozen, slotted dataclass and names the kind under which a ledger
keeps it. `to_plain` and `from_plain` are its JSON form; msgspec does the conversion, which is checked
against the types. Stored names never change: a field that a later version adds has a default, so that
older records still open, and a field that this version does not know is left out.

A field that is left out of the JSON where nothing is said has the default `msgspec.UNSET`. msgspec is loaded
when a value is converted: what only hands records on stays light.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform

from trueup.core.errors import DataError
from trueup.core.references import Ref

T = TypeVar("T")
R = TypeVar("R")

GIVEN = frozenset({"loop", "id", "at"})
"""Fields that the ledger fills in when it reads a record: they are no part of its body."""


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def record(kind: str, *, body: tuple[str, ...] = ()) -> Callable[[type[T]], type[T]]:
    """Make a class a record of this kind.

    Fields named `loop`, `id` and `at` (microseconds since 1970) are filled in by the ledger when the
    record is read, and are not written into its body; `body` names those of them that are.
    """

    def wrap(cls: type[T]) -> type[T]:
        made = dataclasses.dataclass(frozen=True, slots=True)(cls)
        made.__record__ = kind  # type: ignore[attr-defined]
        made.__left_out__ = GIVEN - set(body)  # type: ignore[attr-defined]
        return made

    return wrap


def kind_of_record(cls: type) -> str:
    """The kind that records of this class are kept under; raises DataError for a class that is none."""
    kind = cls.__dict__.get("__record__")
    if kind is None:
        raise DataError(f"expected a class made with @record, got {cls.__name__}")
    return str(kind)


def to_plain(part: Any) -> Any:
    """The JSON form of a typed value; UNSET fields are left out, and tuples stay tuples, which JSON writes as lists."""
    import msgspec

    return msgspec.to_builtins(part, enc_hook=_plain)


def from_plain(cls: type[R], data: Any) -> R:
    """The typed value of plain JSON; raises DataError with the place where the two differ."""
    import msgspec

    try:
        return msgspec.convert(data, cls, dec_hook=_typed)
    except msgspec.ValidationError as error:
        raise DataError(f"expected {cls.__name__}: {error}") from None


def stored(part: Any) -> dict[str, Any]:
    """What a ledger writes as the body of a record."""
    body: dict[str, Any] = to_plain(part)
    return {name: item for name, item in body.items() if name not in type(part).__left_out__}


def _typed(cls: type, data: Any) -> Any:
    if cls is Ref:
        return Ref.from_json(data)
    raise NotImplementedError(f"{cls.__name__} cannot be read from JSON in a record")


def _plain(part: Any) -> Any:
    if isinstance(part, Ref):
        return part.to_json()
    if isinstance(part, Mapping):
        return dict(part)
    raise NotImplementedError(f"{type(part).__name__} has no JSON form in a record")
