# SPDX-License-Identifier: Apache-2.0
"""Floor 8: `up`: one process that looks, trains, releases and alerts for months; durable runs."""
