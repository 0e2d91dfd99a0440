# SPDX-License-Identifier: Apache-2.0
"""Evidence away from its ledger, by the name of its kind; an unknown kind raises UnknownName."""

from __future__ import annotations

from typing import Any

from trueup.release.evidence import METHODS, evidence_of, load_kinds

load_kinds()


def verdict_of(method: str, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> dict[str, Any]:
    """The result of these rows, computed as a release computes it; no ledger, no model."""
    return evidence_of(method).verdict(rows, parameters, now)


def passes(method: str, result: dict[str, Any], parameters: dict[str, Any], now: int) -> bool:
    """Whether a result lets its challenger go on."""
    return evidence_of(method).passes(result, parameters, now)


__all__ = ["METHODS", "passes", "verdict_of"]
