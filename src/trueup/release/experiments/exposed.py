# SPDX-License-Identifier: Apache-2.0
"""The units of an experiment as the ledger tells them: all that its verdict rests on, and no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trueup.core.json import loads
from trueup.core.task import Outcome
from trueup.core.values import from_json
from trueup.release.queries import QUERIES
from trueup.release.stage import SETTLE_US

if TYPE_CHECKING:
    from trueup.store import Ledger

Row = dict[str, Any]
KEPT = ("unit", "arm", "pi", "shares", "ts", "known", "context")


def experiment_rows(
    ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int
) -> dict[str, Any]:
    """What an experiment's verdict rests on: {"rows", "invalid", "outcome", "harms"}.

    `rows` are its units in the order of their exposure; `outcome` and each of `harms` hold, for the
    matured ones among them, which come first, {"y", "told", "wrong"}.
    """
    rows = assigned(ledger, loop, parameters, cut)
    where = (ledger, loop, parameters)
    return {
        "invalid": broken(ledger, loop, parameters, rows, cut),
        "outcome": outcomes(*where, from_json(parameters["outcome"]), rows, cut, now),
        "harms": [outcomes(*where, from_json(one["outcome"]), rows, cut, now) for one in parameters["harms"]],
        "rows": [{name: row[name] for name in KEPT} for row in rows],
    }


def assigned(ledger: Ledger, loop: str, parameters: Mapping[str, Any], cut: int) -> list[Row]:
    """The experiment's units with all the probabilities that their arm was drawn with."""
    known = {"loop": loop, "release": parameters["release"], "since": parameters["since"]}
    rows: list[Row] = ledger.query(QUERIES["experiment_units"], known, cut=cut).to_pylist()
    for row in rows:
        extra = loads(row.pop("extra") or "{}")
        row["context"] = extra.get("context")
        told, pi = extra.get("probabilities"), row["pi"]
        if told is None and pi is not None and len(parameters["names"]) == 2:
            told = {"champion": 1.0 - pi, parameters["names"][1]: pi}
        row["shares"] = told
    return rows


def broken(
    ledger: Ledger, loop: str, parameters: Mapping[str, Any], rows: Sequence[Row], cut: int
) -> str | None:
    """Why no verdict may be drawn from these units."""
    for row in rows:
        shares = row["shares"]
        if row["unsaid"] or shares is None or set(shares) != set(parameters["names"]):
            return "an assignment came without its propensity"
        if row["arm"] not in shares:
            return f"a unit was seen in an arm that nobody draws: {row['arm']}"
        if not all(0.0 < share < 1.0 for share in shares.values()):
            return "an assignment came with a propensity of 0 or 1"
        if (row["arms_at_once"] if parameters["moves"] else row["arms"]) > 1:
            return "a unit was seen in two arms"
    known = {"loop": loop, "release": parameters["release"]}
    lost = ledger.query(QUERIES["exposures_lost"], known, cut=cut).to_pylist()[0]["n"]
    return "exposures were lost" if lost else None


def window(outcome: Outcome) -> int:
    """How long after its exposure a unit's outcome counts, in microseconds."""
    return int(outcome.within.total_seconds() * 1e6)


def outcomes(
    ledger: Ledger, loop: str, parameters: Mapping[str, Any], outcome: Outcome, rows: Sequence[Row],
    cut: int, now: int,
) -> dict[str, Any]:
    """The outcomes `y` of the matured units on [0, 1] with 1 the best, or None, how often each was
    `told`, and what is `wrong` with them, if anything.

    A unit's outcome is the mean over its requests within the window; a request that was told
    nothing counts as `absent` where the outcome says what silence means, else not at all. Where
    arms may move under a returning unit, its first request alone counts.
    """
    told = {
        one["unit"]: one for one in ledger.query(QUERIES["experiment_outcomes"], {
            "loop": loop, "release": parameters["release"], "name": outcome.name, "within": window(outcome),
            "now": now - SETTLE_US, "first": parameters["moves"],
        }, cut=cut).to_pylist()
    }
    found: dict[str, Any] = {"y": [], "told": [], "wrong": None}
    for row in rows:
        one = told.get(row["unit"])
        if one is None:  # units are in the order of their exposure: the rest has not matured either
            break
        if one["strange"] or (one["told"] and not (outcome.low <= one["lowest"] and one["highest"] <= outcome.high)):
            what = "no number" if one["strange"] else f"{one['lowest']:g} to {one['highest']:g}"
            found["wrong"] = f"an outcome {outcome.name} is outside its declared bounds [{outcome.low:g}, {outcome.high:g}]: {what}"
            break
        y = None
        if outcome.absent is not None:
            y = (one["total"] + outcome.absent * (one["requests"] - one["told"])) / one["requests"]
        elif one["told"]:
            y = one["total"] / one["told"]
        if y is not None:
            y = outcome.scaled(min(max(y, outcome.low), outcome.high))
        found["y"].append(y)
        found["told"].append(one["told"])
    return found
