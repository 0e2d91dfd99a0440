# SPDX-License-Identifier: Apache-2.0
"""Floor 8: `up`, one process that looks, trains, releases and alerts for months; durable runs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueup.service.board import service
    from trueup.service.keeper import Pace
    from trueup.service.log import Line
    from trueup.service.serve import Service, up
    from trueup.service.tick import PROJECTIONS, Projection, project

_HOMES = {
    "PROJECTIONS": "tick", "Line": "log", "Pace": "keeper", "Projection": "tick", "Service": "serve",
    "project": "tick", "service": "board", "up": "serve",
}

__all__ = ["PROJECTIONS", "Line", "Pace", "Projection", "Service", "project", "service", "up"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:  # `status` asks who holds a home, and waits for nothing else
        return getattr(import_module(f"trueup.service.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'trueup.service' has no attribute {name!r}")
