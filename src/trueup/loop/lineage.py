# SPDX-License-Identifier: Apache-2.0
"""What a training goes on from: the base of its adapters, and the model that serves."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.references import Ref
from trueup.registry import candidate

if TYPE_CHECKING:
    from trueup.loop.context import Context


def stored(context: Context, model: Any) -> Ref:
    """The folder of a model of the definition, in the artifacts."""
    with tempfile.TemporaryDirectory() as folder:
        model.write(Path(folder), context.loop.task.answers)
        ref: Ref = context.ledger.artifacts.put_tree(Path(folder))
    return ref


def base_of(context: Context, champion: str | None) -> Ref | None:
    """The frozen model that an adapter is trained on: the trainer's own, or else the champion, or
    the base of the champion's adapter; None for trainers that need none."""
    from trueup.models import read_manifest
    from trueup.models.adapter import FORMAT, tree_of

    trainer = context.loop.trainer
    if not trainer.capabilities.base:
        return None
    own = getattr(trainer, "base", None)
    if own is not None:
        return stored(context, own)
    if champion is None:
        return None
    model = candidate(context.ledger, context.loop.name, champion).model
    manifest = read_manifest(context.ledger.artifacts.path(model))
    return tree_of(manifest) if manifest.format == FORMAT else model
