# SPDX-License-Identifier: Apache-2.0
"""Failure drills: a failure is injected, the loop survives it, and `trueup why` says how."""

from trueup.lab.drills._drill import Drill, drills, explained, find, play

__all__ = ["Drill", "drills", "explained", "find", "play"]
