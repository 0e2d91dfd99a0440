# SPDX-License-Identifier: Apache-2.0
"""What was set aside: rows of imported files, logged requests that cannot train, feedback that nobody reads."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueup.core.clock import from_us, to_us
from trueup.core.json import loads
from trueup.loop.fits import fit_of, outcome_faults
from trueup.loop.queries import QUERIES

if TYPE_CHECKING:
    from trueup.loop.definition import Loop
    from trueup.store import Ledger

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


@dataclass(frozen=True, slots=True)
class Aside:
    """A row that was set aside: where it stands, why, and how it begins."""

    place: str
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Rows of imported files by the file's name, logged requests, and outcomes in words."""

    files: dict[str, tuple[Aside, ...]]
    requests: tuple[Aside, ...]
    outcomes: tuple[str, ...]

    def parts(self) -> list[tuple[str, tuple[Aside, ...]]]:
        """A title and its rows, where there are any."""
        return [*self.files.items(), *([("logged requests", self.requests)] if self.requests else [])]

    @staticmethod
    def reasons(rows: Sequence[Aside]) -> list[tuple[str, int]]:
        """The reasons without their values, the commonest first."""
        return Counter(_QUOTED.sub("...", row.reason) for row in rows).most_common()


def quarantined(loop: Loop, ledger: Ledger) -> Quarantine:
    """Everything that is set aside for a loop, at this moment."""
    from trueup.data import unfit

    signals = [loads(extra) for extra in ledger.query(QUERIES["imports"], {"loop": loop.name})["extra"].to_pylist()]
    names = {one["digest"]: one["file"] for one in signals}
    files: dict[str, tuple[Aside, ...]] = {}
    for path in sorted((ledger.home / "quarantine").glob("*.jsonl")):
        rows = [loads(line) for line in path.read_bytes().splitlines()]
        title = names.get(path.stem, f"a file that was not imported ({path.stem[:16]})")
        files[title] = tuple(Aside(f"line {row['line']}", row["reason"], row["row"]) for row in rows)
    logged = ledger.query(QUERIES["unfit_logged"], {"loop": loop.name}).to_pylist()
    requests = [
        Aside(f"{from_us(row['ts']):%Y-%m-%d %H:%M} {row['id']}", f"{part}: {why}", "")
        for row in logged for part, why in loads(row["extra"])["unfit"].items()
    ]
    rows_ = unfit(
        ledger, loop.name, loop.label.name, fit_of(loop), cut=ledger.cut(), now_us=to_us(ledger.clock.now())
    )
    requests += [Aside(f"{from_us(row.ts):%Y-%m-%d %H:%M} {row.row_id}", row.reason, row.input) for row in rows_]
    return Quarantine(files, tuple(requests), tuple(outcome_faults(loop, ledger)))
