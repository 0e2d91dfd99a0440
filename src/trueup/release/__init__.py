# SPDX-License-Identifier: Apache-2.0
"""Floor 6: the staged way into production: shadow, canary, approval, full; its verdicts and levels."""

from typing import TYPE_CHECKING

from trueup.core.lazy import lazily

if TYPE_CHECKING:
    from trueup.release.ab import AB
    from trueup.release.advance import advance, end
    from trueup.release.anchors import name_anchor
    from trueup.release.approval import Approval, Approver
    from trueup.release.asking import measured
    from trueup.release.audits import Asked, Audit, answer_audit, audits_open
    from trueup.release.bandit import Bandit
    from trueup.release.canary import Canary
    from trueup.release.carrier import carrier, unanchored
    from trueup.release.carrying import carry_in, carry_out, sign_away
    from trueup.release.consent import standing, waiting_words
    from trueup.release.consent import waits as waiting
    from trueup.release.design import Guardrails, NoHarm
    from trueup.release.experiment import first_promotion
    from trueup.release.full import Full
    from trueup.release.interleaving import Interleave, score_of
    from trueup.release.keys import new_key
    from trueup.release.levels import next_level
    from trueup.release.offering import offer
    from trueup.release.offline import verdict_of
    from trueup.release.pairs import changed
    from trueup.release.people import accept, approve, pause, reject, resume, rollback, whoami
    from trueup.release.policies import Feature, fitted
    from trueup.release.population import Population
    from trueup.release.recommend import Recommendation, Situation, recommend
    from trueup.release.rejection import proved_no
    from trueup.release.risk import Risk
    from trueup.release.saying import signed, told_as
    from trueup.release.shadow import Shadow
    from trueup.release.stage import METHODS, Ruling, Scene, Stage, Terms, method, recompute
    from trueup.release.state import LoopState, Release, Test, decide, only, read
    from trueup.release.trial import forecast_trial

__all__ = [
    "AB",
    "METHODS",
    "Approval",
    "Approver",
    "Asked",
    "Audit",
    "Bandit",
    "Canary",
    "Feature",
    "Full",
    "Guardrails",
    "Interleave",
    "LoopState",
    "NoHarm",
    "Population",
    "Recommendation",
    "Release",
    "Risk",
    "Ruling",
    "Scene",
    "Shadow",
    "Situation",
    "Stage",
    "Terms",
    "Test",
    "accept",
    "advance",
    "answer_audit",
    "approve",
    "audits_open",
    "carrier",
    "carry_in",
    "carry_out",
    "changed",
    "decide",
    "end",
    "first_promotion",
    "fitted",
    "forecast_trial",
    "measured",
    "method",
    "name_anchor",
    "new_key",
    "next_level",
    "offer",
    "only",
    "pause",
    "proved_no",
    "read",
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
    "verdict_of",
    "waiting",
    "waiting_words",
    "whoami",
]

__getattr__ = lazily(__name__, {
    "AB": "ab",
    "advance": "advance", "end": "advance",
    "name_anchor": "anchors",
    "Approval": "approval", "Approver": "approval",
    "measured": "asking",
    "Asked": "audits", "Audit": "audits", "answer_audit": "audits", "audits_open": "audits",
    "Bandit": "bandit",
    "Canary": "canary",
    "carrier": "carrier", "unanchored": "carrier",
    "carry_in": "carrying", "carry_out": "carrying", "sign_away": "carrying",
    "standing": "consent", "waiting_words": "consent",
    "waiting": "consent:waits",
    "Guardrails": "design", "NoHarm": "design",
    "first_promotion": "experiment",
    "Full": "full",
    "Interleave": "interleaving", "score_of": "interleaving",
    "new_key": "keys",
    "next_level": "levels",
    "offer": "offering",
    "verdict_of": "offline",
    "changed": "pairs",
    "accept": "people", "approve": "people", "pause": "people", "reject": "people",
    "resume": "people", "rollback": "people", "whoami": "people",
    "Feature": "policies", "fitted": "policies",
    "Population": "population",
    "Recommendation": "recommend", "Situation": "recommend", "recommend": "recommend",
    "proved_no": "rejection",
    "Risk": "risk",
    "signed": "saying", "told_as": "saying",
    "Shadow": "shadow",
    "METHODS": "stage", "Ruling": "stage", "Scene": "stage", "Stage": "stage", "Terms": "stage",
    "method": "stage", "recompute": "stage",
    "LoopState": "state", "Release": "state", "Test": "state", "decide": "state", "only": "state",
    "read": "state",
    "forecast_trial": "trial",
})
