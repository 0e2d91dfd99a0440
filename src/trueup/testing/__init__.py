# SPDX-License-Identifier: Apache-2.0
"""Floor 10: simulate a loop in a test, and check a part of one's own."""

from trueup.core.clock import ManualClock
from trueup.testing.conformance import (
    check_publisher,
    check_scorer,
    check_stage,
    check_trainer,
    check_trigger,
    check_value,
)
from trueup.testing.language import tiny_causal_lm
from trueup.testing.simulate import Simulation, Traffic, simulate
from trueup.testing.toys import ToyTraffic, toy_history, toy_rows

__all__ = [
    "ManualClock",
    "Simulation",
    "ToyTraffic",
    "Traffic",
    "check_publisher",
    "check_scorer",
    "check_stage",
    "check_trainer",
    "check_trigger",
    "check_value",
    "simulate",
    "tiny_causal_lm",
    "toy_history",
    "toy_rows",
]
