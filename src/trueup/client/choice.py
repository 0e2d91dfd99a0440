# SPDX-License-Identifier: Apache-2.0
"""What `choose` gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from trueup.route.routing import Arm


class Choice(NamedTuple):
    """Who answers this request.

    `id` names the request: log and feedback refer to it. `candidate` is the id of the model that
    should answer, None while the loop has no champion. `parameters` are those of the arm, and do
    not change. `propensity` is P(challenger) for an enrolled unit, whatever was drawn, else None.
    `generation` is that of the routing state, `release` the id of the running release. `unit` is
    None where the application gave none that could be used.
    """

    id: str
    arm: Arm
    candidate: str | None
    parameters: Mapping[str, Any]
    propensity: float | None
    generation: int
    release: str | None
    unit: str | None
