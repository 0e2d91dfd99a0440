# SPDX-License-Identifier: Apache-2.0
"""What a training goes on from: the base of its adapters, and the model that serves (TRN-04 to TRN-06).

A stateful training goes on from the champion, not from the last candidate: a candidate that a gate
or the traffic refused is nobody's model, and what the next one is compared with is the champion.
Its new rows are therefore those that the champion could not see, whatever was trained since.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from trueup.core.clock import from_us
from trueup.core.records import to_plain
from trueup.core.references import Ref
from trueup.loop.context import Context
from trueup.loop.pipeline import typed
from trueup.state import Candidate, candidate
from trueup.state.steps import NewRows, Start, StartInput

if TYPE_CHECKING:
    from trueup.data.snapshot import Snapshot
    from trueup.loop.definition import Loop
    from trueup.models import Manifest


@typed(StartInput)
def start(context: Context, given: StartInput) -> Start:
    """Where the training begins, and which rows are new to the model that it goes on from."""
    from trueup.models import read_manifest
    from trueup.train import goes_on

    ledger, loop = context.ledger, context.loop
    base = base_of(context, given.champion)
    scratch = Start("stateless", "", given.now, base=base)
    if not goes_on(loop.trainer):
        return replace(scratch, reason="the trainer starts anew each time")
    if given.champion is None:
        return replace(scratch, reason="there is no champion to go on from")
    champion = candidate(ledger, loop.name, given.champion)
    rebased = _rebased(champion)
    why = _anew(context, champion, base, rebased, given.now)
    if why is not None:
        return anew(scratch, why, given.now)
    manifest = read_manifest(ledger.artifacts.path(champion.model))
    learned = _snapshot(context, champion)
    assert learned is not None
    return Start(
        "stateful", f"goes on from the champion {champion.id}", rebased, parent=champion.id, init=champion.model, base=base,
        rows=NewRows(int(learned.manifest["cut"]), [learned.id], list(manifest.labels) if manifest.labels else UNSET),
    )


def expected(context: Context, champion: str | None, now: int) -> int | None:
    """The cut after which rows would be new to a training at `now`, told without opening a model; None
    where it would start from scratch. That a base has changed is not seen."""
    from trueup.train import goes_on

    if champion is None or not goes_on(context.loop.trainer):
        return None
    found = candidate(context.ledger, context.loop.name, champion)
    learned = _snapshot(context, found)
    if learned is None or _overdue(context, _rebased(found), now) is not None:
        return None
    return int(learned.manifest["cut"])


def anew(began: Start, why: str, now: int) -> Start:
    """The same beginning as a stateless one, and why."""
    return Start("stateless", why, now, forced=True, base=began.base)


def said(began: Start | None) -> dict[str, Any] | None:
    """What people and the registry are told of a beginning: all of it but its rows."""
    if began is None:
        return None
    return {name: part for name, part in to_plain(began).items() if name != "rows"}


def _anew(context: Context, champion: Candidate, base: Ref | None, rebased: int, now: int) -> str | None:
    """Why a training that would go on from the champion has to start anew; None where it need not."""
    from trueup.models import read_manifest

    artifacts, trainer = context.ledger.artifacts, context.loop.trainer
    if _snapshot(context, champion) is None:
        return f"the champion {champion.id} has learned from no Snapshot of this loop"
    overdue = _overdue(context, rebased, now)
    if overdue is not None:
        return overdue
    hinders = getattr(trainer, "hinders", None)
    if hinders is None:
        return None
    found: Manifest = read_manifest(artifacts.path(champion.model))
    why: str | None = hinders(found, None if base is None else read_manifest(artifacts.path(base)))
    return why


def _overdue(context: Context, rebased: int, now: int) -> str | None:
    """That a training from scratch is due again; None where it is not."""
    every = getattr(context.loop.trainer, "rebase_every", None)
    if every is None or from_us(now) - from_us(rebased) < every:
        return None
    return f"the last training from scratch was on {from_us(rebased):%Y-%m-%d}, and one is due every {every.days} days"


def _rebased(champion: Candidate) -> int:
    began = champion.facts.get("start") or {}
    return int(began.get("rebased") or champion.created)


def _snapshot(context: Context, champion: Candidate) -> Snapshot | None:
    from trueup.data import load

    return None if champion.snapshot is None else load(context.ledger, champion.snapshot, context.loop.name)


def unknown(loop: Loop, found: Snapshot, labels: list[Any] | None) -> list[str]:
    """The labels of a Snapshot's rows that are not among these."""
    from trueup.core.json import dumps, loads

    if labels is None or loop.task.answers not in ("label", "labels"):
        return []
    targets = [loads(text) for text in found.rows()["target"].unique().to_pylist()]
    several = loop.task.answers == "labels"
    seen = {dumps(one) for target in targets for one in (target if several else [target])}
    return sorted(seen - {dumps(label) for label in labels})


def stored(context: Context, model: Any) -> Ref:
    """The folder of a model of the definition, in the artifacts."""
    with tempfile.TemporaryDirectory() as folder:
        model.write(Path(folder), context.loop.task.answers)
        ref: Ref = context.ledger.artifacts.put_tree(Path(folder))
    return ref


def base_of(context: Context, champion: str | None) -> Ref | None:
    """The frozen model that an adapter is trained on: the trainer's own, or else the champion, or
    what the champion itself was trained from; None for trainers that need none. A whole model that
    was trained elsewhere, and came without its own base, is one itself."""
    from trueup.models import read_manifest
    from trueup.models.adapter import tree_of

    trainer = context.loop.trainer
    if not trainer.capabilities.base:
        return None
    own = getattr(trainer, "base", None)
    if own is not None:
        return stored(context, own)
    if champion is None:
        return None
    model, artifacts = candidate(context.ledger, context.loop.name, champion).model, context.ledger.artifacts
    manifest = read_manifest(artifacts.path(model))
    tree = tree_of(manifest)
    if tree is None or (manifest.format == "causal" and not (context.ledger.home / tree.uri).is_dir()):
        return model
    return tree
