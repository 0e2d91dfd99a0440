# SPDX-License-Identifier: Apache-2.0
"""An interleaving's evidence: one score a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trueup.core.facts import Fact, Line, Note
from trueup.release.evidence import Check, Evidence, evidence, least
from trueup.release.experiments.interleaving import interleaving_rows, interleaving_verdict

if TYPE_CHECKING:
    from trueup.store import Ledger



@evidence
class InterleavingEvidence(Evidence):
    """Sessions that challenger and champion won."""

    name = "interleaving"

    def rows(self, ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int) -> dict[str, Any]:
        return interleaving_rows(ledger, loop, parameters, cut, now)

    def verdict(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> dict[str, Any]:
        return interleaving_verdict(rows, parameters)

    def private(self, rows: dict[str, Any], hide: Callable[[Any], str]) -> dict[str, Any]:
        return {**rows, "rows": [[*row[:0], hide(row[0]), *row[1:]] for row in rows["rows"]]}

    def counterfactual(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> Note | None:
        return interleaving_counterfactual(rows, parameters)

    def passes(self, result: dict[str, Any], parameters: Any, now: int) -> bool:
        return not result["invalid"] and bool(result["rejected"])

    def checks(self, result: dict[str, Any]) -> tuple[Check, ...]:
        why = result["invalid"]
        return (
            Check("sample ratio", True, "every list is of both rankers"), Check("propensities", True, "a fair coin a place"),
            Check("clustering", True, f"a unit counts once, by its first session; {result['n']:,} sessions"),
            Check("lists", not why, why or "all as client.interleave gave them"),
        )

    def progress(self, result: dict[str, Any], parameters: Any) -> dict[str, Any]:
        return {"units": result["n"], "horizon": parameters["horizon"], "evidence": result["wealth"], "line": 1.0 / parameters["level"]}

    def summary(self, result: dict[str, Any], parameters: Any) -> Note:
        values = {name: result[name] for name in ("wins", "losses", "wealth")}
        return Note("interleaving.summary", values, "interleaving: {wins:,} sessions for the challenger, {losses:,} for the champion; evidence {wealth:.4g}")

    def facts(self, result: dict[str, Any], parameters: Any) -> tuple[Fact, ...]:
        values = {"outcome": parameters["outcome"], "method": parameters["method"], **{name: result[name] for name in ("wins", "losses", "ties")}}
        return (
            Note("interleaving.sessions", values, "{outcome}: {wins:,} sessions for the challenger, {losses:,} for the champion, {ties:,} ties ({method})"),
            Line("credit, not the outcome of the loop", result["wealth"], 1 / parameters["level"], bool(result["rejected"]), result["crossed_at"], "not preferred"),
        )


def interleaving_counterfactual(told: dict[str, Any], parameters: dict[str, Any]) -> Note | None:
    """How many sessions, the last ones, would have had to be lost, or won."""
    passed = bool(interleaving_verdict(told, parameters)["rejected"])
    other = -1 if passed else 1
    places = [at for at, row in enumerate(told["rows"]) if row[1] != other]

    def turned(k: int) -> bool:
        rows = [list(row) for row in told["rows"]]
        for at in places[len(places) - k :]:
            rows[at][1] = other
        return bool(interleaving_verdict({**told, "rows": rows}, parameters)["rejected"]) != passed

    k = least(turned, len(places))
    if k is None:
        return None
    if passed:
        return Note("interleaving.would_not_pass", {"k": k, "n": len(told["rows"])}, "it would not have passed had {k:,} more of the {n:,} sessions been the champion's")
    return Note("interleaving.would_pass", {"k": k, "n": len(told["rows"])}, "it would have passed had {k:,} more of the {n:,} sessions been the challenger's")
