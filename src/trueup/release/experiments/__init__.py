# SPDX-License-Identifier: Apache-2.0
"""Stages that show challengers to users and read what comes of it: A/B, bandits, interleaving."""
