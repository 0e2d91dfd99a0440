# SPDX-License-Identifier: Apache-2.0
"""Floor 0: ids, time, errors, references, values and their digest, and what rooms expect of each other."""

from trueup.core.clock import Clock, ManualClock, SystemClock, from_us, to_us, utc
from trueup.core.decisions import Decision, Verdict
from trueup.core.errors import TrueupError, UserError
from trueup.core.events import Event
from trueup.core.ids import Ids
from trueup.core.money import Spend
from trueup.core.parameters import Parameter
from trueup.core.references import Ref
from trueup.core.secrets import Env, File
from trueup.core.values import value

__all__ = [
    "Clock",
    "Decision",
    "Env",
    "Event",
    "File",
    "Ids",
    "ManualClock",
    "Parameter",
    "Ref",
    "Spend",
    "SystemClock",
    "TrueupError",
    "UserError",
    "Verdict",
    "from_us",
    "to_us",
    "utc",
    "value",
]
