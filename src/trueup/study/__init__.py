# SPDX-License-Identifier: Apache-2.0
"""Floor 9: what a loop's own past says about it: backtest, advise, forecast, slices, whatif."""

from trueup.study.advise import Advice, advise
from trueup.study.backtest import Backtest, Life, Training, backtest, dry
from trueup.study.bench import Bench, Fit
from trueup.study.edit import Edit, apply, propose
from trueup.study.forecasting import Outlook, outlook
from trueup.study.past import Logged, history, newest
from trueup.study.policy import Policy, length, policies, scorer_of
from trueup.study.situation import situation
from trueup.study.weak import weak
from trueup.study.whatif import WhatIf, whatif

__all__ = [
    "Advice",
    "Backtest",
    "Bench",
    "Edit",
    "Fit",
    "Life",
    "Logged",
    "Outlook",
    "Policy",
    "Training",
    "WhatIf",
    "advise",
    "apply",
    "backtest",
    "dry",
    "history",
    "length",
    "newest",
    "outlook",
    "policies",
    "propose",
    "scorer_of",
    "situation",
    "weak",
    "whatif",
]
