# SPDX-License-Identifier: Apache-2.0
"""A loop: one frozen value that says everything about one task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trueup.alerts import AlertFile, AlertLog, Channel
from trueup.core import values
from trueup.core.errors import DefinitionError
from trueup.core.money import Spend
from trueup.core.protocols import Budget, Trainer, Trigger
from trueup.core.task import Outcome, Task
from trueup.core.values import value
from trueup.release import AB, Approval, Bandit, Population, Risk, Shadow, Stage, carrier
from trueup.triggers import Cron, Manual

if TYPE_CHECKING:
    from trueup.data import Recipe
    from trueup.evaluate import Gate
    from trueup.loop.check import Problem
    from trueup.loop.plan import Plan
    from trueup.registry import Keep, Publisher
    from trueup.store import Ledger

_NAME = re.compile(r"[a-z][a-z0-9-]{1,62}")


def _recipe() -> Recipe:
    """The default recipe; the room of data is loaded when it is first needed."""
    from trueup.data import Recipe

    return Recipe()


@value("loop")
class Loop:
    """What is measured, when to look and when to train, on which rows, and how it is released.

    `name` is small letters, digits and dashes; `task` says what is asked and answered, `outcomes`
    how it went. `champion` is the model that serves at first (None: the first one trained that
    passes its floors). `target` names the label outcome to learn (None: the only one). `look` says
    when to ask, `when` holds the reasons to train (any), `unless` those not to (any); detectors
    among them share `false_alarms_per_year` with those of `watch`, which alert people and train nothing. `recipe` makes the dataset and `trainer` fits it; a
    candidate must pass all `gates`, then the stages of `release` under the levels of `risk`.
    `publish` names the registries in which all of it is shown, such as `Mlflow()`.
    `price` is what an hour of training costs, `budget` the time, the memory and the money that a
    training may take. `when_busy`: a newer candidate replaces one that waits, or no training begins while a
    release runs. `mode`: observe reads and reports what it would do, and writes nothing but its
    reports; propose asks people, as `proposal` says, before each release; act asks only where a stage
    does. `alerts` are the channels that tell people what needs them. `population` says which units
    releases may draw from. `keep` says what `up` leaves of models that never served, such as
    `Keep(weekly=8, monthly=24)`: the rest goes, once a day (None: nothing does). `seed` fixes every draw.
    """

    name: str
    task: Task
    outcomes: Sequence[Outcome]
    trainer: Trainer
    recipe: Recipe = field(default_factory=_recipe)
    champion: Any = None
    target: str | None = None
    look: Cron = Cron("0 2 * * *")
    when: Sequence[Trigger] = ()
    unless: Sequence[Trigger] = ()
    watch: Sequence[Trigger] = ()
    false_alarms_per_year: float = 1.0
    gates: Sequence[Gate] = ()
    release: Sequence[Stage] = ()
    risk: Risk = Risk()
    population: Population = Population()
    publish: Sequence[Publisher] = ()
    price: Spend | None = None
    budget: Budget = Budget()
    when_busy: Literal["replace", "wait"] = "replace"
    mode: Literal["observe", "propose", "act"] = "act"
    proposal: Approval = Approval()
    alerts: Sequence[Channel] = (AlertFile(), AlertLog())
    keep: Keep | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DefinitionError(
                f"expected a name of small letters, digits and dashes, got {self.name!r}"
            )
        if self.mode not in ("observe", "propose", "act"):
            raise DefinitionError(f"expected mode observe, propose or act, got {self.mode!r}")
        if self.when_busy not in ("replace", "wait"):
            raise DefinitionError(f"expected when_busy replace or wait, got {self.when_busy!r}")
        if not self.false_alarms_per_year > 0:
            raise DefinitionError(
                f"expected false_alarms_per_year above 0, got {self.false_alarms_per_year!r}"
            )
        self._check_parts()
        self.budget.paid(self.price)

    def _check_parts(self) -> None:
        """Every part is what its place asks for."""
        kinds: dict[str, Any] = {
            "task": Task, "look": Cron, "risk": Risk, "trainer": Trainer, "price": Spend | None, "budget": Budget, "proposal": Approval,
            "population": Population,
        }
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise DefinitionError(f"expected a {name}, got {getattr(self, name)!r:.200} in {name}")
        if getattr(type(self.recipe), "__kind__", "") != "recipe":
            raise DefinitionError(f"expected a Recipe, got {self.recipe!r:.200} in recipe")
        if self.keep is not None:
            from trueup.registry import Keep

            if not isinstance(self.keep, Keep):
                raise DefinitionError(f"expected a Keep, got {self.keep!r:.200} in keep", cure="keep=Keep(weekly=8, monthly=24)")
        lists: dict[str, Any] = {"outcomes": Outcome, "when": Trigger, "unless": Trigger, "watch": Trigger, "release": Stage, "alerts": Channel}
        if self.gates:
            from trueup.evaluate import Gate

            lists["gates"] = Gate
        if self.publish:
            from trueup.registry import Publisher

            lists["publish"] = Publisher
        for name, kind in lists.items():
            parts = getattr(self, name)
            if not isinstance(parts, tuple):
                raise DefinitionError(
                    f"expected a list of {kind.__name__.lower()}s in {name}, got {parts!r:.200}",
                    cure=f"write {name}=[{parts!r:.200}]",
                )
            for part in parts:
                if not isinstance(part, kind):
                    raise DefinitionError(f"expected {kind.__name__.lower()}s in {name}, got {part!r:.200}")

    @property
    def label(self) -> Outcome:
        """The label outcome to learn."""
        found = [one for one in self.outcomes if one.label and self.target in (None, one.name)]
        if len(found) != 1:
            raise DefinitionError(
                f"expected one label outcome to learn, got {self.target or [o.name for o in self.outcomes]}",
                cure="declare Outcome.of_input(name), and name it in Loop(target=...)",
            )
        return found[0]

    @property
    def reasons(self) -> tuple[Trigger, ...]:
        """`when`, and a person's request, which every loop obeys."""
        asked = any(isinstance(part, Manual) for part in self.when)
        return tuple(self.when) if asked else (*self.when, Manual())

    @property
    def carrier(self) -> Shadow | AB | Bandit | None:
        """The stage that carries the promise: the paired shadow, or else the first experiment."""
        found: Shadow | AB | Bandit | None = carrier(self.release)
        return found

    def golden(self) -> list[Any]:
        """The golden sets that gates name, each once: always excluded from training."""
        found: dict[str, Any] = {}
        for gate in self.gates:
            found.setdefault(gate.on.name, gate.on)
        return list(found.values())

    def to_json(self, base: Path | None = None) -> Any:
        """The loop as plain JSON; files are written relative to `base`."""
        return values.to_json(self, base)

    def digest(self, base: Path | None = None) -> str:
        """SHA-256 of its JSON: what a run is pinned to."""
        return values.digest(self, base)

    def check(self) -> list[Problem]:
        """What cannot work, found before anything runs."""
        from trueup.loop.check import check

        return check(self)

    def plan(self, ledger: Ledger, now: datetime | None = None) -> Plan:
        """What the loop would do now, and why. Changes nothing."""
        from trueup.loop.plan import plan

        return plan(self, ledger, now)
