# SPDX-License-Identifier: Apache-2.0
"""What `choose` gives back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Choice(NamedTuple):
    """Who answers this request.

    `id` names the request: log and feedback refer to it. `arm` is "champion", "challenger", or the
    name of an arm of a stage with several. `candidate` is the id of the model that should answer,
    None while the loop has no champion. `parameters` are those of the arm, and do not change.
    `propensity` is P(challenger) for an enrolled unit, whatever was drawn, else None (with several
    challengers: P(the drawn one), and 1 - P(champion) for the champion).
    `generation` is that of the routing state, `release` the id of the running release. `unit` is
    None where the application gave none that could be used.
    """

    id: str
    arm: str
    candidate: str | None
    parameters: Mapping[str, Any]
    propensity: float | None
    generation: int
    release: str | None
    unit: str | None


class Mixed(NamedTuple):
    """A list made of two rankings: the `items` to show, and the `output` to log as the answer."""

    items: list[Any]
    output: dict[str, Any]
