# SPDX-License-Identifier: Apache-2.0
"""Routing state and assignment: which arm a unit gets, with what propensity. Pure, and light."""

from trueup.route.assignment import assign, position
from trueup.route.growthbook import growthbook_hash
from trueup.route.policy import probabilities, vector
from trueup.route.routing import Assigned, Routing, Slice, Span, raise_share

__all__ = [
    "Assigned",
    "Routing",
    "Slice",
    "Span",
    "assign",
    "growthbook_hash",
    "position",
    "probabilities",
    "raise_share",
    "vector",
]
