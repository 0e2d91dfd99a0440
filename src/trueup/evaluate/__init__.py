# SPDX-License-Identifier: Apache-2.0
"""Floor 6: scorers, metrics, gates on golden sets, comparison by slice, and the report for people."""

from trueup.evaluate.compare import Evaluation, Example, SliceScore, evaluate
from trueup.evaluate.gates import AtLeast, Gate
from trueup.evaluate.items import Items, Remembered, gate_seed
from trueup.evaluate.metrics import AUC, F1Macro, F1Micro, F1PerLabel, LogLoss, f1_by_label
from trueup.evaluate.no_worse import NoWorse
from trueup.evaluate.report import Report, report
from trueup.evaluate.rouge import Rouge1, Rouge2, RougeL
from trueup.evaluate.scorers import F1, Accuracy, Custom, Exact
from trueup.evaluate.simplest import beside, simplest_answer
from trueup.evaluate.summary import Summary, summarise

__all__ = [
    "AUC",
    "F1",
    "Accuracy",
    "AtLeast",
    "Custom",
    "Evaluation",
    "Exact",
    "Example",
    "F1Macro",
    "F1Micro",
    "F1PerLabel",
    "Gate",
    "Items",
    "LogLoss",
    "NoWorse",
    "Remembered",
    "Report",
    "Rouge1",
    "Rouge2",
    "RougeL",
    "SliceScore",
    "Summary",
    "beside",
    "evaluate",
    "f1_by_label",
    "gate_seed",
    "report",
    "simplest_answer",
    "summarise",
]
