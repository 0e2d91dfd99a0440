# SPDX-License-Identifier: Apache-2.0
"""`why`: a Decision in plain words, recomputed from the ledger's rows (TRU-01)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from trueup.core.decisions import Decision
from trueup.core.errors import UnknownName, UserError
from trueup.core.facts import Fact, fact_to_plain
from trueup.core.json import dumps
from trueup.core.references import Ref
from trueup.core.values import from_json
from trueup.loop.context import know_kinds, moment
from trueup.loop.rendering import fact_line, fact_lines
from trueup.loop.turning import turning
from trueup.release import evidence_of, proved_no, recompute, signed
from trueup.state import LoopState, definition

if TYPE_CHECKING:
    from trueup.store import Ledger


@dataclass(frozen=True, slots=True)
class Verdict:
    """A piece of evidence that a Decision rests on: the Decision that recorded it, its kind and its facts."""

    decision: str
    kind: str
    facts: tuple[Fact, ...]

    def to_json(self) -> dict[str, Any]:
        return {"decision": self.decision, "kind": self.kind, "facts": [fact_to_plain(fact) for fact in self.facts]}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A Decision, the lines that explain it, and whether its evidence came out the same again
    (None where it rests on no rows: a person's word, a model's installation). `lost` is True where
    it rests on a part that is not known here, so that it cannot be recomputed."""

    decision: Decision
    lines: tuple[str, ...]
    matches: bool | None
    differs: tuple[str, ...] = ()
    lost: bool = False
    verdicts: tuple[Verdict, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "decision": asdict(self.decision), "lines": list(self.lines), "matches": self.matches,
            "differs": list(self.differs), "verdicts": [one.to_json() for one in self.verdicts],
        }


def why(ledger: Ledger, ident: str, loop: str | None = None) -> Explanation:
    """Explain the Decision with this id, or with the only id that begins so.

    A promotion rests on its release's shadow and canary: their verdicts are recomputed as well.
    """
    know_kinds()
    decision = ledger.decision(ident, loop)
    lines = [f"{decision.verdict}: {decision.reason}"]
    lines.append(
        f"decided {moment(decision.at)} by {decision.actor} ({decision.kind} of {decision.loop}, "
        f"generation {decision.generation})"
    )
    if decision.subject:
        lines.append(f"about {decision.subject}")
    resting = _rests_on(ledger, decision)
    matches: bool | None = None
    differs: list[str] = []
    lost = False
    verdicts: list[Verdict] = []
    for one in resting:
        try:
            kind = evidence_of(one.evidence["method"])
        except UnknownName:  # a method without evidence to show, or of a package that is not installed
            kind = None
        if kind is not None:
            verdict = Verdict(one.id, kind.name, kind.facts(one.evidence["result"], one.evidence["parameters"]))
            verdicts.append(verdict)
            lines.extend(f"  {line}" for line in fact_lines(verdict.facts))
            if words := kind.changed(one.evidence["parameters"]):
                lines.append(f"  {words}")
        try:
            again = recompute(ledger, one.loop, one.evidence)
        except UserError as error:
            lines.append(f"  {one.kind} {one.id} cannot be recomputed: {error.message}")
            lost = True
            continue
        recorded = one.evidence["result"]
        # what a later version tells beside it was not part of the Decision
        parts = _differences(recorded, {name: part for name, part in again.items() if name in recorded})
        differs.extend(f"{one.kind} {one.id}: {part}" for part in parts)
        matches = (matches is not False) and not parts
        if note := turning(ledger, one):
            lines.append(f"  {fact_line(note)}")
    if not resting and decision.verdict == "INVALID" and (note := turning(ledger, decision)):
        lines.append(f"  {fact_line(note)}")
    if lost and matches is not False:  # what differs wins over what cannot be told
        matches = None
    lines.extend(_details(decision))
    if decision.evidence.get("report"):
        folder = ledger.artifacts.path(Ref.from_json(decision.evidence["report"]))
        lines.append(f"  report {folder / 'report.html'}")
    lines.extend(_left(ledger, decision))
    if matches is not None:
        rows = "recomputed from the ledger's rows"
        lines.append(f"{rows}: the same, bit by bit" if matches else f"{rows}: DIFFERS in {', '.join(differs)}")
    return Explanation(decision, tuple(lines), matches, tuple(differs), lost, tuple(verdicts))


def _rests_on(ledger: Ledger, decision: Decision) -> list[Decision]:
    """The Decision itself where it carries evidence, and for a promotion its release's verdicts."""
    release = decision.evidence.get("release")
    found = []
    if decision.kind == "promote" and release:
        found = [
            one for one in ledger.decisions(decision.loop)  # an experiment may go on with another subject
            if one.evidence.get("release") == release and one.verdict == "PASS" and "method" in one.evidence
        ]
    if "method" in decision.evidence:
        found.append(decision)
    return found


def _details(decision: Decision) -> list[str]:
    from trueup.data import Funnel

    evidence = decision.evidence
    lines = [
        f"  {'passed' if gate['passed'] else 'failed'} gate: {gate['reason']}"
        for gate in evidence.get("gates", ())
    ]
    if evidence.get("funnel"):
        lines += [f"  {line}" for line in Funnel.from_json(evidence["funnel"]).lines()]
    for key in ("snapshot", "cycle", "superseded"):
        if evidence.get(key):
            lines.append(f"  {key} {evidence[key]}")
    lines += _approved(evidence.get("request"), evidence.get("approval"))
    if one := evidence.get("rejection"):
        proof = "as this ledger confirms" if proved_no(one) else "BUT THE SIGNATURE IS NOT ITS"
        lines.append(f"  no by {one['who']} on {moment(one['at'])}: {one['reason']} (signed by {one['key']}, {proof})")
    for attempt in evidence.get("attempts", ()):
        lines.append(f"  attempt: {dumps(attempt)}")
    return lines


def _approved(asked: dict[str, Any] | None, said: dict[str, Any] | None) -> list[str]:
    """Who was asked what, by its digest, and who said yes."""
    lines = []
    if asked:
        lines.append(f"  asked of {asked['by']} on {moment(asked['since'])}, digest {asked['digest']}")
        lines += [f"    {name} {found}" for name, found in asked["of"].items() if found is not None]
    for one in (said or {}).get("given") or ([said] if said else []):
        proof = "nobody has verified who that is"
        if one.get("signature"):
            proof = f"signed by {one['key']}, {'as this ledger confirms' if signed(one) else 'BUT THE SIGNATURE IS NOT ITS'}"
        until = f", counts until {moment(one['until'])}" if one.get("until") else ""
        lines.append(f"  yes by {one['who']} on {moment(one['at'])}{until}: {one['reason']} ({proof}; digest {one.get('digest')})")
    return lines


def _left(ledger: Ledger, decision: Decision) -> list[str]:
    """The level of the test, what was promised, and what is left of it for all later tests."""
    if decision.level is None:
        return []
    state = LoopState.from_json(decision.state)
    words = f"level {decision.level:.3g}: test {len(state.tests)} of this loop's life"
    pinned = definition(ledger, decision.loop)
    if pinned is None:
        return [words]
    risk = from_json(pinned[1]["risk"])
    if risk.per == "release":
        return [f"{words}; {risk.wrong_promotion:g} for each release alone"]
    from trueup.stats import Levels

    levels = Levels(risk.wrong_promotion, risk.per)
    left = risk.wrong_promotion * max(0.0, 1.0 - sum(levels.share(k) for k in range(1, len(state.tests) + 1)))
    return [f"{words}; {left:.3g} of {risk.wrong_promotion:g} is left for all later tests (per {risk.per})"]


def _differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Where two results differ, by their exact bits; how a look put a finding is no part of what it found."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        told = {"reason"} if {"part", "holds"} <= before.keys() else set()
        for key in sorted((before.keys() | after.keys()) - told):
            found += _differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            one for at, (old, new) in enumerate(zip(before, after, strict=True))
            for one in _differences(old, new, f"{path}[{at}]")
        ]
    return [] if dumps(before) == dumps(after) else [path or "result"]
