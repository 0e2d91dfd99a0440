# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.core.clock import from_us, to_us
from trueup.core.errors import DataError
from trueup.data import parse_time

MOMENT = to_us(datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC))
DAY = to_us(datetime(2026, 3, 14, tzinfo=UTC))


@pytest.mark.parametrize(
    ("given", "us"),
    [
        ("2026-03-14T15:09:26Z", MOMENT),
        ("2026-03-14 15:09:26", MOMENT),
        ("2026-03-14T16:09:26+01:00", MOMENT),
        (MOMENT // 1_000_000, MOMENT),
        (MOMENT / 1e6, MOMENT),
        (str(MOMENT // 1_000_000), MOMENT),
        (MOMENT // 1000, MOMENT),
        (MOMENT, MOMENT),
        (MOMENT * 1000, MOMENT),
        (" 2026-03-14 ", DAY),
        ("20260314", DAY),
        ("March 14, 2026", DAY),
        ("14.03.2026", DAY),
        (date(2026, 3, 14), DAY),
        (datetime(2026, 3, 14, 15, 9, 26), MOMENT),
    ],
)
def test_spellings(given: object, us: int) -> None:
    assert parse_time(given) == us


@pytest.mark.parametrize(
    "given", ["", "soon", "1e400", "nan", float("nan"), float("inf"), True, None, [], -5, "9" * 70, "²", 10**30]
)
def test_what_is_no_time(given: object) -> None:
    with pytest.raises(DataError, match="expected a time"):
        parse_time(given)


@given(st.integers(10**17, 7 * 10**18))
def test_microseconds_in_text_are_exact(ns: int) -> None:
    us = ns // 1000
    assert parse_time(from_us(us).isoformat()) == us
    assert parse_time(ns) == us
