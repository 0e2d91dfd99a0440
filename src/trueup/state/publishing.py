# SPDX-License-Identifier: Apache-2.0
"""How registries elsewhere are, what was shown there, and what people have marked there for release."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from trueup.core.records import record


@record("publishing")
class PublishingRecord:
    """A target began to fail (`error`), or recovered (None). `name` is its key, `target` its address without a password."""

    name: str
    target: str
    error: str | None = None
    id: str = ""
    at: int = 0


@record("published")
class PublishedRecord:
    """What was shown at a target: the loop's generation, the target's own memory of it, and the changes that
    were made, each as [what, name, words]. `target` is its key."""

    target: str
    generation: int
    shown: dict[str, Any] = field(default_factory=dict)
    changes: list[list[str]] = field(default_factory=list)
    id: str = ""
    at: int = 0


@record("nomination")
class NominationRecord:
    """A version that somebody marked for release, as it was taken up: what and who in words, its lineage there,
    and the ledger's cut then."""

    words: str
    by: str
    source: dict[str, Any]
    cut: int
    id: str = ""
    at: int = 0


@record("nominated")
class NominatedRecord:
    """The Decision about a marked version, and the candidate that it became."""

    decision: str
    candidate: str | None = None
    id: str = ""
    at: int = 0
