# SPDX-License-Identifier: Apache-2.0
"""The room's SQL, by name."""

from trueup.store import sql

QUERIES = sql.load("trueup.loop", "queries.sql")
