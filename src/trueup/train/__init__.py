# SPDX-License-Identifier: Apache-2.0
"""Floor 6: fits, and never serves: trainers, and the safe running of one in a process of its own."""

from trueup.core.protocols import Budget
from trueup.train.boosted import Xgboost
from trueup.train.capabilities import goes_on, refuse
from trueup.train.command import Command
from trueup.train.lora import Lora
from trueup.train.rows import Rows, read
from trueup.train.run import Attempt, Trained, run
from trueup.train.scikit import Sklearn

__all__ = ["Attempt", "Budget", "Command", "Lora", "Rows", "Sklearn", "Trained", "Xgboost", "goes_on", "read", "refuse", "run"]
