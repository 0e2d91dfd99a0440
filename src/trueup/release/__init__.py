# SPDX-License-Identifier: Apache-2.0
"""Floor 7: the staged way into production: shadow, canary, approval, full; its verdicts and levels."""

from typing import TYPE_CHECKING

from trueup.core.lazy import lazily

if TYPE_CHECKING:
    from trueup.release.advance import advance, end
    from trueup.release.canary import Canary
    from trueup.release.carrier import carrier, unanchored, unproved
    from trueup.release.evidence import Check, Evidence, evidence, evidence_of
    from trueup.release.experiments.ab import AB
    from trueup.release.experiments.bandit import Bandit
    from trueup.release.experiments.design import Guardrails, NoHarm
    from trueup.release.experiments.experiment import first_promotion
    from trueup.release.experiments.interleaving import Interleave, score_of
    from trueup.release.experiments.policies import Feature, fitted
    from trueup.release.experiments.trial import forecast_trial
    from trueup.release.full import Full
    from trueup.release.levels import next_level
    from trueup.release.offline import METHODS, verdict_of
    from trueup.release.people.acting import (
        accept,
        approve,
        pause,
        reject,
        resume,
        rollback,
        whoami,
    )
    from trueup.release.people.anchors import name_anchor
    from trueup.release.people.approval import Approval, Approver
    from trueup.release.people.carrying import carry_in, carry_out, sign_away
    from trueup.release.people.consent import standing, waiting_words
    from trueup.release.people.consent import waits as waiting
    from trueup.release.people.keys import new_key
    from trueup.release.people.offering import offer
    from trueup.release.people.rejection import proved_no
    from trueup.release.people.saying import signed, told_as
    from trueup.release.population import Population
    from trueup.release.recommend import Recommendation, Situation, recommend
    from trueup.release.risk import Risk
    from trueup.release.shadow.asking import measured
    from trueup.release.shadow.audits import Asked, Audit, answer_audit, audits_open
    from trueup.release.shadow.pairs import changed
    from trueup.release.shadow.shadow import Shadow
    from trueup.release.stage import Opening, Ruling, Scene, Stage, Terms, Traits, method, recompute

__all__ = [
    "AB",
    "METHODS",
    "Approval",
    "Approver",
    "Asked",
    "Audit",
    "Bandit",
    "Canary",
    "Check",
    "Evidence",
    "Feature",
    "Full",
    "Guardrails",
    "Interleave",
    "NoHarm",
    "Opening",
    "Population",
    "Recommendation",
    "Risk",
    "Ruling",
    "Scene",
    "Shadow",
    "Situation",
    "Stage",
    "Terms",
    "Traits",
    "accept",
    "advance",
    "answer_audit",
    "approve",
    "audits_open",
    "carrier",
    "carry_in",
    "carry_out",
    "changed",
    "end",
    "evidence",
    "evidence_of",
    "first_promotion",
    "fitted",
    "forecast_trial",
    "measured",
    "method",
    "name_anchor",
    "new_key",
    "next_level",
    "offer",
    "pause",
    "proved_no",
    "recommend",
    "recompute",
    "reject",
    "resume",
    "rollback",
    "score_of",
    "sign_away",
    "signed",
    "standing",
    "told_as",
    "unanchored",
    "unproved",
    "verdict_of",
    "waiting",
    "waiting_words",
    "whoami",
]

__getattr__ = lazily(__name__, {
    "AB": "experiments.ab",
    "advance": "advance", "end": "advance",
    "name_anchor": "people.anchors",
    "Approval": "people.approval", "Approver": "people.approval",
    "measured": "shadow.asking",
    "Asked": "shadow.audits", "Audit": "shadow.audits", "answer_audit": "shadow.audits", "audits_open": "shadow.audits",
    "Bandit": "experiments.bandit",
    "Canary": "canary",
    "carrier": "carrier", "unanchored": "carrier", "unproved": "carrier",
    "carry_in": "people.carrying", "carry_out": "people.carrying", "sign_away": "people.carrying",
    "standing": "people.consent", "waiting_words": "people.consent",
    "waiting": "people.consent:waits",
    "Guardrails": "experiments.design", "NoHarm": "experiments.design",
    "first_promotion": "experiments.experiment",
    "Full": "full",
    "Interleave": "experiments.interleaving", "score_of": "experiments.interleaving",
    "new_key": "people.keys",
    "next_level": "levels",
    "offer": "people.offering",
    "verdict_of": "offline",
    "changed": "shadow.pairs",
    "accept": "people.acting", "approve": "people.acting", "pause": "people.acting", "reject": "people.acting",
    "resume": "people.acting", "rollback": "people.acting", "whoami": "people.acting",
    "Feature": "experiments.policies", "fitted": "experiments.policies",
    "Population": "population",
    "Recommendation": "recommend", "Situation": "recommend", "recommend": "recommend",
    "proved_no": "people.rejection",
    "Risk": "risk",
    "signed": "people.saying", "told_as": "people.saying",
    "Shadow": "shadow.shadow",
    "METHODS": "offline", "Check": "evidence", "Evidence": "evidence", "evidence": "evidence", "evidence_of": "evidence",
    "Opening": "stage", "Traits": "stage", "Ruling": "stage", "Scene": "stage", "Stage": "stage", "Terms": "stage",
    "method": "stage", "recompute": "stage",
    "forecast_trial": "experiments.trial",
})
