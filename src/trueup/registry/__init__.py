# SPDX-License-Identifier: Apache-2.0
"""Floor 5: candidates with their lineage, who served when, and what may be thrown away."""

from trueup.registry.candidates import Candidate, aliases, candidate, candidates, register
from trueup.registry.history import Reign, reigns, served
from trueup.registry.retention import Keep, Pruned, prune
from trueup.registry.upkeep import ailments, backup

__all__ = [
    "Candidate",
    "Keep",
    "Pruned",
    "Reign",
    "ailments",
    "aliases",
    "backup",
    "candidate",
    "candidates",
    "prune",
    "register",
    "reigns",
    "served",
]
