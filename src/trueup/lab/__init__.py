# SPDX-License-Identifier: Apache-2.0
"""Floor 10: simulated worlds, demos and drills."""

from trueup.lab.flaky import Flaky

__all__ = ["Flaky"]
