# SPDX-License-Identifier: Apache-2.0
"""Floor 7: the reasons to train (`when`), not to (`unless`), and what only alerts (`watch`)."""

from typing import TYPE_CHECKING

from trueup.core.lazy import lazily

if TYPE_CHECKING:
    from trueup.triggers.business import Business, Errors
    from trueup.triggers.counting import Cooldown, NewData, NothingNew, Rows
    from trueup.triggers.drift import Drift
    from trueup.triggers.falls import Falls
    from trueup.triggers.manual import Manual
    from trueup.triggers.schedule import Cron
    from trueup.triggers.scored import Told
    from trueup.triggers.told import Alert, Feedback
    from trueup.triggers.worsens import Worsens

__all__ = [
    "Alert", "Business", "Cooldown", "Cron", "Drift", "Errors", "Falls", "Feedback", "Manual", "NewData", "NothingNew", "Rows", "Told",
    "Worsens",
]

__getattr__ = lazily(__name__, {
    "Business": "business", "Errors": "business",
    "Cooldown": "counting", "NewData": "counting", "NothingNew": "counting", "Rows": "counting",
    "Drift": "drift",
    "Falls": "falls",
    "Manual": "manual",
    "Cron": "schedule",
    "Told": "scored",
    "Alert": "told", "Feedback": "told",
    "Worsens": "worsens",
})
