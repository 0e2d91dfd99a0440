# SPDX-License-Identifier: Apache-2.0
"""The level of the next first look at fresh data, by the loop's promise (TRU-02)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from trueup.core.clock import from_us, to_us
from trueup.release.risk import Risk
from trueup.state import ReleaseTest


def next_level(tests: Sequence[ReleaseTest], risk: Risk, now: int) -> float:
    """alpha_k of the test that begins now: online fallback over the life so far.

    With per="year" over the calendar year (UTC), each year counting from 1. A window that slides
    would count anew while what was promoted before it still hands its level on: worse challengers
    of one year could meet more than the promise.
    """
    from trueup.stats import Levels

    if risk.per == "year":
        begun = to_us(datetime(from_us(now).year, 1, 1, tzinfo=UTC))
        tests = [test for test in tests if test.at >= begun]
    history = [(k, bool(test.promoted), False) for k, test in enumerate(tests, 1)]
    return Levels(risk.wrong_promotion, risk.per).next(history)
