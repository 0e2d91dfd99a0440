# SPDX-License-Identifier: Apache-2.0
"""A canary's evidence: the guardrails of the units that a challenger serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trueup.core.facts import Fact, Line, Note
from trueup.release.canary import canary_rows, canary_verdict
from trueup.release.evidence import Check, Evidence, drawn_checks, evidence, least

if TYPE_CHECKING:
    from trueup.store import Ledger

GUARDS = ("count", "burden", "latency")


@evidence
class CanaryEvidence(Evidence):
    """Failing units, failing requests and slow requests of challenger and champion."""

    name = "canary"

    def rows(self, ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int) -> dict[str, Any]:
        return canary_rows(ledger, loop, parameters, cut, now)

    def verdict(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> dict[str, Any]:
        return canary_verdict(rows, parameters, now)

    def private(self, rows: dict[str, Any], hide: Callable[[Any], str]) -> dict[str, Any]:
        return {**rows, "rows": [{**row, "unit": hide(row["unit"])} for row in rows["rows"]]}

    def counterfactual(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> Note | None:
        return canary_counterfactual(rows, parameters, now)

    def passes(self, result: dict[str, Any], parameters: Any, now: int) -> bool:
        return not result["invalid"] and not any(result[guard]["rejected"] for guard in GUARDS)

    def checks(self, result: dict[str, Any]) -> tuple[Check, ...]:
        return drawn_checks(result)

    def progress(self, result: dict[str, Any], parameters: Any) -> dict[str, Any]:
        return {"units": result["units"], "horizon": parameters.get("horizon", parameters.get("units"))}

    def summary(self, result: dict[str, Any], parameters: Any) -> Note:
        crossed = ", ".join(guard for guard in GUARDS if result[guard]["rejected"])
        if crossed:
            return Note("canary.crossed", {"units": result["units"], "guards": crossed}, "canary: {units:,} units; crossed: {guards}")
        return Note("canary.not_crossed", {"units": result["units"]}, "canary: {units:,} units; no guardrail crossed")

    def facts(self, result: dict[str, Any], parameters: Any) -> tuple[Fact, ...]:
        arms = [
            Note("canary.arm", {"arm": arm, **result[arm]}, "{arm}: {units:,} units, {failed} failed, {slow} slow, {requests:.2f} requests a unit")
            for arm in ("challenger", "champion")
        ]
        lines = [
            Line(name, result[name]["wealth"], result[name]["line"], bool(result[name]["rejected"]), result[name]["crossed_at"], "no more harm than tolerated")
            for name in GUARDS
        ]
        late = Note("canary.late", {"lag": result["lag"], "late": result["late"]},
                    "errors later than {lag:.0f} s after their request are invisible; {late} came so late")
        return (*arms, *lines, late)


def canary_counterfactual(told: dict[str, Any], parameters: dict[str, Any], now: int) -> Note | None:
    """How many fewer units of the challenger would have had to fail, or more."""
    crossed = [guard for guard in GUARDS if canary_verdict(told, parameters, now)[guard]["rejected"]]
    units = [at for at, row in enumerate(told["rows"]) if row["arm"] != "champion"]
    bad = [at for at in units if told["rows"][at]["failed"] or told["rows"][at]["burden"]]
    places = bad if crossed else [at for at in units if at not in set(bad)]
    if crossed == ["latency"]:
        return None

    def turned(k: int) -> bool:
        rows = [dict(row) for row in told["rows"]]
        for at in places[len(places) - k :]:
            rows[at] |= {"failed": not crossed, "burden": 0.0 if crossed else 1.0}
        again = canary_verdict({**told, "rows": rows}, parameters, now)
        return bool(any(again[guard]["rejected"] for guard in GUARDS)) != bool(crossed)

    k = least(turned, len(places))
    if k is None:
        return None
    if crossed:
        return Note("canary.would_not_cross", {"k": k, "n": len(units)}, "no guardrail would have crossed had {k:,} fewer of the challenger's {n:,} units failed")
    return Note("canary.would_cross", {"k": k, "n": len(units)}, "a guardrail would have crossed had {k:,} more of the challenger's {n:,} units failed")
