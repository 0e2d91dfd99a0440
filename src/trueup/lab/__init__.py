# SPDX-License-Identifier: Apache-2.0
"""Floor 11: simulated worlds, demos and drills."""

from trueup.lab.flaky import Flaky

__all__ = ["Flaky"]
