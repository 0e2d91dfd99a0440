# SPDX-License-Identifier: Apache-2.0
"""What trainings cost."""

from __future__ import annotations

from trueup.core.records import record


@record("cost")
class Cost:
    """What a training cost: seconds, and `amount` in `currency` where the loop has a price ("" where it has none).

    `spent` is the moment (us), `trainer` the digest of the trainer as it was set.
    """

    what: str
    seconds: float
    spent: int
    amount: float = 0.0
    currency: str = ""
    trainer: str = ""
    id: str = ""
    at: int = 0

    @property
    def cycle(self) -> str:
        """The run that it was spent on."""
        return self.id.rpartition("/")[0]
