# SPDX-License-Identifier: Apache-2.0
"""Whether data are what a loop's task and features say of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trueup.core.json import Json, loads_all
from trueup.loop.queries import QUERIES
from trueup.models import Features, features_of

if TYPE_CHECKING:
    from trueup.data import Fit
    from trueup.loop.definition import Loop
    from trueup.store import Ledger

LOOKED_AT = 1_000  # logged requests, the newest


def fit_of(loop: Loop) -> Fit:
    """What a row must be to train this loop."""
    from trueup.data import Fit

    return Fit(loop.task.answers, features_of(loop.trainer))


def unread(features: Features, inputs: Sequence[Json], where: str) -> Iterator[str]:
    """Words for each field that none of the inputs has, with the nearest name that they have."""
    names = sorted({name for item in inputs if isinstance(item, Mapping) for name in item})
    for field in features.fields if names else ():
        if field not in names:
            near = difflib.get_close_matches(field, names, n=1, cutoff=0.4)
            cure = f"did you mean {near[0]!r}?" if near else f"they have: {', '.join(names[:20])}"
            yield f"Features names the field {field!r}, which no input of {where} has; {cure}"


def newest_inputs(ledger: Ledger, loop: str) -> list[Json]:
    """The inputs of the newest logged requests."""
    rows = ledger.query(QUERIES["newest_inputs"], {"loop": loop, "most": LOOKED_AT})
    return loads_all(rows["input"].to_pylist())


def outcome_faults(loop: Loop, ledger: Ledger) -> list[str]:
    """Outcomes that the application told and the loop does not declare, and values outside a declared kind."""
    declared = {one.name: one for one in loop.outcomes}
    rows: list[dict[str, Any]] = ledger.query(QUERIES["outcomes_told"], {"loop": loop.name}).to_pylist()
    told: list[str] = []
    for row in rows:
        outcome = declared.get(row["name"])
        if outcome is None:
            near = difflib.get_close_matches(row["name"], declared, n=1, cutoff=0.4)
            cure = f"did you mean {near[0]!r}?" if near else f"declared: {', '.join(declared) or 'none'}"
            told.append(f"{row['n']:,} outcomes are called {row['name']!r}, which the loop does not declare: nobody reads them; {cure}")
        elif outcome.type != "label":
            low, high = (0.0, 1.0) if outcome.type == "boolean" else (outcome.low, outcome.high)
            bad = ledger.query(
                QUERIES["outcomes_outside"], {"loop": loop.name, "name": outcome.name, "low": low, "high": high, "whole": outcome.type == "boolean"}
            ).to_pylist()[0]
            if bad["n"]:
                kind = "yes or no" if outcome.type == "boolean" else f"a number within [{low:g}, {high:g}]"
                told.append(f"{bad['n']:,} values of {outcome.name!r} are not {kind}, such as {str(bad['one'])[:60]}: they are cut to it, or left out")
    return told
