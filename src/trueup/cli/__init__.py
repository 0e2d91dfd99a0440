# SPDX-License-Identifier: Apache-2.0
"""Floor 12: thin commands, each calling one public function."""

from trueup.cli._main import main

__all__ = ["main"]
