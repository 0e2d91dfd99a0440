# SPDX-License-Identifier: Apache-2.0
"""Floor 5: candidates with their lineage, who served when, and what may be thrown away."""

from trueup.registry.candidates import Candidate, aliases, candidate, candidates, register
from trueup.registry.history import Reign, reigns, served

__all__ = [
    "Candidate",
    "Reign",
    "aliases",
    "candidate",
    "candidates",
    "register",
    "reigns",
    "served",
]
