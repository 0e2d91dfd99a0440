# SPDX-License-Identifier: Apache-2.0
"""The journal in a SQLite file of the home: several processes of one machine, each write synced before it returns."""

from trueup.store.sqlite.journal import FILE, SqliteJournal

__all__ = ["FILE", "SqliteJournal"]
