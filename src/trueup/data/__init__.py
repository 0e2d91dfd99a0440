# SPDX-License-Identifier: Apache-2.0
"""Floor 5: recipes and the Snapshots that they give, golden sets, and rows out of files."""

from trueup.data.build import Built, build, preview, teaches
from trueup.data.columns import Column
from trueup.data.fit import Fit, Unfit, unfit
from trueup.data.frozen import add_items, check_frozen, freeze, frozen_digest, use, uses
from trueup.data.funnel import Funnel, FunnelStep
from trueup.data.golden import GoldenItems, GoldenSet
from trueup.data.importing import Imported, file_digest, import_file, read_events
from trueup.data.labelled import cohort_of, labelled
from trueup.data.mapping import (
    Doubt,
    Mapping,
    Proposal,
    certain,
    propose,
    propose_mapping,
    settled,
    with_maps,
)
from trueup.data.profile import Profile, profile
from trueup.data.recipe import Recipe, Replay
from trueup.data.rolling import RollingSet
from trueup.data.snapshot import Difference, Snapshot, diff, list_snapshots, load, verify
from trueup.data.times import parse_time

__all__ = [
    "Built",
    "Column",
    "Difference",
    "Doubt",
    "Fit",
    "Funnel",
    "FunnelStep",
    "GoldenItems",
    "GoldenSet",
    "Imported",
    "Mapping",
    "Profile",
    "Proposal",
    "Recipe",
    "Replay",
    "RollingSet",
    "Snapshot",
    "Unfit",
    "add_items",
    "build",
    "certain",
    "check_frozen",
    "cohort_of",
    "diff",
    "file_digest",
    "freeze",
    "frozen_digest",
    "import_file",
    "labelled",
    "list_snapshots",
    "load",
    "parse_time",
    "preview",
    "profile",
    "propose",
    "propose_mapping",
    "read_events",
    "settled",
    "teaches",
    "unfit",
    "use",
    "uses",
    "verify",
    "with_maps",
]
