# SPDX-License-Identifier: Apache-2.0
"""What a loop that only observes reports at a look."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from msgspec import UNSET, UnsetType

from trueup.core.records import record


@record("report", body=("loop", "at"))
class Report:
    """What a look would have done, under which definition, and on which evidence.

    `now` (us) and `cut` are those of the look, `would` says in order what the loop would do, `dataset` the rows
    that a training would have, and `unwatched` the candidate whose release nobody watches meanwhile. `when`,
    `unless` and `watch` are the findings; the other fields are those of the plan. Money is in words, times
    without a unit are ISO 8601; `at` is such a time when it is written, and the moment (us) of the record when
    it is read.
    """

    loop: str
    at: str | int
    now: int
    cut: int
    definition: str
    would: list[str]
    trains: bool
    reason: str
    due: bool
    next_look: str
    when: list[dict[str, Any]]
    unless: list[dict[str, Any]]
    recipe: Any
    trainer: Any
    watch: list[dict[str, Any]] | UnsetType = UNSET
    champion: str | None = None
    paused: str | None = None
    rows: int = 0
    new_rows: int = 0
    min_rows: int = 0
    seconds: int | float | None = None
    money: str | None = None
    release: str | None = None
    waiting: str | None = None
    forecast: dict[str, Any] | None = None
    days: int | float | None = None
    asks: Any = None
    unwatched: str | None = None
    dataset: dict[str, Any] | None = None
    id: str = field(default="")
