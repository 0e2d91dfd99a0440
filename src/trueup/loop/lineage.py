# SPDX-License-Identifier: Apache-2.0
"""What a training goes on from: the base of its adapters, and the model that serves (TRN-04 to TRN-06).

A stateful training goes on from the champion, not from the last candidate: a candidate that a gate
or the traffic refused is nobody's model, and what the next one is compared with is the champion.
Its new rows are therefore those that the champion could not see, whatever was trained since.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.clock import from_us
from trueup.core.references import Ref
from trueup.state import Candidate, candidate

if TYPE_CHECKING:
    from trueup.data.snapshot import Snapshot
    from trueup.loop.context import Context
    from trueup.loop.definition import Loop
    from trueup.models import Manifest


def start(context: Context, data: dict[str, Any]) -> dict[str, Any]:
    """Where the training begins: {"champion", "now", "trainer"} -> {"mode", "reason", "forced", "parent",
    "init", "base", "rows", "rebased"}.

    `mode` is stateful, where it goes on from the model `init` of the candidate `parent`, or
    stateless (`forced` where the trainer was to go on); `reason` says why; `rows` is what the Snapshot's step is told besides; `rebased` is
    the moment of the last stateless training of the lineage.
    """
    from trueup.models import read_manifest
    from trueup.train import goes_on

    ledger, loop = context.ledger, context.loop
    base = base_of(context, data["champion"])
    made: dict[str, Any] = {
        "mode": "stateless", "reason": "", "forced": False, "parent": None, "init": None, "rows": {}, "rebased": data["now"],
        "base": None if base is None else base.to_json(),
    }
    if not goes_on(loop.trainer):
        return made | {"reason": "the trainer starts anew each time"}
    if data["champion"] is None:
        return made | {"reason": "there is no champion to go on from"}
    champion = candidate(ledger, loop.name, data["champion"])
    rebased = _rebased(champion)
    why = _anew(context, champion, base, rebased, data["now"])
    if why is not None:
        return anew(made, why, data["now"])
    manifest = read_manifest(ledger.artifacts.path(champion.model))
    learned = _snapshot(context, champion)
    assert learned is not None
    rows: dict[str, Any] = {"after": int(learned.manifest["cut"]), "parents": [learned.id]}
    if manifest.labels:
        rows["labels"] = list(manifest.labels)
    return made | {
        "mode": "stateful", "reason": f"goes on from the champion {champion.id}", "parent": champion.id,
        "init": champion.model.to_json(), "rows": rows, "rebased": rebased,
    }


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


def anew(began: dict[str, Any], why: str, now: int) -> dict[str, Any]:
    """The same beginning as a stateless one, and why."""
    return began | {"mode": "stateless", "reason": why, "forced": True, "parent": None, "init": None, "rows": {}, "rebased": now}


def said(began: dict[str, Any] | None) -> dict[str, Any] | None:
    """What people and the registry are told of a beginning."""
    if began is None:
        return None
    return {name: began[name] for name in ("mode", "reason", "forced", "parent", "rebased", "init", "base")}


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
