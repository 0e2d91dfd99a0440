# SPDX-License-Identifier: Apache-2.0
"""Floor 5: tells people what needs them, once: channels, deduplication, the command that helps."""
