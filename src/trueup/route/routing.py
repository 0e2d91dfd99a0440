# SPDX-License-Identifier: Apache-2.0
"""The routing state: who is champion, who challenges, and which slices of the units are enrolled."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

from trueup.core.errors import ArgumentError, DataError, UnknownName
from trueup.core.values import FrozenDict
from trueup.route.growthbook import HASHINGS, Hashing
from trueup.route.policy import checked

Arm: TypeAlias = Literal["champion", "challenger"]
ARMS: tuple[Arm, ...] = ("champion", "challenger")
DIGITS = 12
"""Ends of slices are rounded to so many digits, so that .02 + .08 is .1."""


class Assigned(NamedTuple):
    """What a unit gets.

    `propensity` is P(challenger) for an enrolled unit, whatever was drawn; with more arms it is
    P(the drawn arm) for a challenger and 1 - P(champion) for the champion, and `probabilities`
    holds those of all arms. `override` marks a unit whose arm was set by hand: it never counts.
    """

    arm: str
    candidate: str | None
    propensity: float | None = None
    enrolled: bool = False
    stage: int | None = None
    probabilities: tuple[tuple[str, float], ...] | None = None
    override: bool = False


class Span(NamedTuple):
    """Units whose position under `salt` lies in [start, stop) may be enrolled; the others may not.

    A holdback is the span [share, 1) under a salt of its own; loops that share a layer hold spans
    under its name that do not overlap, and so never enrol the same unit.
    """

    salt: str
    start: float
    stop: float


@dataclass(frozen=True, slots=True)
class Slice:
    """The units at [start, stop) of [0, 1); each of them gets a challenger with probability pi.

    `stage` says which step of the release opened it. `weights` are the probabilities of the
    challengers where there are several, by name and in order (pi is then their sum), and `policy`
    makes the probabilities of all arms follow from the context. Raises ArgumentError unless
    0 <= start < stop <= 1, 0 < pi < 1 (1 with weights) and stage >= 0.
    """

    start: float
    stop: float
    pi: float = 0.5
    stage: int = 0
    weights: tuple[tuple[str, float], ...] = ()
    policy: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        weights = tuple((str(name), _number("a weight", p)) for name, p in self.weights)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "policy", _freeze(self.policy))
        for name in ("start", "stop", "pi"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if not 0.0 <= self.start < self.stop <= 1.0:
            raise ArgumentError(f"expected 0 <= start < stop <= 1, got [{self.start!r}, {self.stop!r})")
        if weights:
            total = sum(p for _, p in weights)
            if any(not 0.0 < p <= 1.0 for _, p in weights) or total > 1.0 + 1e-9 or abs(total - self.pi) > 1e-9:
                raise ArgumentError(f"expected weights above 0 with the sum pi = {self.pi:g}, got {weights!r:.200}")
            names = [name for name, _ in weights]
            if "champion" in names or len(set(names)) < len(names):
                raise ArgumentError(
                    f"expected one weight for each challenger, got {names!r:.200}",
                    cure="add the weights of one arm together; the champion has what the others leave",
                )
        elif not 0.0 < self.pi < 1.0:
            raise ArgumentError(
                f"expected pi between 0 and 1, got {self.pi!r}",
                cure="an arm that nobody can get cannot be scored: end the release instead",
            )
        if not isinstance(self.stage, int) or isinstance(self.stage, bool) or self.stage < 0:
            raise ArgumentError(f"expected a stage of 0 or more, got {self.stage!r}")

    def to_json(self) -> dict[str, Any]:
        """The slice as plain JSON; what is not used is left out."""
        data: dict[str, Any] = {"start": self.start, "stop": self.stop, "pi": self.pi, "stage": self.stage}
        if self.weights:
            data["weights"] = [list(pair) for pair in self.weights]
        if self.policy is not None:
            data["policy"] = _thaw(self.policy)
        return data

    @property
    def share(self) -> float:
        """The share of all units that get the challenger through this slice."""
        return (self.stop - self.start) * self.pi


class Inside(NamedTuple):
    """A slice made ready: the arm is `answers[i]` for a position between bounds i-1 and i."""

    bounds: tuple[int, ...]
    answers: tuple[Assigned, ...]
    part: Slice


class Cuts(NamedTuple):
    """A routing made ready for `assign`: 64-bit cut points, salts as bytes, and every answer."""

    edges: tuple[int, ...]
    salt_in: bytes
    salt_arm: bytes
    inside: tuple[Inside, ...]
    outside: Assigned
    within: tuple[tuple[bytes, int, int], ...]
    overrides: Mapping[str, Assigned]
    plain: bool


_FIELDS = (
    "champion", "challenger", "release", "salt", "slices", "parameters", "arms", "within", "overrides", "hashing",
)


@dataclass(frozen=True, slots=True)
class Routing:
    """One immutable routing state, with the generation of the Decision that made it.

    Slices are in order and do not overlap. `arms` names the candidates of the challengers where
    there are several. A unit is enrolled only if it lies in every span of `within`; `overrides`
    gives units an arm by hand. `hashing` is "xxh3", or GrowthBook's hash under the salt as its
    seed. Raises ArgumentError where slices overlap, where there are slices without a challenger or
    a salt, and where a salt holds NUL.
    """

    champion: str | None
    challenger: str | None = None
    release: str | None = None
    salt: str = ""
    slices: Sequence[Slice] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    generation: int = 0
    arms: Mapping[str, str] = field(default_factory=dict)
    within: Sequence[Span] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    hashing: Hashing = "xxh3"
    cuts: Cuts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("champion", "challenger", "release"):
            text = getattr(self, name)
            if text is not None and (not isinstance(text, str) or not text):
                raise ArgumentError(f"expected {name} as an id or None, got {text!r:.80}")
        object.__setattr__(self, "slices", tuple(self.slices))
        object.__setattr__(self, "arms", FrozenDict(_fields(self.arms, "arms")))
        object.__setattr__(self, "within", tuple(Span(*span) for span in self.within))
        object.__setattr__(self, "overrides", FrozenDict(_fields(self.overrides, "overrides")))
        object.__setattr__(self, "parameters", _parameters(self.parameters, self.names))
        _check_slices(self)
        _check_population(self)
        object.__setattr__(self, "cuts", _cut(self))

    @property
    def names(self) -> tuple[str, ...]:
        """The arms: the champion first, then the challengers."""
        return ("champion", *self.arms) if self.arms else ARMS

    @property
    def share(self) -> float:
        """The share of all units that get a challenger."""
        return round(sum(part.share for part in self.slices), DIGITS)

    def candidate(self, arm: str) -> str | None:
        """The candidate that answers for an arm."""
        return self.champion if arm == "champion" else self.arms.get(arm, self.challenger)

    def to_json(self) -> dict[str, Any]:
        """The form that stands in a loop's state under "routing"; the generation is the state's."""
        data: dict[str, Any] = {
            "champion": self.champion,
            "challenger": self.challenger,
            "release": self.release,
            "salt": self.salt,
            "slices": [part.to_json() for part in self.slices],
            "parameters": _thaw(self.parameters),
        }
        if self.arms:
            data["arms"] = dict(self.arms)
        if self.within:
            data["within"] = [span._asdict() for span in self.within]
        if self.overrides:
            data["overrides"] = dict(self.overrides)
        if self.hashing != "xxh3":
            data["hashing"] = self.hashing
        return data

    @classmethod
    def from_json(cls, data: Any, generation: int = 0) -> Routing:
        """The inverse of `to_json`; raises DataError, UnknownName or ArgumentError."""
        data = _fields(data, "the routing state", _FIELDS, needed=("champion",))
        needed = ("start", "stop", "pi", "stage")
        parts = tuple(
            Slice(**_fields(part, "a slice", (*needed, "weights", "policy"), needed=needed))
            for part in _listed(data, "slices")
        )
        spans = tuple(
            Span(**_fields(span, "a span", Span._fields, needed=Span._fields)) for span in _listed(data, "within")
        )
        return cls(**{**data, "slices": parts, "within": spans}, generation=generation)


def raise_share(routing: Routing, share: float, *, pi: float = 0.5, stage: int = 0) -> Routing:
    """Raise the challenger's share of all units to `share`, by one fresh slice.

    `share` is cumulative. The slice holds (share - present share) / pi of the units and begins
    where the last one ends; those before it stay as they are, so that units move only from the
    champion to the challenger. At pi = .5 the shares .01, .05 and .25 give the slices [0, .02),
    [.02, .10) and [.10, .50). Raises ArgumentError where the share does not rise, or where more
    units would be needed than there are.

    >>> raise_share(Routing("c-1", "c-2", "r-1", "r-1"), 0.01).slices
    (Slice(start=0.0, stop=0.02, pi=0.5, stage=0, weights=(), policy=None),)
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


def _check_population(routing: Routing) -> None:
    """Spans, overrides, arms and policies are ones that can be drawn from."""
    if routing.hashing not in HASHINGS:
        raise ArgumentError(f"expected hashing out of {list(HASHINGS)}, got {routing.hashing!r:.80}")
    for span in routing.within:
        if not isinstance(span.salt, str) or not 0.0 <= _number("start", span.start) < _number("stop", span.stop) <= 1.0:
            raise ArgumentError(f"expected spans [start, stop) of [0, 1), got {span!r:.120}")
    for arm in routing.overrides.values():
        if arm not in routing.names:
            raise UnknownName("arm", str(arm), routing.names)
    for part in routing.slices:
        for name, _ in part.weights:
            if name not in routing.names[1:]:
                raise UnknownName("arm", name, routing.names[1:])
        if part.policy is not None:
            checked(part.policy, routing.names)


def drawn(routing: Routing, part: Slice, weights: Sequence[tuple[str, float]], told: bool) -> Inside:
    """A slice whose challengers are drawn with these probabilities; `told`: all are to be logged."""
    left = max(0.0, 1.0 - sum(p for _, p in weights))
    every = (("champion", left), *weights) if told else None
    bounds, answers, edge = [], [], 0.0
    for name, p in weights:
        edge = min(1.0, edge + p)
        bounds.append(int(math.ldexp(edge, 64)))
        answers.append(Assigned(name, routing.candidate(name), p, True, part.stage, every))
    answers.append(Assigned("champion", routing.champion, 1.0 - left, True, part.stage, every))
    return Inside(tuple(bounds), tuple(answers), part)


def _cut(routing: Routing) -> Cuts:
    edges: list[int] = []
    inside: list[Inside] = []
    for part in routing.slices:
        edges += (int(math.ldexp(part.start, 64)), int(math.ldexp(part.stop, 64)))
        if part.weights:
            inside.append(drawn(routing, part, part.weights, told=True))
        else:
            bounds = (int(math.ldexp(part.pi, 64)),)
            two = [Assigned(arm, routing.candidate(arm), part.pi, True, part.stage) for arm in ("challenger", "champion")]
            inside.append(Inside(bounds, tuple(two), part))
    try:
        salt_in, salt_arm = f"{routing.salt}/in\0".encode(), f"{routing.salt}/arm\0".encode()
        within = tuple(
            (f"{span.salt}\0".encode(), int(math.ldexp(span.start, 64)), int(math.ldexp(span.stop, 64)))
            for span in routing.within
        )
    except UnicodeEncodeError:
        raise ArgumentError(f"expected a salt in valid Unicode, got {routing.salt!r:.80}") from None
    overrides = {
        unit: Assigned(arm, routing.candidate(arm), override=True) for unit, arm in routing.overrides.items()
        if routing.candidate(arm) is not None
    }
    plain = not within and not overrides and routing.hashing == "xxh3" and not any(part.policy for part in routing.slices)
    return Cuts(
        tuple(edges), salt_in, salt_arm, tuple(inside), Assigned("champion", routing.champion), within, overrides, plain,
    )


def _parameters(given: Any, names: Sequence[str]) -> FrozenDict:
    data = _fields(given, "parameters", names)
    for arm in names:
        if not isinstance(data.get(arm, {}), Mapping):
            raise DataError(f"expected the parameters of the {arm} as an object, got {data[arm]!r:.80}")
    return FrozenDict([(arm, _freeze(data.get(arm, {}))) for arm in names])


def _listed(data: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = data.get(name, [])
    if not isinstance(found, list | tuple):
        raise DataError(f"expected a list of {name}, got {found!r:.80}")
    return found


def _fields(
    data: Any, what: str, known: Iterable[str] | None = None, needed: Sequence[str] = ()
) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise DataError(f"expected {what} as an object, got {data!r:.80}")
    for key in data:
        if known is not None and key not in known:
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
