# SPDX-License-Identifier: Apache-2.0
"""Money: an amount, a currency, and the period that it is for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from trueup.core.errors import ArgumentError
from trueup.core.values import value

if TYPE_CHECKING:
    from trueup.core.protocols import Facts, Finding

Period = Literal["day", "week", "month", "year", "life"]
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@value("money.spend")
class Spend:
    """An amount of money in a currency, or a limit on it: `Spend(200, "EUR", per="month")`.

    As an `unless` condition it holds a training back once the sum spent within the last period
    (day, week, 30 days, 365 days, or ever) has reached the amount.
    """

    amount: float
    currency: str
    per: Period = "life"

    def __post_init__(self) -> None:
        if not self.amount > 0:
            raise ArgumentError(f"expected an amount above 0, got {self.amount!r}")
        if self.per != "life" and self.per not in _DAYS:
            raise ArgumentError(f"expected per one of {[*_DAYS, 'life']}, got {self.per!r}")

    def since(self, now: datetime) -> datetime | None:
        """Where the present period begins; None for a lifetime."""
        return None if self.per == "life" else now - timedelta(days=_DAYS[self.per])

    def look(self, facts: Facts) -> Finding:
        from trueup.core.protocols import Finding

        spent = facts.spent(self.currency, self.since(facts.now))
        words = f"{spent:.2f} of {self.amount:.2f} {self.currency} spent"
        words += "" if self.per == "life" else f" in the last {self.per}"
        return Finding(spent >= self.amount, words, {"spent": spent, "limit": self.amount})
