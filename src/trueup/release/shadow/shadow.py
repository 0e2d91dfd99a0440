# SPDX-License-Identifier: Apache-2.0
"""Shadow: the challenger answers fresh inputs, unseen, and is scored beside the champion (REL-01).

This is the gate that carries the promise: on fresh traffic, paired, at the release's own level.
The anchor is answered and scored beside it, so that small losses cannot add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from trueup.core.clock import from_us
from trueup.core.errors import ArgumentError, DefinitionError
from trueup.core.protocols import Scorer
from trueup.core.task import Outcome
from trueup.core.values import to_json, value
from trueup.release.shadow.asking import require_judgeable
from trueup.release.shadow.audits import Audit
from trueup.release.shadow.evidence import COVERAGE
from trueup.release.shadow.pairs import answer_inputs, changed, disagreement
from trueup.release.stage import Ruling, Scene, Terms, Traits, gather

HOUR = timedelta(hours=1)


@value("stage.shadow")
class Shadow(Traits):
    """Score challenger and champion on the same fresh units, out of the users' sight.

    `units` is the horizon N, in labelled pairs: None lets the forecast choose it when the stage is
    entered, from the disagreement on the last 500 inputs, labels unread. The stage ends with a
    crossing, or as REFUSE at N pairs or after `max_time`; `min_time` only delays the next stage.
    `no_worse_by` is the margin on the scorer's scale. Labels count that became known within the
    outcome's window after the exposure. Under 95 % coverage (labelled units of which a pair could be
    scored) there is no verdict, and at the end the shadow is INVALID.

    `outcome` names the label that scores, where there are several. It may be a judge's verdict, which
    is cheap and comes for all: then `audit=Audit(0.1, "label")` asks people about a random tenth, and
    the test is of people's word, whatever the judge's bias. Without an audit a shadow on a judge's
    verdicts holds in the judge's eyes only. Where fewer than 95 % of the audits were answered there is
    no verdict either.

    Candidates that have parameters are judged only where their models take them (a ParameterPredictor):
    else no release begins, since the models' answers are not what users see.
    """

    evidence = "shadow"
    carries = 2
    anchored = True
    judges = True

    scorer: Scorer
    no_worse_by: float = 0.05
    units: int | None = None
    min_time: timedelta = HOUR
    max_time: timedelta = timedelta(days=7)
    outcome: str | None = None
    audit: Audit | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.no_worse_by < 1.0:
            raise ArgumentError(f"expected no_worse_by between 0 and 1, got {self.no_worse_by!r}")
        if self.units is not None and self.units < 1:
            raise ArgumentError(f"expected at least one unit, got {self.units!r}")
        if not timedelta(0) <= self.min_time < self.max_time:
            raise ArgumentError(
                f"expected 0 <= min_time < max_time, got {self.min_time!r} and {self.max_time!r}"
            )

    def label(self, outcomes: Sequence[Outcome]) -> Outcome:
        """The outcome that scores: the one named, or the loop's only label."""
        found = [one for one in outcomes if one.label and self.outcome in (None, one.name)]
        if len(found) != 1:
            names = [one.name for one in outcomes if one.label]
            raise DefinitionError(
                f"expected one label outcome for the shadow, got {self.outcome or names or 'none'}",
                cure="declare Outcome.of_input(name), and name it in Shadow(outcome=...)",
            )
        return found[0]

    def problems(self, terms: Terms) -> list[str]:
        named = [one for one in terms.outcomes if one.name == self.outcome]
        if named and not named[0].label:
            return [
                f"Shadow scores {self.outcome!r}, which is feedback on the answer that was shown: "
                "the challenger's answer was not shown; use a label of the input, or a canary"
            ]
        try:
            label = self.label(terms.outcomes)
        except DefinitionError as error:
            return [str(error)]
        if label.corrections_only:
            return [
                f"Shadow scores {label.name!r}, which arrives only where the champion was wrong: it "
                "would make any challenger look better; sample labels for right answers as well"
            ]
        if label.within >= self.max_time:
            return [
                f"Shadow ends after {self.max_time}, and labels of {label.name!r} count for "
                f"{label.within}: no unit would ever be complete; raise max_time"
            ]
        return self._audit_problems(terms, label)

    def _audit_problems(self, terms: Terms, label: Outcome) -> list[str]:
        if self.audit is None:
            return []
        said = next((one for one in terms.outcomes if one.name == self.audit.outcome), None)
        if said is None or not said.label or said.corrections_only:
            return [
                f"Shadow is audited by {self.audit.outcome!r}, which is no label of the input that comes for right answers "
                f"too: declare Outcome.of_input({self.audit.outcome!r}) among the outcomes"
            ]
        if said.name == label.name:
            return [f"Shadow is audited by {said.name!r}, the same label that scores: name the judge's with outcome="]
        if said.within >= self.max_time:
            return [f"Shadow ends after {self.max_time}, and people have {said.within} for {said.name!r}: raise max_time"]
        return []

    def pairs(self, needed: int) -> int:
        """Units for so many pairs: with audits as many more as if the judge's word were worth nothing."""
        return needed if self.audit is None else math.ceil(needed / self.audit.share)

    def enter(self, scene: Scene) -> dict[str, Any]:
        from trueup.stats import forecast

        label, release = self.label(scene.terms.outcomes), scene.release
        require_judgeable(scene.ledger, scene.terms, (release.candidate, scene.state.champion, scene.state.anchor))
        creep = scene.terms.risk.creep or 2.0 * self.no_worse_by
        met = scene.state.anchor == scene.state.champion or creep >= 1.0
        share, inputs = disagreement(scene, self.scorer)
        seen = forecast(
            disagreement=share, margin=self.no_worse_by, alpha=release.level, seed=scene.terms.seed
        )
        audit: dict[str, Any] = {}
        within = label.within
        if self.audit is not None:
            said = next(one for one in scene.terms.outcomes if one.name == self.audit.outcome)
            within = max(within, said.within)
            audit = {"audit": {
                "share": self.audit.share, "outcome": said.name, "scorer": to_json(self.audit.scorer or self.scorer),
                "salt": f"{scene.terms.loop}/{release.id}/audit", "saved": "used",
            }}
        return {
            **audit, "candidate": release.candidate, "champion": scene.state.champion,
            "anchor": None if met else scene.state.anchor,
            "since": scene.now, "label": label.name,
            "within": int(within.total_seconds() * 1e6), "scorer": to_json(self.scorer),
            "level": release.level, "horizon": self.units or self.pairs(seen.horizon or seen.max_horizon),
            "margin": self.no_worse_by, "creep": creep,
            "forecast": {
                "disagreement": share, "inputs": inputs, "pairs": seen.horizon, "power": seen.power,
            },
        }

    def rule(self, scene: Scene) -> Ruling:
        parameters = scene.release.parameters
        if broken := changed(parameters):
            return Ruling("INVALID", broken)
        require_judgeable(scene.ledger, scene.terms, [parameters[name] for name in ("candidate", "champion", "anchor")])
        answer_inputs(scene)
        scene = replace(scene, cut=scene.ledger.cut())  # the answers just written count
        result, evidence = gather(scene, "shadow", parameters)
        age = from_us(scene.now) - from_us(parameters["since"])
        words = describe(result, parameters)
        if result["invalid"]:
            return Ruling("INVALID", f"{result['invalid']}: {words}", evidence)
        tests = [result] if result["anchor"] is None else [result, result["anchor"]]
        ended = age >= self.max_time or result["exhausted"]
        if result["coverage"] is not None and result["coverage"] < COVERAGE:
            words += f"; only {result['coverage']:.1%} of the labelled units could be scored, under {COVERAGE:.0%}"
            return Ruling("INVALID" if ended else "HOLD", f"no verdict: {words}", evidence)
        if thin := _thin(tests):
            return Ruling("INVALID" if ended else "HOLD", f"no verdict: {words}; {thin}", evidence)
        if all(test["rejected"] for test in tests):
            if age < self.min_time:
                return Ruling("HOLD", f"{words}; waits for its minimum of {self.min_time}", evidence)
            return Ruling("PASS", words, evidence, proven=True)
        over = result["exhausted"] or any(test["finished"] and not test["rejected"] for test in tests)
        if over or age >= self.max_time:
            why = "the horizon is reached" if over else f"{self.max_time} have passed"
            return Ruling("REFUSE", f"not shown to be no worse, and {why}: {words}", evidence)
        return Ruling("HOLD", words, evidence)


def _thin(tests: Sequence[dict[str, Any]]) -> str | None:
    """Why people's answers are too few for a verdict: who is not answered for may be of a kind."""
    for test in tests:
        audits = test.get("audits")
        if audits and audits["answered"] < COVERAGE * audits["asked"]:
            share = audits["answered"] / audits["asked"]
            return f"only {share:.1%} of the audits were answered, under {COVERAGE:.0%}: trueup audit lists what is open"
    return None


def describe(result: dict[str, Any], parameters: dict[str, Any]) -> str:
    """A shadow's result in a sentence."""
    anchor = result["anchor"]
    words = (
        f"{result['n']:,} of {parameters['horizon']:,} pairs: challenger {result['new']:.3f}, champion "
        f"{result['old']:.3f}, coverage {1.0 if result['coverage'] is None else result['coverage']:.0%}; evidence {result['wealth']:.3g} against {1 / parameters['level']:.3g}"
    )
    if audits := result.get("audits"):
        words += f"; {audits['answered']:,} of {audits['asked']:,} audits answered by people"
    if anchor is not None:
        words += f"; against the anchor {anchor['wealth']:.3g}"
    return words
