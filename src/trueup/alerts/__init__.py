# SPDX-License-Identifier: Apache-2.0
"""Floor 6: tells people what needs them, once: channels, deduplication, the command that helps."""

from typing import TYPE_CHECKING

from trueup.core.lazy import lazily

if TYPE_CHECKING:
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

__getattr__ = lazily(__name__, {
    "Alert": "alert",
    "AlertFile": "channels", "AlertLog": "channels", "Apprise": "channels", "Channel": "channels",
    "Delivered": "delivery", "alert": "delivery", "failing": "delivery", "mute": "delivery",
    "muted": "delivery", "name_of": "delivery", "raised": "delivery", "tell": "delivery",
    "try_out": "delivery",
})
