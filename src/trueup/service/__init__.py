# SPDX-License-Identifier: Apache-2.0
"""Floor 9: `up`, one process that looks, trains, releases and alerts for months; durable runs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueup.service._runs import Run, RunSteps, abandon, runs, steps_of
    from trueup.service.board import service
    from trueup.service.durable import Durable
    from trueup.service.keeper import Pace
    from trueup.service.log import Line
    from trueup.service.serve import Service, up
    from trueup.service.tick import PROJECTIONS, Projection, project

_HOMES = {
    "PROJECTIONS": "tick", "Line": "log", "Pace": "keeper", "Projection": "tick", "Service": "serve",
    "Durable": "durable", "Run": "_runs", "RunSteps": "_runs", "abandon": "_runs", "runs": "_runs",
    "steps_of": "_runs",
    "project": "tick", "service": "board", "up": "serve",
}

__all__ = [
    "PROJECTIONS", "Durable", "Line", "Pace", "Projection", "Run", "RunSteps", "Service", "abandon", "project", "runs",
    "service", "steps_of", "up",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # `status` asks who holds a home, and waits for nothing else
        return getattr(import_module(f"trueup.service.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'trueup.service' has no attribute {name!r}")
