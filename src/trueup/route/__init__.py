# SPDX-License-Identifier: Apache-2.0
"""Routing state and assignment: which arm a unit gets, with what propensity. Pure, and light."""

from trueup.route.assignment import assign, position
from trueup.route.routing import Assigned, Routing, Slice, raise_share

__all__ = ["Assigned", "Routing", "Slice", "assign", "position", "raise_share"]
