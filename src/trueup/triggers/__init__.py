# SPDX-License-Identifier: Apache-2.0
"""Floor 6: the reasons to train (`when`), and the reasons not to (`unless`)."""

from trueup.triggers.counting import NewData, NothingNew, Rows
from trueup.triggers.drift import Drift
from trueup.triggers.falls import Falls
from trueup.triggers.manual import Manual
from trueup.triggers.schedule import Cron

__all__ = ["Cron", "Drift", "Falls", "Manual", "NewData", "NothingNew", "Rows"]
