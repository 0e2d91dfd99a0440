# SPDX-License-Identifier: Apache-2.0
"""`why`: a Decision in plain words, recomputed from the ledger's rows (TRU-01)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from trueup.core.decisions import Decision
from trueup.core.errors import UserError
from trueup.core.json import dumps
from trueup.core.references import Ref
from trueup.core.values import from_json
from trueup.loop.context import know_kinds, moment
from trueup.loop.look import look_lines
from trueup.loop.trials import experiment_lines, interleaving_lines, segment_lines
from trueup.loop.turning import turning
from trueup.release import changed, proved_no, recompute, signed
from trueup.state import LoopState, definition

if TYPE_CHECKING:
    from trueup.store import Ledger


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

    def to_json(self) -> dict[str, Any]:
        return {
            "decision": asdict(self.decision), "lines": list(self.lines), "matches": self.matches,
            "differs": list(self.differs),
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
    for one in resting:
        lines.extend(_evidence(one))
        if one.evidence["method"] == "shadow" and (words := changed(one.evidence["parameters"])):
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
        if words := turning(ledger, one):
            lines.append(f"  {words}")
    if not resting and decision.verdict == "INVALID" and (words := turning(ledger, decision)):
        lines.append(f"  {words}")
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
    return Explanation(decision, tuple(lines), matches, tuple(differs), lost)


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


def _evidence(decision: Decision) -> list[str]:
    result, parameters = decision.evidence["result"], decision.evidence["parameters"]
    name = decision.evidence["method"]
    if name == "shadow":
        return _shadow(result, parameters)
    if name == "canary":
        return _canary(result)
    if name == "experiment":
        return experiment_lines(result, parameters)
    if name == "interleaving":
        return interleaving_lines(result, parameters)
    if name == "look":
        return [f"  {line}" for line in look_lines(result)]
    return []


def _shadow(result: dict[str, Any], parameters: dict[str, Any]) -> list[str]:
    difference = result["new"] - result["old"]
    low, high = result["interval"] or (float("nan"), float("nan"))
    lines = [
        f"  shadow: challenger minus champion {difference:+.3f} [{low:+.3f}, {high:+.3f}] on {result['n']:,} "
        f"labelled units seen by both (of {result['units']:,} complete, {result['labelled']:,} labelled)",
        f"  method: paired bet, margin {parameters['margin']:g}, level {parameters['level']:.3g}, horizon "
        f"{parameters['horizon']:,}; evidence {result['wealth']:.3g} against {1 / parameters['level']:.3g}",
    ]
    lines += _audits(result, parameters)
    if result["crossed_at"]:
        lines.append(f"  the line was crossed at pair {result['crossed_at']:,}")
    if result["anchor"] is not None:
        lines.append(
            f"  anchor: no worse than the first champion by {parameters['creep']:g}: evidence "
            f"{result['anchor']['wealth']:.3g}"
        )
    return lines + segment_lines(result.get("segments", {}))


def _audits(result: dict[str, Any], parameters: dict[str, Any]) -> list[str]:
    """What the judge says, what people say, and whose word it was."""
    if "audits" not in result:
        return []
    audits, audit = result["audits"], parameters["audit"]
    lines = [
        f"  the difference above is the judge's; people were asked about a random {audit['share']:.0%} ({audit['outcome']}), and "
        f"the bet is on their word: {audits['answered']:,} of {audits['asked']:,} answered, the judge trusted by {result['lam']:.2f}"
    ]
    if audits["bias"] is not None:
        lines.append(f"  where both spoke the judge favoured the challenger by {audits['bias']:+.3f}")
    if audits["ppi"] is not None:
        found = audits["ppi"]
        low, high = found["interval"]
        lines.append(
            f"  people's difference {found['mean']:+.3f} [{low:+.3f}, {high:+.3f}] (PPI++, 95 % at this look; correlation "
            f"{found['correlation']:.2f}, {found['saved']:.0%} of the labels saved)"
        )
    return lines


def _canary(result: dict[str, Any]) -> list[str]:
    lines = []
    for arm in ("challenger", "champion"):
        one = result[arm]
        lines.append(
            f"  {arm}: {one['units']:,} units, {one['failed']} failed, {one['slow']} slow, "
            f"{one['requests']:.2f} requests a unit"
        )
    for name in ("count", "burden", "latency"):
        one = result[name]
        state = "crossed" if one["rejected"] else "not crossed"
        lines.append(f"  {name}: evidence {one['wealth']:.3g} against {one['line']:.3g}, {state}")
    lines.append(
        f"  errors later than {result['lag']:.0f} s after their request are invisible; {result['late']} came so late"
    )
    return lines


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
    state = LoopState.from_json(decision.state)
    if decision.level is None:
        return []
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
