# SPDX-License-Identifier: Apache-2.0
"""What a trainer lacks is said before any data is prepared."""

from __future__ import annotations

from importlib.util import find_spec

from trueup.core import values
from trueup.core.errors import CapabilityMissing, MissingDependency
from trueup.core.protocols import Trainer


def refuse(trainer: Trainer, answers: str, stateful: bool = False, weights: bool = False) -> None:
    """Raise CapabilityMissing where the trainer cannot do what is asked of it.

    `answers` is the task's sort of answer; `stateful` is True where it shall go on from a model;
    `weights` where rows carry weights that differ. A trainer may name the packages that it needs
    in `requires`, as pairs (package, extra): MissingDependency where one is not installed.
    """
    for package, extra in getattr(trainer, "requires", ()):
        if find_spec(package) is None:
            raise MissingDependency(package, extra)
    can, name = trainer.capabilities, _name(trainer)
    if answers not in can.outputs:
        raise CapabilityMissing(
            f"expected a trainer whose answers are {answers!r}, got {name}, which gives {', '.join(can.outputs)}",
            cure="choose another trainer, or another Task(answers=...)",
        )
    if stateful and not can.stateful:
        raise CapabilityMissing(
            f"expected a trainer that can go on from a model, got {name}, which trains from scratch",
            cure="train from scratch, or choose a trainer whose capabilities say stateful",
        )
    if weights and not can.weights:
        raise CapabilityMissing(
            f"expected a trainer that weighs rows, got {name}, which does not",
            cure="leave the weights out of the recipe, or choose a trainer whose capabilities say weights",
        )


def goes_on(trainer: Trainer) -> bool:
    """Whether a loop shall let this trainer go on from its champion (`start="champion"`)."""
    return getattr(trainer, "start", None) == "champion"


def _name(trainer: Trainer) -> str:
    kind = values.kind_of(trainer) if hasattr(type(trainer), "__kind__") else type(trainer).__name__
    estimator = getattr(trainer, "estimator", None)
    return f"{kind} ({estimator})" if isinstance(estimator, str) else kind
