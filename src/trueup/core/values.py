# SPDX-License-Identifier: Apache-2.0
"""Values: the frozen, slotted, registered parts that a loop is made of.

`@value("trigger.rows")` makes a class a frozen dataclass and registers it under its kind. A value
prints, compares, hashes, goes to JSON and comes back: `{"kind": "trigger.rows", "n": 10000}`.
This is the one registration mechanism: a third party's values are found through the entry-point
group `trueup.values`, whose entries are modules that hold them.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any, TypeVar, dataclass_transform

from trueup.core.errors import DefinitionError, UnknownName
from trueup.core.json import digest as digest_json
from trueup.core.json import sha256

T = TypeVar("T")
_KINDS: dict[str, type] = {}


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def value(kind: str) -> Callable[[type[T]], type[T]]:
    """Make a class a value: frozen, slotted, and registered under `kind` (`room.name`)."""

    def wrap(cls: type[T]) -> type[T]:
        check = cls.__dict__.get("__post_init__")

        def __post_init__(self: Any) -> None:
            for field in dataclasses.fields(self):
                part = _frozen(getattr(self, field.name), f"{cls.__name__}({field.name}=...)")
                object.__setattr__(self, field.name, part)
            if check is not None:
                check(self)

        cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
        made = dataclasses.dataclass(frozen=True, slots=True)(cls)
        made.__kind__ = kind  # type: ignore[attr-defined]
        _KINDS[kind] = made
        return made

    return wrap


def kind_of(part: Any) -> str:
    """The kind that a value is registered under."""
    kind = getattr(type(part), "__kind__", None)
    if kind is None:
        raise DefinitionError(f"expected a value made with @value, got {part!r:.200}")
    return str(kind)


def kinds(prefix: str = "") -> dict[str, type]:
    """The registered kinds that begin with `prefix`, entry points included."""
    _load_entry_points()
    return {kind: cls for kind, cls in sorted(_KINDS.items()) if kind.startswith(prefix)}


def to_json(part: Any, base: Path | None = None) -> Any:
    """The JSON form of a value, or of anything a value may hold; paths are written under `base`."""
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if hasattr(type(part), "__kind__"):
        data: dict[str, Any] = {"kind": kind_of(part)}
        for field in dataclasses.fields(part):
            data[field.name] = to_json(getattr(part, field.name), base)
        return data
    if isinstance(part, tuple | list):
        return [to_json(item, base) for item in part]
    if isinstance(part, Mapping):
        return {str(key): to_json(item, base) for key, item in part.items()}
    if isinstance(part, frozenset | set):
        return sorted(to_json(item, base) for item in part)
    if isinstance(part, timedelta):
        return {"kind": "duration", "microseconds": part // timedelta(microseconds=1)}
    if isinstance(part, datetime):
        return {"kind": "time", "at": part.astimezone(UTC).isoformat()}
    if isinstance(part, Path):
        roots = () if base is None else (base, base.absolute(), base.resolve())
        inside = next((root for root in roots if part.is_relative_to(root)), None)
        return {"kind": "path", "path": (part.relative_to(inside) if inside else part).as_posix()}
    if isinstance(part, FunctionType):
        return _function_to_json(part)
    if isinstance(part, type):
        return {"kind": "class", "name": f"{part.__module__}:{part.__qualname__}"}
    raise DefinitionError(
        f"expected something that a loop can be written down with, got {part!r:.200}",
        cure="make it a value with @value, or a function at module level",
    )


def from_json(data: Any, base: Path | None = None) -> Any:
    """The value that `to_json` wrote down; raises UnknownName with the nearest name."""
    if isinstance(data, list):
        return tuple(from_json(item, base) for item in data)
    if not isinstance(data, dict):
        return data
    if "kind" not in data:
        return {key: from_json(item, base) for key, item in data.items()}
    kind, rest = str(data["kind"]), {key: item for key, item in data.items() if key != "kind"}
    if kind in _PLAIN:
        try:
            return _PLAIN[kind](rest, base)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DefinitionError(f"expected a {kind} as to_json writes it, got {rest!r:.200}: {error!r}") from None
    if kind not in _KINDS:
        _load_entry_points()
    if kind not in _KINDS:
        raise UnknownName("kind", kind, [*_KINDS, *_PLAIN])
    cls = _KINDS[kind]
    names = [field.name for field in dataclasses.fields(cls)]
    for key in rest:
        if key not in names:
            raise UnknownName(f"key of {kind}", key, names)
    try:
        return cls(**{key: from_json(item, base) for key, item in rest.items()})
    except (TypeError, AttributeError) as error:
        raise DefinitionError(f"expected the keys of {kind}, got {sorted(rest)}: {error}") from None


_PLAIN: dict[str, Callable[[Mapping[str, Any], Path | None], Any]] = {
    "duration": lambda rest, _: timedelta(microseconds=rest["microseconds"]),
    "time": lambda rest, _: datetime.fromisoformat(rest["at"]),
    "path": lambda rest, base: (base or Path()) / rest["path"],
    "function": lambda rest, _: resolve(rest["name"]),
}
"""What a value may hold that is no value itself: how it comes back."""


def digest(part: Any, base: Path | None = None) -> str:
    """SHA-256 of a value's canonical JSON: the same on every machine."""
    return digest_json(to_json(part, base))


def source_digest(function: Callable[..., Any] | type) -> str:
    """SHA-256 of the source text of a function or class: the version of code that made a thing."""
    try:
        return sha256(inspect.getsource(function))
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return sha256(code.co_code if code else repr(function))


def name_of(function: Callable[..., Any]) -> str:
    """`module:qualname` of a function at module level; lambdas and closures are refused."""
    name = getattr(function, "__qualname__", "")
    if "<lambda>" in name or "<locals>" in name:
        raise DefinitionError(
            f"expected a function at module level, got {name}",
            cure="give it a name with def at the top level of an importable file",
        )
    return f"{function.__module__}:{name}"


def resolve(name: str) -> Any:
    """The object behind `module:qualname`."""
    module, _, path = name.partition(":")
    try:
        found: Any = sys.modules.get(module) or import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise DefinitionError(f"expected an importable module:function, got {name!r}: {error}") from None
    return found


def _function_to_json(function: FunctionType) -> dict[str, str]:
    return {"kind": "function", "name": name_of(function), "source": source_digest(function)}


def _frozen(part: Any, where: str) -> Any:
    if isinstance(part, list | tuple):
        items = [_frozen(item, where) for item in part]
        return tuple(items) if isinstance(part, list) else part
    if isinstance(part, set):
        return frozenset(part)
    if isinstance(part, dict):
        return FrozenDict({key: _frozen(item, where) for key, item in part.items()})
    if isinstance(part, FunctionType):
        name_of(part)
    if isinstance(part, type) and hasattr(part, "__kind__"):
        raise DefinitionError(
            f"expected a value in {where}, got the class {part.__name__}", cure=f"write {part.__name__}(...)"
        )
    return part


class FrozenDict(Mapping[str, Any]):
    """A mapping that hashes and never changes."""

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self._data = MappingProxyType(dict(data))

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Any:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._data.items(), key=lambda item: item[0])))

    def __repr__(self) -> str:
        return repr(dict(self._data))

    def __reduce__(self) -> Any:
        return (FrozenDict, (dict(self._data),))


@cache
def _load_entry_points() -> None:
    from importlib.metadata import entry_points

    for entry in entry_points(group="trueup.values"):
        entry.load()
