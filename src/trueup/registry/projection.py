# SPDX-License-Identifier: Apache-2.0
"""What the ledger says that a registry elsewhere should show: a pure reading, of one generation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trueup.core.errors import NotFound, TrueupError
from trueup.core.json import digest, dumps, loads
from trueup.core.references import Ref
from trueup.state import (
    Built,
    Candidate,
    Cost,
    LoopState,
    SnapshotRecord,
    StepRecord,
    aliases,
    candidates,
)

if TYPE_CHECKING:
    from trueup.core.decisions import Decision
    from trueup.store import Ledger

ALIASES = ("champion", "challenger", "staging-candidate", "production-validated")
"""The names that are published; the ledger knows the anchor as well."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A Snapshot as a training's input: its id, the digest of its rows, and how many there are."""

    id: str
    digest: str
    rows: int
    uri: str


@dataclass(frozen=True, slots=True)
class Training:
    """One training that is over: when it ran (us since 1970), what it was told, what it gave."""

    id: str
    started: int
    ended: int
    done: bool
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: Dataset | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One candidate: its model's folder (None where it was pruned), its training, and its lineage."""

    candidate: str
    created: int
    model: Ref | None
    training: str | None
    tags: Mapping[str, str]
    about: str
    source: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Projection:
    """All of a loop that a registry shows. `chain` is the id of the loop's first Decision: it tells
    this ledger from any other whose loop has the same name."""

    loop: str
    chain: str
    generation: int
    trainings: tuple[Training, ...]
    versions: tuple[Version, ...]
    aliases: Mapping[str, str]

    @property
    def mark(self) -> str:
        """Changes where anything that is shown has changed."""
        return digest([self.chain, self.generation, [one.id for one in self.trainings],
                       [[one.candidate, one.model is None] for one in self.versions]])[:16]  # fmt: skip


def projection(ledger: Ledger, loop: str) -> Projection | None:
    """What is to be shown of a loop now; None before its first Decision."""
    decisions = ledger.decisions(loop)
    if not decisions:
        return None
    state = LoopState.from_json(decisions[-1].state)
    open_cycle = state.cycle.id if state.cycle else None
    steps = _steps(ledger, loop)
    trainings = tuple(_trainings(ledger, loop, steps, decisions, open_cycle))
    known = {training.id for training in trainings}
    made = {step.registered.candidate: run for run, named in steps.items() if (step := named.get("register"))}
    told = _told(decisions)
    versions = tuple(
        _version(ledger, one, run if (run := made.get(one.id)) in known else None, told.get(one.id, []), state)
        for one in candidates(ledger, loop)
        if made.get(one.id) is None or made[one.id] in known or one.id == state.champion
    )
    shown = {one.candidate for one in versions}
    names = {name: ident for name, ident in aliases(ledger, loop).items() if name in ALIASES and ident in shown}
    return Projection(loop, decisions[0].id, decisions[-1].generation, trainings, versions, names)


Steps = dict[str, StepRecord]
"""The recorded steps of a run, by name."""


def _steps(ledger: Ledger, loop: str) -> dict[str, Steps]:
    """The recorded steps of every run."""
    found: dict[str, Steps] = {}
    for record in ledger.records(loop, StepRecord):
        found.setdefault(record.run, {})[record.step] = record
    return found


def _told(decisions: list[Decision]) -> dict[str, list[Decision]]:
    """The Decisions about each candidate."""
    found: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision.subject is not None:
            found.setdefault(decision.subject, []).append(decision)
    return found


def _trainings(
    ledger: Ledger, loop: str, steps: dict[str, Steps], decisions: list[Decision], open_cycle: str | None
) -> Iterator[Training]:
    """Every training whose cycle is over, in the order in which they were recorded."""
    closed = {
        decision.evidence["cycle"]: decision for decision in decisions
        if isinstance(decision.evidence.get("cycle"), str)
    }
    costs = {record.cycle: record for record in ledger.records(loop, Cost)}
    for run, named in steps.items():
        if run == open_cycle or "train" not in named:
            continue
        yield _training(ledger, loop, run, named, closed.get(run), costs.get(run))


def _training(
    ledger: Ledger, loop: str, run: str, named: Steps, end: Decision | None, cost: Cost | None
) -> Training:
    trained, job = named["train"].trained, named["train"].input.get("job", {})
    seconds = trained.seconds
    gates = named["gates"].judged.gates if "gates" in named else []
    metrics = {name: float(number) for name, number in _numbers(trained.metrics)}
    metrics |= {"seconds": seconds, "attempts": float(len(trained.attempts) or 1)}
    if cost is not None and cost.currency:
        metrics[f"money.{cost.currency}"] = cost.amount
    if gates:
        metrics |= {"gates": float(len(gates)), "gates.passed": float(sum(gate.passed for gate in gates))}
    tags = {"trueup.loop": loop, "trueup.training": run, "trueup.status": trained.status}
    if end is not None:
        tags |= {"trueup.decision": end.id, "trueup.reason": end.reason, "trueup.verdict": end.verdict}
    if "register" in named and (made := named["register"].registered.candidate):
        tags["trueup.candidate"] = made
    ended = named["train"].at
    return Training(
        run, ended - int(seconds * 1e6), ended, trained.model is not None, metrics,
        dict(_flat(job.get("trainer") or {}, "trainer")) | {"seed": str(job.get("seed", ""))}, tags,
        _dataset(ledger, loop, named["snapshot"].built) if "snapshot" in named else None,
    )


def _dataset(ledger: Ledger, loop: str, built: Built) -> Dataset | None:
    ident, data = built.snapshot, built.data
    if not ident:
        return None
    known = ledger.get(loop, SnapshotRecord, ident)
    rows = (data.rows if data else None) or _rows(known.manifest if known else {})
    return Dataset(ident, data.sha256 if data else ident, rows, data.uri if data else "")


def _rows(manifest: Mapping[str, Any]) -> int:
    counts = manifest.get("rows")
    if isinstance(counts, Mapping):
        return sum(n for n in counts.values() if isinstance(n, int))
    return counts if isinstance(counts, int) else 0


def _version(
    ledger: Ledger, one: Candidate, run: str | None, told: list[Decision], state: LoopState
) -> Version:
    model, details = _folder(ledger, one)
    source = one.facts.get("imported") or None
    tags = {
        "trueup.loop": one.loop, "trueup.candidate": one.id, "trueup.model": one.model.sha256,
        "trueup.snapshot": one.snapshot or "", "trueup.parent": one.parent or "",
        "trueup.trainer": digest(one.trainer)[:16] if one.trainer else "", "trueup.code": one.code[:16],
        "trueup.base": str(details.get("base") or ""),
        "trueup.decisions": " ".join(decision.id for decision in told),
        "trueup.stands": _stands(one.id, told, state), "trueup.pruned": "" if model is not None else "true",
        "trueup.imported": dumps(source) if source else "",
    }
    about = "; ".join(decision.reason for decision in told[-1:]) or "registered by training"
    return Version(one.id, one.created, model, run, {key: said for key, said in tags.items() if said}, about, source)


def _folder(ledger: Ledger, one: Candidate) -> tuple[Ref | None, Mapping[str, Any]]:
    """The model's folder, where it is still here, and the details in its manifest."""
    try:
        path = ledger.artifacts.path(one.model) / "model.json"
    except NotFound:
        return None, {}
    try:
        details = loads(path.read_bytes()).get("details")
    except (OSError, TrueupError, AttributeError):
        return one.model, {}
    return one.model, details if isinstance(details, Mapping) else {}


def _stands(ident: str, told: list[Decision], state: LoopState) -> str:
    """Where a candidate stands: champion, challenger, waiting, or what was last decided of it."""
    if ident == state.champion:
        return "champion"
    if state.release is not None and ident == state.release.candidate:
        return "challenger"
    if ident == state.waiting:
        return "waiting"
    last = told[-1] if told else None
    if last is not None and last.verdict in ("REFUSE", "ROLLBACK", "INVALID"):
        return "refused" if last.verdict == "REFUSE" else "rolled back" if last.verdict == "ROLLBACK" else "invalid"
    if any(decision.verdict == "PROMOTE" for decision in told):
        return "retired"
    return "superseded" if told else "registered"


def _numbers(data: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    """The finite numbers in plain data, by their dotted path."""
    for key, item in data.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(item, Mapping):
            yield from _numbers(item, name)
        elif isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < math.inf:
            yield name, float(item)


def _flat(data: Any, path: str) -> Iterator[tuple[str, str]]:
    """Plain data as texts, by their dotted path; lists are written as JSON."""
    if isinstance(data, Mapping):
        for key, item in data.items():
            yield from _flat(item, path if key == "kind" else f"{path}.{key}")
    elif data is not None:
        yield path, data if isinstance(data, str) else dumps(data)
