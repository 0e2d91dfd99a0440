# SPDX-License-Identifier: Apache-2.0
"""The names that stand for candidates (REG-02)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueup.state.door import read

if TYPE_CHECKING:
    from trueup.store import Ledger


def aliases(ledger: Ledger, loop: str) -> dict[str, str]:
    """The names that stand for candidates now: champion, anchor, challenger, staging-candidate
    (waits for its release) and production-validated (passed every stage but its approval)."""
    _, state = read(ledger, loop)
    release = state.release
    found = {
        "champion": state.champion,
        "anchor": state.anchor,
        "challenger": release.candidate if release else None,
        "staging-candidate": state.waiting,
        "production-validated": release.candidate if release and release.validated else None,
    }
    return {name: ident for name, ident in found.items() if ident}
