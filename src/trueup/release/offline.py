# SPDX-License-Identifier: Apache-2.0
"""Evidence away from its ledger: for each method the rows that a verdict rests on, and the verdict from them alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from trueup.core.json import dumps
from trueup.release.canary import canary_rows, canary_verdict
from trueup.release.experiments.experiment import experiment_verdict, harmed, winner
from trueup.release.experiments.exposed import experiment_rows
from trueup.release.experiments.interleaving import interleaving_rows, interleaving_verdict
from trueup.release.shadow.pairs import shadow_scores, shadow_verdict
from trueup.release.shadow.shadow import COVERAGE

if TYPE_CHECKING:
    from trueup.store import Ledger

Told = dict[str, Any]
RAW = ("rows",)
"""Of a result: the digest of raw units, which are hidden away from the ledger."""

_READ: dict[str, Callable[..., Told]] = {
    "shadow": shadow_scores, "canary": canary_rows, "experiment": experiment_rows, "interleaving": interleaving_rows,
}
_UNIT: dict[str, Any] = {"shadow": 1, "canary": "unit", "experiment": "unit", "interleaving": 0}
"""Where a row has its unit."""
GATES = ("shadow", "experiment")
"""The methods that can carry the promise."""


def rows_of(ledger: Ledger, loop: str, evidence: Mapping[str, Any], hide: Callable[[Any], Any]) -> Told | None:
    """What this evidence rests on, each unit as `hide` gives it; None for a method that has no such rows."""
    method = evidence["method"]
    if method not in _READ:
        return None
    told = _READ[method](ledger, loop, evidence["parameters"], evidence["cut"], evidence["now"])
    at = _UNIT[method]
    rows = [row.copy() for row in told["rows"]]
    for row in rows:
        row[at] = hide(row[at])
    return {**told, "rows": rows}


def verdict_of(method: str, told: Told, parameters: dict[str, Any], now: int) -> dict[str, Any]:
    """The result of these rows, computed as a release computes it; no ledger, no model."""
    if method == "shadow":
        return shadow_verdict(told, parameters)
    if method == "canary":
        return canary_verdict(told, parameters, now)
    if method == "experiment":
        return experiment_verdict(told, parameters)
    return interleaving_verdict(told, parameters)


def same(method: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two results are equal bit by bit, but for what depends on the units' names."""
    left_out = () if method == "shadow" else RAW
    first, second = ({name: part for name, part in each.items() if name not in left_out} for each in (one, other))
    return dumps(first) == dumps(second)


def passes(method: str, result: Mapping[str, Any], parameters: Mapping[str, Any], now: int) -> bool:
    """Whether a gate's result says that its challenger may go on: it has rejected, nothing voids it, and
    its minimum time was over."""
    if result["invalid"]:
        return False
    if method == "shadow":
        if result["coverage"] is None or result["coverage"] < COVERAGE:
            return False
        return bool(result["rejected"] and (result["anchor"] is None or result["anchor"]["rejected"]))
    if method == "experiment":
        return winner(result) is not None and harmed(result) is None and now - parameters["since"] >= parameters["min_time"]
    if method == "interleaving":
        return bool(result["rejected"])
    return not any(result[guard]["rejected"] for guard in ("count", "burden", "latency"))
