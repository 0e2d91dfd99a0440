# SPDX-License-Identifier: Apache-2.0
"""Floor 6: who served when, retention, and publishing."""

from typing import TYPE_CHECKING

from trueup.core.lazy import lazily

if TYPE_CHECKING:
    from trueup.registry.history import Reign, reigns, served
    from trueup.registry.mlflow import Mlflow
    from trueup.registry.projection import Projection, projection
    from trueup.registry.publish import (
        Change,
        Nomination,
        Published,
        Publisher,
        deliver,
        missed,
        nominated,
        troubles,
    )
    from trueup.registry.retention import Keep, Pruned, prune, throw_away
    from trueup.registry.upkeep import ailments, backup

__all__ = [
    "Change",
    "Keep",
    "Mlflow",
    "Nomination",
    "Projection",
    "Pruned",
    "Published",
    "Publisher",
    "Reign",
    "ailments",
    "backup",
    "deliver",
    "missed",
    "nominated",
    "projection",
    "prune",
    "reigns",
    "served",
    "throw_away",
    "troubles",
]

__getattr__ = lazily(__name__, {
    "Reign": "history", "reigns": "history", "served": "history",
    "Mlflow": "mlflow",
    "Projection": "projection", "projection": "projection",
    "Change": "publish", "Nomination": "publish", "Published": "publish", "Publisher": "publish",
    "deliver": "publish", "missed": "publish", "nominated": "publish", "troubles": "publish",
    "Keep": "retention", "Pruned": "retention", "prune": "retention", "throw_away": "retention",
    "ailments": "upkeep", "backup": "upkeep",
})
