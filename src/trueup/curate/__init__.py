# SPDX-License-Identifier: Apache-2.0
"""Floor 4: steps of a recipe, pure functions over Arrow tables of training rows."""

from trueup.curate.cap import CapPerUnit
from trueup.curate.clean import Clean, clean_text
from trueup.curate.dedup import Deduplicate
from trueup.curate.distill import Distill
from trueup.curate.golden import GoldenIndex, exclude_golden
from trueup.curate.rows import ROWS, check_rows
from trueup.curate.schema import Schema
from trueup.curate.steps import Step, check_step, run_step, version_of
from trueup.curate.weights import ImportanceWeights

__all__ = [
    "ROWS",
    "CapPerUnit",
    "Clean",
    "Deduplicate",
    "Distill",
    "GoldenIndex",
    "ImportanceWeights",
    "Schema",
    "Step",
    "check_rows",
    "check_step",
    "clean_text",
    "exclude_golden",
    "run_step",
    "version_of",
]
