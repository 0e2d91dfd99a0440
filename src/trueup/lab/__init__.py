# SPDX-License-Identifier: Apache-2.0
"""Floor 10: simulated worlds, demos and drills."""
