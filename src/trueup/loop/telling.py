# SPDX-License-Identifier: Apache-2.0
"""Telling people: the loop's alerts, as a projection that the service and `run` call after each tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueup.alerts import alert

if TYPE_CHECKING:
    from trueup.loop.context import Context


def tell_people(context: Context) -> None:
    """Bring every channel of the loop what it has not had. A channel that fails has its own back-off, so
    that it holds up no other; `trueup alerts` shows what it has not taken."""
    alert(context.ledger, context.loop.name, context.loop.alerts)
