# SPDX-License-Identifier: Apache-2.0
"""Floor 2: the ledger of a home (journal, sealed history, artifacts, locks), and `decide`, the one door."""

from typing import TYPE_CHECKING, Any

from trueup.store.artifacts import Artifacts
from trueup.store.journal import Ailment, Journal
from trueup.store.ledger import Ledger
from trueup.store.locks import holder, lock

if TYPE_CHECKING:
    from trueup.store._backup import Backup, backup
    from trueup.store._history import Sealed
    from trueup.store._migrate import Migration, migrate
    from trueup.store._restore import Restored, restore
    from trueup.store.digest import LogicalDigest, logical_digest

__all__ = [
    "Ailment", "Artifacts", "Backup", "Journal", "Ledger", "LogicalDigest", "Migration", "Restored", "Sealed", "backup",
    "holder", "lock", "logical_digest", "migrate", "restore",
]  # fmt: skip

_LATER = {
    "Sealed": "_history", "LogicalDigest": "digest", "logical_digest": "digest",
    "Backup": "_backup", "backup": "_backup", "Migration": "_migrate", "migrate": "_migrate",
    "Restored": "_restore", "restore": "_restore",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """What needs Arrow is loaded when it is asked for: the light client never does."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"trueup.store.{_LATER[name]}"), name)
