# SPDX-License-Identifier: Apache-2.0
"""The level of the next first look at fresh data, by the loop's promise (TRU-02)."""

from __future__ import annotations

from collections.abc import Sequence

from trueup.release.risk import Risk
from trueup.release.state import Test

YEAR_US = 365 * 86_400_000_000


def next_level(tests: Sequence[Test], risk: Risk, now: int) -> float:
    """alpha_k of the test that begins now: online fallback over the life (or the year) so far."""
    from trueup.stats import Levels

    if risk.per == "year":
        tests = [test for test in tests if test.at > now - YEAR_US]
    history = [(k, bool(test.promoted), False) for k, test in enumerate(tests, 1)]
    return Levels(risk.wrong_promotion, risk.per).next(history)
