# SPDX-License-Identifier: Apache-2.0
"""A shadow's evidence: pairs of scores, and what people read of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trueup.core.facts import Fact, Line, Measure, Note
from trueup.release.evidence import Check, Evidence, evidence, least
from trueup.release.experiments.segments import segment_facts
from trueup.release.shadow.audits import NEW
from trueup.release.shadow.pairs import changed, shadow_scores, shadow_verdict

if TYPE_CHECKING:
    from trueup.store import Ledger

COVERAGE = 0.95
"""The share of the labelled units that must have been scored: under it there is no verdict."""


@evidence
class ShadowEvidence(Evidence):
    """Challenger and champion on the same units."""

    name = "shadow"
    deciding = True
    name_dependent = ()

    def rows(self, ledger: Ledger, loop: str, parameters: dict[str, Any], cut: int, now: int) -> dict[str, Any]:
        return shadow_scores(ledger, loop, parameters, cut, now)

    def verdict(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> dict[str, Any]:
        return shadow_verdict(rows, parameters)

    def private(self, rows: dict[str, Any], hide: Callable[[Any], str]) -> dict[str, Any]:
        return {**rows, "rows": [[*row[:1], hide(row[1]), *row[2:]] for row in rows["rows"]]}

    def counterfactual(self, rows: dict[str, Any], parameters: dict[str, Any], now: int) -> Note | None:
        return shadow_counterfactual(rows, parameters)

    def passes(self, result: dict[str, Any], parameters: Any, now: int) -> bool:
        if result["invalid"] or result["coverage"] is None or result["coverage"] < COVERAGE:
            return False
        return has_rejected(result)

    def changed(self, parameters: dict[str, Any]) -> str | None:
        return changed(parameters)

    def checks(self, result: dict[str, Any]) -> tuple[Check, ...]:
        return (
            Check("sample ratio", True, "paired: every unit is answered by both"),
            Check("propensities", True, "none are used: nobody is served by chance"),
            Check("clustering", True, f"a unit counts once; {result['n']:,} pairs"),
            Check("scores", not result["invalid"], result["invalid"] or "all within [0, 1]"),
        )

    def progress(self, result: dict[str, Any], parameters: Any) -> dict[str, Any]:
        return {"units": result["n"], "horizon": parameters["horizon"], "evidence": result["wealth"], "line": 1.0 / parameters["level"]}

    def summary(self, result: dict[str, Any], parameters: Any) -> Note:
        values = {"n": result["n"], "new": result["new"], "old": result["old"], "wealth": result["wealth"], "line": 1 / parameters["level"]}
        return Note("shadow.summary", values, "shadow: {n:,} pairs, challenger {new:.4f}, champion {old:.4f}; evidence {wealth:.4g} against {line:.4g}")

    def facts(self, result: dict[str, Any], parameters: Any) -> tuple[Fact, ...]:
        low, high = result["interval"] or (None, None)
        facts: list[Fact] = [
            Measure("shadow: challenger minus champion", result["new"] - result["old"], low, high, n=result["n"]),
            Note("shadow.units", {"units": result["units"], "labelled": result["labelled"]},
                 "of {units:,} complete units, {labelled:,} labelled"),
            Note("shadow.method", {"margin": parameters["margin"], "level": parameters["level"], "horizon": parameters["horizon"]},
                 "method: paired bet, margin {margin:g}, level {level:.3g}, horizon {horizon:,}"),
            Line("difference", result["wealth"], 1 / parameters["level"], bool(result["rejected"]), result["crossed_at"], "worse by the margin"),
            *_audits(result, parameters),
        ]
        if result["anchor"] is not None:
            one = result["anchor"]
            facts.append(Line("anchor", one["wealth"], 1 / parameters["level"], bool(one["rejected"]), None,
                              f"worse than the anchor by {parameters['creep']:g}"))
        return (*facts, *segment_facts(result.get("segments", {})))


def has_rejected(result: dict[str, Any]) -> bool:
    """Whether the comparison with the champion has rejected, and that with the anchor where there is one."""
    return bool(result["rejected"] and (result["anchor"] is None or result["anchor"]["rejected"]))


def _audits(result: dict[str, Any], parameters: Any) -> list[Fact]:
    """The judge's difference beside people's."""
    if "audits" not in result:
        return []
    audits, audit = result["audits"], parameters["audit"]
    values = {"share": audit["share"], "outcome": audit["outcome"], "answered": audits["answered"], "asked": audits["asked"], "trust": result["lam"]}
    facts: list[Fact] = [Note("shadow.audits", values, (
        "the difference above is the judge's; people were asked about a random {share:.0%} ({outcome}), and "
        "the bet is on their word: {answered:,} of {asked:,} answered, the judge trusted by {trust:.2f}"
    ))]
    if audits["bias"] is not None:
        facts.append(Note("shadow.bias", {"bias": audits["bias"]}, "where both spoke the judge favoured the challenger by {bias:+.3f}"))
    if (ppi := audits["ppi"]) is not None:
        values = {"mean": ppi["mean"], "low": ppi["interval"][0], "high": ppi["interval"][1], "correlation": ppi["correlation"], "saved": ppi["saved"]}
        facts.append(Note("shadow.people", values, (
            "people's difference {mean:+.3f} [{low:+.3f}, {high:+.3f}] (PPI++, 95 % at this look; correlation "
            "{correlation:.2f}, {saved:.0%} of the labels saved)"
        )))
    return facts


def shadow_counterfactual(told: dict[str, Any], parameters: dict[str, Any]) -> Note | None:
    """How many of the challenger's answers, the last ones that were scored, would have had to go the other way."""
    first = shadow_verdict(told, parameters)
    passed = has_rejected(first)
    rows = told["rows"][: first["crossed_at"] or None] if passed else told["rows"][: first["n"]]
    places = [at for at, row in enumerate(rows) if row[3] is not None and (row[2] or 0.0) != (0.0 if passed else 1.0)]

    def turned(k: int) -> bool:
        other = [list(row) for row in rows]
        for at in places[len(places) - k :]:
            other[at][2] = 0.0 if passed else 1.0
            if parameters.get("audit") and other[at][NEW] is not None:
                other[at][NEW] = other[at][2]
        return has_rejected(shadow_verdict({**told, "rows": other}, parameters)) != passed

    k = least(turned, len(places))
    if k is None:
        return Note("shadow.never", {}, "no answers of the challenger on these units would have turned it")
    if passed:
        return Note("shadow.would_not_pass", {"k": k, "n": len(rows)}, "it would not have passed there had {k:,} of the challenger's last {n:,} answers been wrong")
    return Note("shadow.would_pass", {"k": k, "n": len(rows)}, "it would have passed had {k:,} more of the challenger's {n:,} answers been right")
