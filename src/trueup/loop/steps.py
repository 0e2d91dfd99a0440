# SPDX-License-Identifier: Apache-2.0
"""The steps of a cycle: Snapshot, training, gates, registration. Typed inside, JSON in and out."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from trueup.core.errors import ModelError, UserError
from trueup.core.json import dumps
from trueup.core.parameters import typed as typed_parameters
from trueup.core.protocols import Answer, GateResult, Scorer
from trueup.core.references import Ref
from trueup.core.values import to_json
from trueup.loop.context import Context
from trueup.loop.fits import fit_of
from trueup.loop.pipeline import Step, typed
from trueup.state import candidate, register
from trueup.state.steps import (
    Built,
    GateFinding,
    GatesInput,
    Judged,
    Registered,
    RegisterInput,
    SnapshotInput,
    Trained,
    TrainInput,
)

T = TypeVar("T")

START = Step("start", "trueup.loop.lineage:start")
SNAPSHOT = Step("snapshot", "trueup.loop.steps:snapshot")
TRAIN = Step("train", "trueup.loop.steps:train")
GATES = Step("gates", "trueup.loop.steps:gates")
REGISTER = Step("register", "trueup.loop.steps:register_candidate")


def said_or(given: T | UnsetType, otherwise: T) -> T:
    """A field of an input, or what holds where nothing is said."""
    return otherwise if given is UNSET else given


@typed(SnapshotInput)
def snapshot(context: Context, given: SnapshotInput) -> Built:
    """Build the dataset, or say why there is none, and which of its labels are not among `labels`."""
    from trueup.data import build
    from trueup.loop.lineage import unknown

    loop = context.loop
    golden = [items_of(context, one, given.cut, given.now) for one in loop.golden()]
    built = build(
        loop.recipe, context.ledger, loop=loop.name, target=loop.label.name, cut=given.cut,
        now_us=given.now, golden=golden, seed=loop.seed, after=said_or(given.after, None), parents=said_or(given.parents, []),
        fit=fit_of(loop), progress=lambda step, rows: context.say(f"snapshot: {step}, {rows:,} rows", 0, 0),
    )
    found, funnel = built.snapshot, built.funnel.to_json()
    if found is None:
        return Built(None, None, funnel, built.refusal)
    return Built(found.id, found.data, funnel, built.refusal, unknown(loop, found, said_or(given.labels, None)))


@typed(TrainInput)
def train(context: Context, given: TrainInput) -> Trained:
    """Train on a Snapshot."""
    from trueup.train import run

    job = given.training
    done = run(
        job, context.ledger.artifacts, workdir=context.ledger.home / "work", base=context.base,
        progress=lambda step, total, _: context.show("train", step, total),
        price=context.loop.price, retries=job.budget.retries, retry_delay=job.budget.retry_delay,
        sleep=lambda seconds: context.wait("train", seconds), stop=context.stopping,
    )
    return Trained(
        done.model, done.result.status, done.result.reason, dict(done.result.metrics), dict(done.result.facts),
        sum(attempt.seconds for attempt in done.attempts), [asdict(attempt) for attempt in done.attempts], done.key[:16],
    )


@typed(GatesInput)
def gates(context: Context, given: GatesInput) -> Judged:
    """Ask every gate, and write the report for people."""
    from trueup.data import use
    from trueup.evaluate import Remembered, gate_seed
    from trueup.models import load, with_parameters

    ledger, loop, model = context.ledger, context.loop, given.model
    parameters = inherited(context, given.champion) if given.parameters is UNSET else given.parameters
    challenger = Remembered(with_parameters(load(ledger.artifacts.path(model), trust_code=True), parameters).predict)
    champion = Remembered(context.model(given.champion).predict) if given.champion else None
    sets = {one.name: items_of(context, one, given.cut, given.now) for one in loop.golden()}
    results = []
    for gate in loop.gates:
        items = sets[gate.on.name]
        use(ledger, loop.name, items, "gate", model.sha256[:16])
        seed = gate_seed(items.digest, model.sha256)
        results.append(gate.judge(challenger, champion, items, seed=seed))
        context.say("gates", len(results), len(loop.gates))
    return Judged(
        all(result.passed for result in results),
        [GateFinding(result.passed, result.reason, dict(result.evidence)) for result in results],
        _report(context, given, challenger, champion, sets, results),
    )


def _report(
    context: Context, given: GatesInput, challenger: Answer, champion: Answer | None,
    sets: dict[str, Any], results: list[GateResult],
) -> Ref | None:
    """The report as an artifact: a folder with report.html and report.md; None where there is none."""
    from trueup.data import load as load_snapshot
    from trueup.evaluate import beside, evaluate, report

    if not sets:
        return None
    measures = {
        to_dumps(measure): measure for gate in context.loop.gates
        if (measure := getattr(gate, "scorer", None) or getattr(gate, "measure", None)) is not None
    }.values()
    scorers = [one for one in measures if isinstance(one, Scorer)]
    metrics = [one for one in measures if not isinstance(one, Scorer)]
    try:
        found = [
            evaluate(challenger, champion, items, scorers=scorers, metrics=metrics, seed=context.loop.seed)
            for items in sets.values()
        ]
    except ModelError:  # a model that cannot answer has no numbers; its gates have said so
        return None
    snapshot = load_snapshot(context.ledger, given.snapshot) if given.snapshot else None
    funnel = snapshot.funnel.lines() if snapshot else ()
    facts = {"loop": context.loop.name, "snapshot": given.snapshot or "none", "model": given.model.sha256[:16],
             "champion": given.champion or "none", **given.metrics}
    if snapshot is not None:
        facts["rows that a challenger produced"] = by_challengers(snapshot.rows())
    line = None if snapshot is None else beside(
        found, [*sets.values()], snapshot.rows()["target"].to_pylist(), context.loop.task.answers,
        scorers=scorers, metrics=metrics, seed=context.loop.seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        report(found, title=f"{context.loop.name}: candidate", gates=results, funnel=funnel, facts=facts, sections=[line] if line else []).save(
            Path(folder)
        )
        kept: Ref = context.ledger.artifacts.put_tree(Path(folder))
    return kept


def by_challengers(rows: Any) -> str:
    """How much of a dataset challengers produced: what one arm's users said trains the next model of
    both (REL-17)."""
    arms = rows["arm"].to_pylist()
    mine = sum(arm is not None and arm != "champion" for arm in arms)
    return f"{mine:,} of {len(arms):,} ({mine / max(1, len(arms)):.1%})"


def to_dumps(part: Any) -> str:
    """One spelling of a value, to tell equal ones."""
    return dumps(to_json(part))


def items_of(context: Context, golden: Any, cut: int, now: int) -> Any:
    """The items of a golden set, or of a rolling one at a cut of the ledger."""
    from trueup.data import RollingSet

    more = {"fit": fit_of(context.loop)} if isinstance(golden, RollingSet) else {}
    return golden.items(
        context.ledger, loop=context.loop.name, target=context.loop.label.name, cut=cut, now_us=now,
        seed=context.loop.seed, **more,
    )


def golden_files(context: Context) -> list[str]:
    """The digests of the loop's golden sets that are files: they enter the keys of its steps."""
    return [one.load().digest for one in context.loop.golden() if hasattr(one, "path")]


def inherited(context: Context, parent: str | None) -> dict[str, Any]:
    """The parameters of a trained candidate: those of the champion that it would replace, so that a
    training changes no prompt, and the declared defaults for the rest."""
    declared = context.loop.task.parameters
    own = candidate(context.ledger, context.loop.name, parent).parameters if parent else {}
    kept: dict[str, Any] = {}
    for name, given in own.items():
        try:
            kept |= {name: typed_parameters(declared, {name: given})[name]}
        except UserError:  # declared otherwise by now: the default holds
            continue
    return typed_parameters(declared, kept)


@typed(RegisterInput)
def register_candidate(context: Context, given: RegisterInput) -> Registered:
    """Register what was trained."""
    found = register(
        context.ledger, context.loop.name, given.model, snapshot=given.snapshot, parent=given.parent,
        trainer=given.trainer, code=given.code, metrics=given.metrics, facts=given.facts,
        parameters=inherited(context, given.parent),
    )
    return Registered(candidate(context.ledger, context.loop.name, found.id).id)
