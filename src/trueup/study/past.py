# SPDX-License-Identifier: Apache-2.0
"""A loop's logged past: what was asked, and which labels came, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us, to_us
from trueup.core.errors import DataError
from trueup.core.json import Json, loads
from trueup.loop.plan import DAY_US

if TYPE_CHECKING:
    import pyarrow as pa

    from trueup.core.task import Outcome
    from trueup.loop import Loop
    from trueup.store import Ledger


SPAN = 30 * DAY_US


@dataclass(frozen=True, slots=True)
class Logged:
    """A logged input with its labels: (outcome, value, when it became known). Times are
    microseconds since 1970."""

    ts: int
    unit: str
    input: Json
    labels: tuple[tuple[str, Json, int], ...] = ()
    keep: bool = True


def history(
    loop: Loop, ledger: Ledger, *, since: datetime | None = None, until: datetime | None = None
) -> list[Logged]:
    """The loop's logged inputs with their labels, in the order of `ts`; `since <= ts < until`.

    Feedback on the answers that were shown then is left out: other answers will be shown now.
    """
    names = [one.name for one in loop.outcomes if one.label]
    found = ledger.interactions(
        loop.name, outcomes=names, since_us=None if since is None else to_us(since),
        until_us=None if until is None else to_us(until),
    ).sort_by([("ts", "ascending"), ("seq", "ascending")])
    columns = {name: found[name].to_pylist() for name in ("ts", "choice", "unit", "input", "keep")}
    labels = [(name, found[name].to_pylist(), found[f"{name}_known"].to_pylist()) for name in names]
    return [
        Logged(
            ts, unit or choice, loads(given),
            tuple((name, loads(said[at]), known[at]) for name, said, known in labels if said[at] is not None),
            keep is not False,
        )
        for at, (ts, choice, unit, given, keep) in enumerate(zip(*columns.values(), strict=True))
        if given is not None
    ]


def newest(ledger: Ledger, loop: str) -> datetime:
    """When the last input of a loop was logged; DataError where there is none."""
    from trueup.loop.queries import QUERIES

    found = ledger.query(QUERIES["newest_input"], {"loop": loop}).to_pylist()[0]["ts"]
    if found is None:
        raise DataError(f"expected logged inputs of {loop}, got none", cure="trueup import FILE brings the past in")
    return from_us(found)


def traffic(ledger: Ledger, loop: str, label: str) -> dict[str, int]:
    """Units, and those with the label, of the last 30 days until now."""
    from trueup.loop.queries import QUERIES

    rows = ledger.query(QUERIES["traffic"], {"loop": loop, "name": label, "span": SPAN, "now": to_us(ledger.clock.now())})
    found: dict[str, int] = rows.to_pylist()[0]
    return found


def rate(ledger: Ledger, loop: str, outcome: Outcome) -> tuple[float, int] | None:
    """The mean of an outcome of the champion's answers on [.01, .99], and the units of the last 30 days
    that were logged; None where it has no values."""
    from trueup.study.whatif import QUERIES

    row = ledger.query(QUERIES["rate"], {"loop": loop, "name": outcome.name, "span": SPAN}).to_pylist()[0]
    if not row["n"]:
        return None
    return min(0.99, max(0.01, outcome.scaled(min(max(row["mean"], outcome.low), outcome.high)))), row["units"]


class Frozen:
    """A ledger as it was at one cut, read once: what a study builds its datasets from.

    Facts come from the ledger itself, whose interactions are read a single time; what is made
    (Snapshots, models, records) goes to `scratch`, so that a study leaves the ledger as it was.
    """

    def __init__(self, source: Ledger, scratch: Ledger, cut: int | None = None) -> None:
        self.source, self.scratch = source, scratch
        self.at = source.cut() if cut is None else cut
        self.home, self.clock, self.artifacts = scratch.home, scratch.clock, scratch.artifacts
        self._tables: dict[tuple[str, tuple[str, ...]], pa.Table] = {}

    def cut(self) -> int:
        return self.at

    def interactions(self, loop: str, *, outcomes: Any, cut: int | None = None, **_: Any) -> pa.Table:
        """All interactions at the cut; callers sift what they may know by its times."""
        key = (loop, tuple(outcomes))
        if key not in self._tables:
            self._tables[key] = self.source.interactions(loop, outcomes=outcomes, cut=self.at)
        return self._tables[key]

    def scan(self, loop: str, kind: Any, **how: Any) -> pa.Table:
        return self.source.scan(loop, kind, **{**how, "cut": self.at})

    def get(self, loop: str, kind: Any, ident: str) -> Any:
        """A record of the scratch, by its class or its kind; golden sets were frozen in the ledger itself."""
        return self.source.get(loop, kind, ident) if kind == "golden" else self.scratch.get(loop, kind, ident)

    def put(self, loop: str, kind: str, ident: str, body: Mapping[str, Any]) -> bool:
        return self.scratch.put(loop, kind, ident, body)

    def add(self, loop: str, ident: str, record: object) -> bool:
        return self.scratch.add(loop, ident, record)
