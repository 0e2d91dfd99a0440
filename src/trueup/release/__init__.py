# SPDX-License-Identifier: Apache-2.0
"""Floor 6: the staged way into production: shadow, canary, approval, full; its verdicts and levels."""

from trueup.release.advance import advance, end
from trueup.release.approval import Approval, Approver
from trueup.release.asking import measured
from trueup.release.canary import Canary
from trueup.release.carrying import carry_in, carry_out, sign_away
from trueup.release.consent import standing, waiting_words
from trueup.release.consent import waits as waiting
from trueup.release.full import Full
from trueup.release.keys import new_key
from trueup.release.levels import next_level
from trueup.release.pairs import changed
from trueup.release.people import approve, name_anchor, pause, reject, resume, rollback, whoami
from trueup.release.risk import Risk
from trueup.release.saying import signed, told_as
from trueup.release.shadow import Shadow
from trueup.release.stage import METHODS, Ruling, Scene, Stage, Terms, method, recompute
from trueup.release.state import LoopState, Release, Test, decide, only, read

__all__ = [
    "METHODS",
    "Approval",
    "Approver",
    "Canary",
    "Full",
    "LoopState",
    "Release",
    "Risk",
    "Ruling",
    "Scene",
    "Shadow",
    "Stage",
    "Terms",
    "Test",
    "advance",
    "approve",
    "carry_in",
    "carry_out",
    "changed",
    "decide",
    "end",
    "measured",
    "method",
    "name_anchor",
    "new_key",
    "next_level",
    "only",
    "pause",
    "read",
    "recompute",
    "reject",
    "resume",
    "rollback",
    "sign_away",
    "signed",
    "standing",
    "told_as",
    "waiting",
    "waiting_words",
    "whoami",
]
