# SPDX-License-Identifier: Apache-2.0
"""A person asks for a training (TRG-06)."""

from __future__ import annotations

from trueup.core.protocols import Facts, Finding
from trueup.core.values import value


@value("trigger.manual")
class Manual:
    """Holds where a person has asked for a training since the last one. Every loop has it."""

    def look(self, facts: Facts) -> Finding:
        asked = facts.signals("train", facts.last_trained)
        if not asked:
            return Finding(False, "nobody asked for a training")
        who = asked[-1].get("by", "somebody")
        return Finding(True, f"asked for by {who}", {"by": who})
