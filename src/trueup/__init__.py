# SPDX-License-Identifier: Apache-2.0
"""Trueup keeps a model in production true: it retrains, and releases only what is shown no worse."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trueup.client import connect
    from trueup.core.money import Spend
    from trueup.core.parameters import Parameter
    from trueup.core.protocols import Budget
    from trueup.core.secrets import Env, File
    from trueup.core.task import Outcome, Task
    from trueup.core.version import __version__ as __version__
    from trueup.loop import Loop
    from trueup.release import Risk

_HOMES = {
    "Budget": "trueup.core.protocols",
    "Env": "trueup.core.secrets",
    "File": "trueup.core.secrets",
    "Loop": "trueup.loop",
    "Outcome": "trueup.core.task",
    "Parameter": "trueup.core.parameters",
    "Risk": "trueup.release",
    "Spend": "trueup.core.money",
    "Task": "trueup.core.task",
    "__version__": "trueup.core.version",
    "connect": "trueup.client",
}

__all__ = ["Budget", "Env", "File", "Loop", "Outcome", "Parameter", "Risk", "Spend", "Task", "connect"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'trueup' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
