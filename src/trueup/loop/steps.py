# SPDX-License-Identifier: Apache-2.0
"""The steps of a cycle: Snapshot, training, gates, registration. JSON in, JSON out."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trueup.core.errors import ModelError, UserError
from trueup.core.json import dumps
from trueup.core.parameters import typed
from trueup.core.protocols import Answer, GateResult, Scorer, TrainJob
from trueup.core.references import Ref
from trueup.core.values import to_json
from trueup.loop.context import Context
from trueup.loop.pipeline import Step
from trueup.state import candidate, register

START = Step("start", "trueup.loop.lineage:start")
SNAPSHOT = Step("snapshot", "trueup.loop.steps:snapshot")
TRAIN = Step("train", "trueup.loop.steps:train")
GATES = Step("gates", "trueup.loop.steps:gates")
REGISTER = Step("register", "trueup.loop.steps:register_candidate")


def snapshot(context: Context, data: dict[str, Any]) -> dict[str, Any]:
    """Build the dataset: {"cut", "now", "recipe", "golden", "after"?, "parents"?, "labels"?} ->
    {"snapshot", "data", "funnel", "refusal", "unknown"}: labels that are not among `labels`."""
    from trueup.data import build
    from trueup.loop.lineage import unknown

    loop = context.loop
    golden = [items_of(context, one, data["cut"], data["now"]) for one in loop.golden()]
    built = build(
        loop.recipe, context.ledger, loop=loop.name, target=loop.label.name, cut=data["cut"],
        now_us=data["now"], golden=golden, seed=loop.seed, after=data.get("after"), parents=data.get("parents", ()),
        progress=lambda step, rows: context.say(f"snapshot: {step}, {rows:,} rows", 0, 0),
    )
    found = built.snapshot
    return {
        "snapshot": None if found is None else found.id,
        "data": None if found is None else found.data.to_json(),
        "funnel": built.funnel.to_json(), "refusal": built.refusal,
        "unknown": [] if found is None else unknown(loop, found, data.get("labels")),
    }


def train(context: Context, data: dict[str, Any]) -> dict[str, Any]:
    """Train on a Snapshot: {"job"} -> {"model", "metrics", "facts", "seconds", "attempts", "work"}, the
    last being the name of its work folder."""
    from trueup.train import run

    job = TrainJob.from_json(data["job"])
    done = run(
        job, context.ledger.artifacts, workdir=context.ledger.home / "work", base=context.base,
        progress=lambda step, total, _: context.show("train", step, total),
        price=context.loop.price, retries=job.budget.retries, retry_delay=job.budget.retry_delay,
        sleep=lambda seconds: context.wait("train", seconds), stop=context.stopping,
    )
    return {
        "model": None if done.model is None else done.model.to_json(),
        "status": done.result.status, "reason": done.result.reason,
        "metrics": dict(done.result.metrics), "facts": dict(done.result.facts),
        "seconds": sum(attempt.seconds for attempt in done.attempts),
        "attempts": [asdict(attempt) for attempt in done.attempts], "work": done.key[:16],
    }


def gates(context: Context, data: dict[str, Any]) -> dict[str, Any]:
    """Ask every gate, and write the report for people:
    {"model", "champion", "snapshot", "cut", "now", "parameters"?} -> {"passed", "gates", "report"}. A
    trained model has no `parameters` of its own: it answers with those that it would be registered with."""
    from trueup.data import use
    from trueup.evaluate import Remembered, gate_seed
    from trueup.models import load, with_parameters

    ledger, loop = context.ledger, context.loop
    model = Ref.from_json(data["model"])
    parameters = data["parameters"] if "parameters" in data else inherited(context, data["champion"])
    challenger = Remembered(with_parameters(load(ledger.artifacts.path(model), trust_code=True), parameters).predict)
    champion = Remembered(context.model(data["champion"]).predict) if data["champion"] else None
    sets = {one.name: items_of(context, one, data["cut"], data["now"]) for one in loop.golden()}
    results = []
    for gate in loop.gates:
        items = sets[gate.on.name]
        use(ledger, loop.name, items, "gate", model.sha256[:16])
        seed = gate_seed(items.digest, model.sha256)
        results.append(gate.judge(challenger, champion, items, seed=seed))
        context.say("gates", len(results), len(loop.gates))
    return {
        "passed": all(result.passed for result in results),
        "gates": [
            {"passed": result.passed, "reason": result.reason, "evidence": dict(result.evidence)}
            for result in results
        ],
        "report": _report(context, data, challenger, champion, sets, results),
    }


def _report(
    context: Context, data: dict[str, Any], challenger: Answer, champion: Answer | None,
    sets: dict[str, Any], results: list[GateResult],
) -> dict[str, Any] | None:
    """The report as an artifact: a folder with report.html and report.md; None where there is none."""
    from trueup.data import load as load_snapshot
    from trueup.evaluate import evaluate, report

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
    snapshot = load_snapshot(context.ledger, data["snapshot"]) if data["snapshot"] else None
    funnel = snapshot.funnel.lines() if snapshot else ()
    facts = {"loop": context.loop.name, "snapshot": data["snapshot"] or "none", "model": data["model"]["sha256"][:16],
             "champion": data["champion"] or "none", **data["metrics"]}
    if snapshot is not None:
        facts["rows that a challenger produced"] = by_challengers(snapshot.rows())
    with tempfile.TemporaryDirectory() as folder:
        report(found, title=f"{context.loop.name}: candidate", gates=results, funnel=funnel, facts=facts).save(
            Path(folder)
        )
        kept: dict[str, Any] = context.ledger.artifacts.put_tree(Path(folder)).to_json()
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
    return golden.items(
        context.ledger, loop=context.loop.name, target=context.loop.label.name, cut=cut, now_us=now,
        seed=context.loop.seed,
    )


def inherited(context: Context, parent: str | None) -> dict[str, Any]:
    """The parameters of a trained candidate: those of the champion that it would replace, so that a
    training changes no prompt, and the declared defaults for the rest."""
    declared = context.loop.task.parameters
    own = candidate(context.ledger, context.loop.name, parent).parameters if parent else {}
    kept: dict[str, Any] = {}
    for name, given in own.items():
        try:
            kept |= {name: typed(declared, {name: given})[name]}
        except UserError:  # declared otherwise by now: the default holds
            continue
    return typed(declared, kept)


def register_candidate(context: Context, data: dict[str, Any]) -> dict[str, Any]:
    """Register what passed: {"model", "snapshot", "parent", ...} -> {"candidate"}."""
    found = register(
        context.ledger, context.loop.name, Ref.from_json(data["model"]), snapshot=data["snapshot"],
        parent=data["parent"], trainer=data["trainer"], code=data["code"], metrics=data["metrics"],
        facts=data["facts"], parameters=inherited(context, data["parent"]),
    )
    return {"candidate": candidate(context.ledger, context.loop.name, found.id).id}
