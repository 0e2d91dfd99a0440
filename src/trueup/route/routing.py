# SPDX-License-Identifier: Apache-2.0
"""The routing state: who is champion, who challenges, and which slices of the units are enrolled."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

from trueup.core.errors import ArgumentError, DataError, UnknownName
from trueup.core.values import FrozenDict

Arm: TypeAlias = Literal["champion", "challenger"]
ARMS: tuple[Arm, ...] = ("champion", "challenger")
DIGITS = 12
"""Ends of slices are rounded to so many digits, so that .02 + .08 is .1."""


class Assigned(NamedTuple):
    """What a unit gets. `propensity` is P(challenger) for an enrolled unit, whatever was drawn."""

    arm: Arm
    candidate: str | None
    propensity: float | None = None
    enrolled: bool = False
    stage: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """The units at [start, stop) of [0, 1); each of them gets the challenger with probability pi.

    `stage` says which step of the release opened it. Raises ArgumentError unless
    0 <= start < stop <= 1, 0 < pi < 1 and stage >= 0.
    """

    start: float
    stop: float
    pi: float = 0.5
    stage: int = 0

    def __post_init__(self) -> None:
        for name in ("start", "stop", "pi"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if not 0.0 <= self.start < self.stop <= 1.0:
            raise ArgumentError(f"expected 0 <= start < stop <= 1, got [{self.start!r}, {self.stop!r})")
        if not 0.0 < self.pi < 1.0:
            raise ArgumentError(
                f"expected pi between 0 and 1, got {self.pi!r}",
                cure="an arm that nobody can get cannot be scored: end the release instead",
            )
        if not isinstance(self.stage, int) or isinstance(self.stage, bool) or self.stage < 0:
            raise ArgumentError(f"expected a stage of 0 or more, got {self.stage!r}")

    @property
    def share(self) -> float:
        """The share of all units that get the challenger through this slice."""
        return (self.stop - self.start) * self.pi


class Cuts(NamedTuple):
    """A routing made ready for `assign`: 64-bit cut points, salts as bytes, and every answer."""

    edges: tuple[int, ...]
    salt_in: bytes
    salt_arm: bytes
    inside: tuple[tuple[int, Assigned, Assigned], ...]
    outside: Assigned


@dataclass(frozen=True, slots=True)
class Routing:
    """One immutable routing state, with the generation of the Decision that made it.

    Slices are in order and do not overlap. Raises ArgumentError where they do, where there are
    slices without a challenger or a salt, and where a salt holds NUL.
    """

    champion: str | None
    challenger: str | None = None
    release: str | None = None
    salt: str = ""
    slices: Sequence[Slice] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    generation: int = 0
    cuts: Cuts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("champion", "challenger", "release"):
            text = getattr(self, name)
            if text is not None and (not isinstance(text, str) or not text):
                raise ArgumentError(f"expected {name} as an id or None, got {text!r:.80}")
        object.__setattr__(self, "slices", tuple(self.slices))
        object.__setattr__(self, "parameters", _parameters(self.parameters))
        _check_slices(self)
        object.__setattr__(self, "cuts", _cut(self))

    @property
    def share(self) -> float:
        """The share of all units that get the challenger."""
        return round(sum(part.share for part in self.slices), DIGITS)

    def to_json(self) -> dict[str, Any]:
        """The form that stands in a loop's state under "routing"; the generation is the state's."""
        return {
            "champion": self.champion,
            "challenger": self.challenger,
            "release": self.release,
            "salt": self.salt,
            "slices": [
                {"start": s.start, "stop": s.stop, "pi": s.pi, "stage": s.stage} for s in self.slices
            ],
            "parameters": _thaw(self.parameters),
        }

    @classmethod
    def from_json(cls, data: Any, generation: int = 0) -> Routing:
        """The inverse of `to_json`; raises DataError, UnknownName or ArgumentError."""
        keys = ("champion", "challenger", "release", "salt", "slices", "parameters")
        data = _fields(data, "the routing state", keys, needed=("champion",))
        slices = data.get("slices", [])
        if not isinstance(slices, list | tuple):
            raise DataError(f"expected a list of slices, got {slices!r:.80}")
        names = ("start", "stop", "pi", "stage")
        parts = tuple(Slice(**_fields(part, "a slice", names, needed=names)) for part in slices)
        return cls(**{**data, "slices": parts}, generation=generation)


def raise_share(routing: Routing, share: float, *, pi: float = 0.5, stage: int = 0) -> Routing:
    """Raise the challenger's share of all units to `share`, by one fresh slice.

    `share` is cumulative. The slice holds (share - present share) / pi of the units and begins
    where the last one ends; those before it stay as they are, so that units move only from the
    champion to the challenger. At pi = .5 the shares .01, .05 and .25 give the slices [0, .02),
    [.02, .10) and [.10, .50). Raises ArgumentError where the share does not rise, or where more
    units would be needed than there are.

    >>> raise_share(Routing("c-1", "c-2", "r-1", "r-1"), 0.01).slices
    (Slice(start=0.0, stop=0.02, pi=0.5, stage=0),)
    """
    share, pi = _number("share", share), _number("pi", pi)
    present, start = routing.share, routing.slices[-1].stop if routing.slices else 0.0
    if not 0.0 < pi < 1.0:
        raise ArgumentError(f"expected pi between 0 and 1, got {pi!r}")
    if not share > present:
        raise ArgumentError(
            f"expected a share above the present {present:g}, got {share:g}",
            cure="shares are cumulative and only rise; to take units back, end the release",
        )
    stop = round(start + (share - present) / pi, DIGITS)
    stop = 1.0 if abs(stop - 1.0) < 1e-9 else stop
    if stop > 1.0:
        raise ArgumentError(
            f"expected a share of at most {present + (1.0 - start) * pi:g} at pi = {pi:g}, got {share:g}",
            cure=f"raise pi: {(share - present) / pi:g} of the units would be needed, {1.0 - start:g} are left",
        )
    if not stop > start:
        raise ArgumentError(f"expected a share that rises by 1e-12 at least, got {share!r} after {present!r}")
    return replace(routing, slices=(*routing.slices, Slice(start, stop, pi, stage)))


def _check_slices(routing: Routing) -> None:
    if not isinstance(routing.salt, str) or "\0" in routing.salt:
        raise ArgumentError(f"expected a salt as text without NUL, got {routing.salt!r:.80}")
    if routing.slices and not (routing.challenger and routing.salt):
        raise ArgumentError(
            f"expected a challenger and a salt where slices are open, got challenger {routing.challenger!r}, "
            f"salt {routing.salt!r:.80}"
        )
    end = 0.0
    for part in routing.slices:
        if part.start < end:
            raise ArgumentError(f"expected slices in order that do not overlap, got {routing.slices!r:.200}")
        end = part.stop


def _cut(routing: Routing) -> Cuts:
    edges: list[int] = []
    inside: list[tuple[int, Assigned, Assigned]] = []
    for part in routing.slices:
        edges += (int(math.ldexp(part.start, 64)), int(math.ldexp(part.stop, 64)))
        challenger = Assigned("challenger", routing.challenger, part.pi, True, part.stage)
        champion = Assigned("champion", routing.champion, part.pi, True, part.stage)
        inside.append((int(math.ldexp(part.pi, 64)), challenger, champion))
    try:
        salt_in, salt_arm = f"{routing.salt}/in\0".encode(), f"{routing.salt}/arm\0".encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"expected a salt in valid Unicode, got {routing.salt!r:.80}") from None
    return Cuts(tuple(edges), salt_in, salt_arm, tuple(inside), Assigned("champion", routing.champion))


def _parameters(given: Any) -> FrozenDict:
    data = _fields(given, "parameters", ARMS)
    for arm in ARMS:
        if not isinstance(data.get(arm, {}), Mapping):
            raise DataError(f"expected the parameters of the {arm} as an object, got {data[arm]!r:.80}")
    return FrozenDict([(arm, _freeze(data.get(arm, {}))) for arm in ARMS])


def _fields(data: Any, what: str, known: Sequence[str], needed: Sequence[str] = ()) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise DataError(f"expected {what} as an object, got {data!r:.80}")
    for key in data:
        if key not in known:
            raise UnknownName(f"key of {what}", str(key), known)
    missing = [key for key in needed if key not in data]
    if missing:
        raise DataError(f"expected {', '.join(missing)} in {what}, got {sorted(data)}")
    return dict(data)


def _number(name: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) <= sys.float_info.max:
        raise ArgumentError(f"expected {name} as a number, got {given!r:.80}")
    return float(given)


def _freeze(part: Any) -> Any:
    if isinstance(part, Mapping):
        return FrozenDict({key: _freeze(item) for key, item in part.items()})
    return tuple(_freeze(item) for item in part) if isinstance(part, list | tuple) else part


def _thaw(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {key: _thaw(item) for key, item in part.items()}
    return [_thaw(item) for item in part] if isinstance(part, tuple) else part
