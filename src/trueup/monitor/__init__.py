# SPDX-License-Identifier: Apache-2.0
"""Floor 6: has anything moved? Drift of rows, answers and outcomes, in false alarms per year."""

from trueup.monitor.cycle import cycle_drift
from trueup.monitor.evidently import Evidently
from trueup.monitor.expected import Expected, confidences, expected_score
from trueup.monitor.found import Found
from trueup.monitor.means import mean_drift
from trueup.monitor.memory import Width, memory, width_of
from trueup.monitor.report import DriftReport, Line, drift_report
from trueup.monitor.rows import Batches, Sample, Season, sample
from trueup.monitor.scores import ScoreDrift
from trueup.monitor.seasonal import FittedSeason, Harmonics, season_drift
from trueup.monitor.slices import Example, Segment
from trueup.monitor.told import told_drift
from trueup.monitor.views import (
    Answers,
    Category,
    Embedding,
    Length,
    Numeric,
    Vectors,
    View,
    Vocabulary,
    views_of,
)
from trueup.monitor.watch import Monitor, RowDrift, Terms, Watch, watch
from trueup.monitor.weak import Weak, WeakSlices, weak_slices

__all__ = [
    "Answers",
    "Batches",
    "Category",
    "DriftReport",
    "Embedding",
    "Evidently",
    "Example",
    "Expected",
    "FittedSeason",
    "Found",
    "Harmonics",
    "Length",
    "Line",
    "Monitor",
    "Numeric",
    "RowDrift",
    "Sample",
    "ScoreDrift",
    "Season",
    "Segment",
    "Terms",
    "Vectors",
    "View",
    "Vocabulary",
    "Watch",
    "Weak",
    "WeakSlices",
    "Width",
    "confidences",
    "cycle_drift",
    "drift_report",
    "expected_score",
    "mean_drift",
    "memory",
    "sample",
    "season_drift",
    "told_drift",
    "views_of",
    "watch",
    "weak_slices",
    "width_of",
]
