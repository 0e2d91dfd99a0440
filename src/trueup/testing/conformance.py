# SPDX-License-Identifier: Apache-2.0
"""What a third party can run on its own parts before it offers them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.core.protocols import Finding, Predictor, Scorer, Trainer, Trigger, Unmeasured
from trueup.core.task import Outcome
from trueup.core.values import from_json, kind_of, to_json

if TYPE_CHECKING:
    import pyarrow as pa

    from trueup.registry import Publisher


def check_value(part: Any) -> None:
    """A value is frozen, and equals what its own JSON gives back. Raises AssertionError."""
    assert from_json(to_json(part)) == part, f"{kind_of(part)} does not come back from its JSON"
    names = fields(part)
    if names:
        try:
            setattr(part, names[0].name, None)
        except (FrozenInstanceError, AttributeError, TypeError):
            return
        raise AssertionError(f"{kind_of(part)} is not frozen")


class QuietFacts:
    """Facts of a loop in which nothing has happened yet."""

    loop = "conformance"
    now = datetime(2026, 1, 1, tzinfo=UTC)
    last_trained: datetime | None = None
    false_alarms_per_year = 1.0

    def rows(self, *, new: bool = False) -> int:
        return 0

    def outcomes(self, name: str, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        return [], []

    def scores(self, scorer: Scorer, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        return [], []

    def signals(self, name: str, since: datetime | None = None) -> Sequence[Mapping[str, Any]]:
        return []

    def numbers(
        self, name: str, field: str, since: datetime | None = None
    ) -> tuple[Sequence[float], Sequence[datetime]]:
        return [], []

    def spent(self, currency: str, since: datetime | None = None) -> float:
        return 0.0

    def reference(self, detector: str) -> datetime | None:
        return None

    def accepted(self, detector: str) -> datetime | None:
        return None

    def served(self, outcome: Outcome | None, since: datetime | None = None) -> tuple[Sequence[float], Sequence[datetime]]:
        return [], []

    def requests(self, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
        import pyarrow as pa

        texts, moments = pa.array([], pa.string()), pa.array([], pa.int64())
        return pa.table({
            "choice": texts, "ts": moments, "received": moments, "unit": texts, "candidate": texts,
            "input": texts, "output": texts,
        })  # fmt: skip

    def learned(self) -> tuple[str | None, pa.Table | None]:
        return None, None


def check_trigger(trigger: Trigger) -> None:
    """A trigger is a value, gives the same finding twice, and says in words what it found."""
    check_value(trigger)
    first, second = trigger.look(QuietFacts()), trigger.look(QuietFacts())
    assert isinstance(first, Finding), f"expected a Finding, got {first!r}"
    assert first == second, "the same facts gave two findings"
    assert first.reason, "a finding needs a reason in words"


def check_scorer(scorer: Scorer, inputs: Sequence[Any], answers: Sequence[Any], labels: Sequence[Any]) -> None:
    """A scorer is a value, and gives one score in [0, 1], or Unmeasured, an answer."""
    check_value(scorer)
    scores = scorer.score(inputs, answers, labels)
    assert len(scores) == len(answers), f"expected {len(answers)} scores, got {len(scores)}"
    for score in scores:
        assert isinstance(score, Unmeasured) or 0.0 <= score <= 1.0, f"expected [0, 1], got {score!r}"


def check_trainer(trainer: Trainer, rows: Sequence[tuple[Any, Any]], *, answers: str = "label") -> Predictor:
    """A trainer is a value; on (input, target) rows it trains in a subprocess, its model loads,
    answers once an input, and a second training of the same job is the first one's result."""
    from trueup.core.clock import ManualClock
    from trueup.core.protocols import TrainJob
    from trueup.models import load
    from trueup.store import Ledger
    from trueup.train import run

    check_value(trainer)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with Ledger.open(home, clock=ManualClock(QuietFacts.now)) as ledger:
            data = ledger.artifacts.put_file(_write(home / "rows.parquet", rows))
            job = TrainJob("conformance", to_json(trainer), data, answers)
            done = run(job, ledger.artifacts, workdir=home / "work")
            assert done.model is not None, f"expected a model, got {done.result}"
            again = run(job, ledger.artifacts, workdir=home / "work")
            assert again.model == done.model, "the same job gave two models"
            predictor = load(ledger.artifacts.path(done.model), trust_code=True)
        given = predictor.predict([one for one, _ in rows])
        assert len(given) == len(rows), f"expected {len(rows)} answers, got {len(given)}"
    return predictor


def check_publisher(publisher: Publisher) -> None:
    """A publisher is a value, hides passwords, changes nothing in a dry run, shows a small ledger
    without an error, and finds nothing to do the second time."""
    from trueup.core.clock import ManualClock
    from trueup.core.secrets import masked
    from trueup.models import ConstantModel
    from trueup.registry import deliver
    from trueup.state import LoopState, decide, register
    from trueup.store import Ledger

    check_value(publisher)
    with tempfile.TemporaryDirectory() as folder:
        home, model = Path(folder) / "home", Path(folder) / "model"
        model.mkdir()
        with Ledger.open(home, clock=ManualClock(QuietFacts.now)) as ledger:
            where = publisher.target(ledger)
            assert masked(where) == where, "a target is named without its password"
            ConstantModel("a").write(model, "label")
            made = register(ledger, "conformance", ledger.artifacts.put_tree(model))
            decide(ledger, "conformance", 0, LoopState().serve(made.id, 0), kind="install", verdict="PROMOTE",
                   reason="the first champion", subject=made.id)  # fmt: skip
            would = deliver(ledger, "conformance", publisher, dry=True)
            done = deliver(ledger, "conformance", publisher, force=True)
            assert (would.error, done.error) == (None, None), would.error or done.error
            assert {(one.what, one.name) for one in would.changes} <= {(one.what, one.name) for one in done.changes}
            again = deliver(ledger, "conformance", publisher, thorough=True)
            assert again.changes == (), f"the second publishing changed {again.changes}"
            list(publisher.nominations(ledger, "conformance"))


def _write(path: Path, rows: Sequence[tuple[Any, Any]]) -> Path:
    """The training rows as a Snapshot would hold them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from trueup.core.json import dumps

    columns = {
        "input": [dumps(given) for given, _ in rows], "target": [dumps(target) for _, target in rows],
        "weight": [1.0] * len(rows), "part": ["new"] * len(rows),
    }
    pq.write_table(pa.table(columns), path)
    return path


def check_stage(stage: Any, result: Mapping[str, Any] | None = None, parameters: Mapping[str, Any] | None = None) -> None:
    """A stage is a value with all of a stage's traits, and its kind of evidence is registered.

    With a `result` of its evidence and the `parameters` that gave it, its facts are of the vocabulary and
    survive JSON, its notes bring their words, and the result with `invalid` set does not pass. Raises AssertionError.
    """
    from trueup.core.facts import Note, fact_from_plain, fact_to_plain
    from trueup.core.json import dumps, loads
    from trueup.release import Stage, evidence_of

    check_value(stage)
    assert isinstance(stage, Stage), f"{kind_of(stage)} is no Stage: inherit trueup.release.Traits, and define enter, rule and problems"
    assert isinstance(stage.varies(), frozenset), f"{kind_of(stage)}.varies() must give a frozenset of names"
    if stage.evidence is None:
        assert not stage.carries, f"{kind_of(stage)} carries the promise, and names no kind of evidence"
        return
    kind = evidence_of(stage.evidence)
    assert kind.deciding or not stage.carries, f"{kind_of(stage)} carries the promise, and {kind.name} is not deciding"
    if result is None or parameters is None:
        return
    for fact in (*kind.facts(dict(result), parameters), kind.summary(dict(result), parameters)):
        assert fact_from_plain(loads(dumps(fact_to_plain(fact)))) == fact, f"{fact!r} does not come back from its JSON"
        if isinstance(fact, Note):
            assert fact.text.format(**fact.values), f"{fact.code} has no text"
    assert not kind.passes({**result, "invalid": "voided"}, parameters, 0), f"{kind.name} passes an invalid result"
