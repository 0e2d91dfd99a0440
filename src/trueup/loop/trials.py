# SPDX-License-Identifier: Apache-2.0
"""An experiment in plain words: effect with interval, method, level, segments, what was checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueup.core.parameters import Parameter
from trueup.core.values import from_json
from trueup.state import definition

if TYPE_CHECKING:
    from trueup.store import Ledger


def declared_parameters(ledger: Ledger, loop: str) -> tuple[Parameter, ...]:
    """The parameters that the loop's last definition declares for its candidates."""
    found = definition(ledger, loop)
    declared = found[1]["task"].get("parameters", []) if found else []
    return tuple(from_json(one) for one in declared)
