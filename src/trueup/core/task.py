# SPDX-License-Identifier: Apache-2.0
"""What a loop is about: the task, and the outcomes by which its answers are judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

from trueup.core.errors import ArgumentError
from trueup.core.parameters import Parameter
from trueup.core.values import value

Answers = Literal["label", "labels", "number", "text"]
Better = Literal["higher", "lower"]
DAY = timedelta(days=1)


@value("task")
class Task:
    """The names of the columns that hold a request, its answer and its unit.

    `input` is what is asked, `output` what is answered.
    `unit` is what is randomised and scored once: a user, a session, a film. `answers` says what an
    answer is: one label, a list of labels, a number, or text. `parameters` are the typed values
    beside the model that a candidate may set: a prompt, a threshold, a temperature.
    """

    input: str
    output: str
    unit: str
    answers: Answers = "label"
    parameters: Sequence[Parameter] = ()

    def __post_init__(self) -> None:
        if self.answers not in ("label", "labels", "number", "text"):
            raise ArgumentError(f"expected answers label, labels, number or text, got {self.answers!r}")


@value("outcome")
class Outcome:
    """How it went: declared before the first look, with its bounds and its window.

    `name` is what feedback calls it, `type` a boolean, a number or a label. Numbers lie within `low`
    and `high`, and `better` says which end is good.
    `within` is the attribution window: an outcome counts for a unit if it became known at most so
    long after the exposure. `label` is True where the outcome is true of the input, whatever
    answer was shown; only such outcomes can score a shadow. `corrections_only` marks labels that
    arrive only where the shown answer was wrong: they train, but they cannot score. `absent` is
    what silence means once the window has closed: 0 for a click that did not come, None where it is
    unknown (such a unit counts as missing).
    """

    name: str
    type: Literal["boolean", "number", "label"] = "boolean"
    better: Better = "higher"
    within: timedelta = DAY
    low: float = 0.0
    high: float = 1.0
    label: bool = False
    corrections_only: bool = False
    absent: float | None = None

    def __post_init__(self) -> None:
        if self.absent is not None and not self.low <= self.absent <= self.high:
            raise ArgumentError(
                f"expected absent of {self.name} within [{self.low:g}, {self.high:g}], got {self.absent!r}"
            )
        if self.within <= timedelta(0):
            raise ArgumentError(f"expected a window above 0 for {self.name}, got {self.within!r}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ArgumentError(
                f"expected finite bounds low < high for {self.name}, got {self.low!r}, {self.high!r}"
            )
        if self.better not in ("higher", "lower"):
            raise ArgumentError(f"expected better higher or lower, got {self.better!r}")

    @classmethod
    def boolean(
        cls, name: str, *, better: Better = "higher", within: timedelta = DAY, absent: bool | None = None
    ) -> Outcome:
        """Feedback on the answer that was shown: yes or no."""
        return cls(name, "boolean", better, within, absent=None if absent is None else float(absent))

    @classmethod
    def number(
        cls, name: str, *, low: float, high: float, better: Better = "higher", within: timedelta = DAY,
        absent: float | None = None,
    ) -> Outcome:
        """Feedback on the answer that was shown: a number within declared bounds."""
        return cls(name, "number", better, within, low, high, absent=absent)

    @classmethod
    def of_input(cls, name: str, *, within: timedelta = DAY, corrections_only: bool = False) -> Outcome:
        """The label of the input, whatever answer was shown: it trains, and it can score a shadow."""
        return cls(name, "label", "higher", within, label=True, corrections_only=corrections_only)

    def scaled(self, number: Any) -> float:
        """A value on [0, 1] with 1 the best; raises ArgumentError outside the declared bounds."""
        if not isinstance(number, bool | int | float) or not self.low <= float(number) <= self.high:
            raise ArgumentError(
                f"expected {self.name} within its declared bounds [{self.low:g}, {self.high:g}], got {number!r}"
            )
        share = (float(number) - self.low) / (self.high - self.low)
        return share if self.better == "higher" else 1.0 - share
