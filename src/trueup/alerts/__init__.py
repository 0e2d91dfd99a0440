# SPDX-License-Identifier: Apache-2.0
"""Floor 5: tells people what needs them, once: channels, deduplication, the command that helps."""

from trueup.alerts.alert import Alert
from trueup.alerts.channels import AlertFile, AlertLog, Apprise, Channel
from trueup.alerts.delivery import (
    Delivered,
    alert,
    failing,
    mute,
    muted,
    name_of,
    raised,
    tell,
    try_out,
)

__all__ = [
    "Alert",
    "AlertFile",
    "AlertLog",
    "Apprise",
    "Channel",
    "Delivered",
    "alert",
    "failing",
    "mute",
    "muted",
    "name_of",
    "raised",
    "tell",
    "try_out",
]
