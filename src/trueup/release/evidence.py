# SPDX-License-Identifier: Apache-2.0
"""Evidence: one object for each kind, from the ledger's rows to what people read of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from trueup.core.errors import UnknownName
from trueup.core.facts import Fact, Note
from trueup.core.json import dumps
from trueup.core.values import kinds

if TYPE_CHECKING:
    from trueup.store import Ledger

Rows = dict[str, Any]
Result = dict[str, Any]
Parameters = Mapping[str, Any]
Method = Callable[["Ledger", str, dict[str, Any], int, int], Result]


@dataclass(frozen=True, slots=True)
class Check:
    """An assumption of a test: its name, whether it `holds`, and what was found, in words."""

    name: str
    holds: bool
    words: str


class Evidence:
    """A kind of evidence, known by the `name` that Decisions store as their method.

    `rows` reads the ledger; everything else is a pure function of what it is given. The `rows` of a
    kind are JSON: a receipt carries them, and `verdict` gives the same result from them anywhere.
    `deciding` kinds can carry the promise; their parameters hold the release's `level`. An override of
    `facts` gives facts of `trueup.core.facts`; its notes bring their own `text`.
    """

    name: str
    deciding: ClassVar[bool] = False
    portable: ClassVar[bool] = True
    """Its rows hold all that a verdict needs; else it overrides `result`, and only a ledger can recompute it."""
    name_dependent: ClassVar[tuple[str, ...]] = ("rows",)
    """The parts of a result that change when its units get other names."""

    def rows(self, ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int) -> Rows:
        """What the verdict rests on at this cut of the ledger and this moment (microseconds)."""
        raise NotImplementedError

    def verdict(self, rows: Rows, parameters: dict[str, Any], now: int) -> Result:
        """The result of these rows; no ledger, no model, no clock."""
        raise NotImplementedError

    def passes(self, result: Result, parameters: Parameters, now: int) -> bool:
        """Whether this result lets a challenger go on: nothing voids it, and what must be shown is."""
        raise NotImplementedError

    def private(self, rows: Rows, hide: Callable[[Any], str]) -> Rows | None:
        """The rows with each unit as `hide` gives it; None where they must not leave the ledger."""
        return None

    def checks(self, result: Result) -> tuple[Check, ...]:
        """The assumptions behind a result."""
        return (Check("evidence", not result.get("invalid"), str(result.get("invalid") or "valid")),)

    def changed(self, parameters: dict[str, Any]) -> str | None:
        """What is wrong with its parts now: code that is another than when it began, or gone."""
        return None

    def facts(self, result: Result, parameters: Parameters) -> tuple[Fact, ...]:
        """What the result states to people."""
        return ()

    def summary(self, result: Result, parameters: Parameters) -> Note:
        """The result in one statement."""
        return Note("evidence.recomputed", {"name": self.name}, "{name}")

    def progress(self, result: Result, parameters: Parameters) -> dict[str, Any]:
        """How far it is: {"units", "horizon"}, and where there is one test {"evidence", "line"}."""
        return {"units": result.get("units", 0), "horizon": parameters.get("horizon")}

    def counterfactual(self, rows: Rows, parameters: dict[str, Any], now: int) -> Note | None:
        """The shortest change of what was seen that would have turned the verdict."""
        return None

    def winner(self, result: Result, parameters: Parameters) -> str | None:
        """The candidate that it chose among several; None where it chooses none."""
        return None

    def result(self, ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int) -> Result:
        """Rows and verdict in one."""
        return self.verdict(self.rows(ledger, loop, parameters, cut, now), parameters, now)

    def same(self, one: Result, other: Result) -> bool:
        """Whether two results are equal bit by bit, but for what depends on the units' names."""
        first, second = ({name: part for name, part in each.items() if name not in self.name_dependent} for each in (one, other))
        return dumps(first) == dumps(second)


def drawn_checks(result: dict[str, Any]) -> tuple[Check, ...]:
    """The assumptions of a test whose units were drawn to arms."""
    ratio = result.get("sample_ratio")
    ratios = {"": ratio} if ratio and "wealth" in ratio else (ratio or {})
    checks = [
        Check(f"sample ratio {which}".strip(), one["wealth"] < one["line"], f"evidence against it {one['wealth']:.3g}, line {one['line']:.3g}")
        for which, one in ratios.items()
    ]
    why = str(result.get("invalid") or "")
    checks.append(Check("propensities", "propensity" not in why, why if "propensity" in why else "logged, within (0, 1)"))
    checks.append(Check("clustering", "two arms" not in why, why if "two arms" in why else "a unit counts once, in one arm"))
    if why and all(one.holds for one in checks):
        checks.append(Check("evidence", False, why))
    return tuple(checks)


class FunctionEvidence(Evidence):
    """A kind that is one function of the ledger: it has no rows to show, and decides nothing."""

    portable = False

    def __init__(self, name: str, function: Method) -> None:
        self.name, self._function = name, function

    def result(self, ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int) -> Result:
        return self._function(ledger, loop, parameters, cut, now)

    def passes(self, result: Result, parameters: Parameters, now: int) -> bool:
        return False


METHODS: dict[str, Evidence] = {}
"""The kinds of evidence by the name that Decisions store as their method."""
E = TypeVar("E", bound=type[Evidence])


def evidence(cls: E) -> E:
    """Register a kind of evidence under its name; a plug-in's module is found as that of its values."""
    one = cls()
    METHODS[one.name] = one
    return cls


def method(name: str) -> Callable[[Method], Method]:
    """Register a pure function (ledger, loop, parameters, cut, now) -> result that has no rows to show."""

    def register(function: Method) -> Method:
        METHODS[name] = FunctionEvidence(name, function)
        return function

    return register


BUILT_IN = ("guardrails", "shadow.evidence", "experiments.evidence", "experiments.sessions")
"""The modules of this room that register kinds of evidence."""


def load_kinds() -> None:
    """Register the kinds of this room, and of plug-ins: evidence stands in the modules of their values."""
    for module in BUILT_IN:
        import_module(f"trueup.release.{module}")
    kinds()


def evidence_of(name: object) -> Evidence:
    """The kind of evidence of this name, those of plug-ins included; raises UnknownName."""
    if name not in METHODS:
        load_kinds()
    if name not in METHODS:
        raise UnknownName("method of evidence", str(name), METHODS)
    return METHODS[str(name)]


def least(turned: Callable[[int], bool], most: int) -> int | None:
    """The least k from 1 to `most` at which a verdict turns, by bisection; None where none does."""
    if most < 1 or not turned(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if turned(middle) else (middle, high)
    return high
