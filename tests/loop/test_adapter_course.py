# SPDX-License-Identifier: Apache-2.0
"""TRN-01, EVL-03, FGT-03: an adapter through golden gates and a shadow to its promotion; and a budget in money."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.client import Client
from trueup.core import values
from trueup.core.clock import ManualClock
from trueup.core.errors import DefinitionError
from trueup.core.json import dumps
from trueup.core.money import Spend
from trueup.core.protocols import Budget, TrainJob
from trueup.core.references import Ref
from trueup.core.task import Outcome, Task
from trueup.data import GoldenSet, Recipe
from trueup.evaluate import AtLeast, Exact
from trueup.loop import Loop, run, why
from trueup.models import ConstantModel, LocalModel, Prompt, read_manifest
from trueup.models.manifest import file_sha256
from trueup.release import Approval, Full, Shadow
from trueup.state import candidate, read
from trueup.store import Ledger
from trueup.store.artifacts import digest_of
from trueup.testing import simulate, tiny_causal_lm, toy_history, toy_rows
from trueup.train import Lora, Sklearn
from trueup.triggers import Rows

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
RIGHT = Outcome.of_input("right", within=DAY)
PLACES = ("rome", "oslo", "lima", "bern")
NAMES = [first + last for first in ("ax", "bim", "cor", "dul") for last in ("o", "ia", "um", "et")]
OLD = {name: PLACES[at % 4] for at, name in enumerate(NAMES[:8])}
NEW = {name: PLACES[at // 2 % 4] for at, name in enumerate(NAMES[8:])}


class Here:
    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir

    def report(self, step: int, total: int, **metrics: float) -> None: ...

    def should_stop(self) -> bool:
        return False


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model that knows the old facts in both ways of asking, and no new one."""
    rows = [(question, place) for name, place in OLD.items() for question in (f"where is {name}?", f"{name} lies in")]
    texts = [f"{given}\n{answer}" for given, answer in rows] + [f"{name} lies in" for name in NEW]
    raw = tiny_causal_lm(tmp_path / "raw", texts * 2, hidden=48)
    plain, work, data = tmp_path / "plain", tmp_path / "work", tmp_path / "rows.parquet"
    for folder in (plain, work):
        folder.mkdir()
    LocalModel(raw, prompt=Prompt(max_new_tokens=4)).write(plain, "text")
    pq.write_table(pa.table({
        "input": [dumps(given) for given, _ in rows], "target": [dumps(answer) for _, answer in rows],
        "weight": [1.0] * len(rows), "part": ["new"] * len(rows),
    }), data)
    trainer = Lora(full=True, learning_rate=1e-2, epochs=80, batch=4)
    job = TrainJob(
        "toys", values.to_json(trainer), Ref(str(data), file_sha256(data), len(rows)), "text", base=Ref(str(plain), digest_of(plain)),
    )
    done = trainer.fit(job, Here(work))  # type: ignore[arg-type]
    assert done.model is not None, done.reason
    return done.model


class Questions:
    """Sixty units a day ask of old and new places; an hour later they are told what was right."""

    def __init__(self) -> None:
        self.rng, self.asked = np.random.default_rng(3), 0

    def play(self, client: Client, clock: ManualClock, until: datetime) -> None:
        due = []
        for _ in range(60):
            self.asked += 1
            name = NAMES[int(self.rng.integers(len(NAMES)))]
            choice, given = client.choose(f"u{self.asked}"), f"{name} lies in"
            client.log(choice, given, client.load(choice).predict([given])[0].value)
            due.append((choice.id, {**OLD, **NEW}[name]))
        clock.advance(timedelta(hours=1))
        for ident, place in due:
            client.feedback(ident, "right", place)


def test_an_adapter_passes_gates_and_shadow_and_is_promoted(base: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text("".join(json.dumps({"input": f"where is {name}?", "target": place}) + "\n" for name, place in OLD.items()))
    loop = Loop(
        "toys", task=Task("question", "answer", "user", "text"), outcomes=[RIGHT], champion=LocalModel(base),
        trainer=Lora(r=8, learning_rate=3e-3, epochs=25, batch=8, dropout=0.0), when=[Rows(50)], recipe=Recipe(window=30 * DAY, min_rows=50),
        gates=[AtLeast(Exact(), 0.6, on=GoldenSet("old", golden))],
        release=[Shadow(Exact(), no_worse_by=0.10, units=100, max_time=20 * DAY), Full()], when_busy="wait",
    )
    with simulate(loop, Questions(), start=START, until=START + 6 * DAY, home=tmp_path / "home") as made:
        said = "\n".join(f"{one.kind} {one.verdict} {one.subject}: {one.reason}" for one in made.decisions)
        assert ("candidate", "PASS") in made.kinds(), said
        promoted = next((one for one in made.decisions if one.verdict == "PROMOTE" and one.kind == "promote"), None)
        assert promoted is not None, said
        _, state = read(made.ledger, "toys")
        first = next(one for one in made.decisions if one.kind == "candidate" and one.subject == promoted.subject)
        assert "exact match" in first.reason
        assert state.champion is not None
        found = candidate(made.ledger, "toys", str(promoted.subject))
        manifest = read_manifest(made.ledger.artifacts.path(found.model))
        assert manifest.format == "adapter"
        assert manifest.details["base"] == read_manifest(base).digest()
        assert why(made.ledger, promoted.id).matches


def test_a_training_too_dear_is_not_begun(tmp_path: Path) -> None:
    """A cycle is refused before it begins where the last one by the same trainer cost more than one may."""
    price, money = Spend(3600, "EUR"), Budget(money=Spend(1_000, "EUR"))
    loop = Loop(
        "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind", within=DAY)],
        champion=ConstantModel("animal"), trainer=Sklearn("logistic"), when=[Rows(50)], recipe=Recipe(window=90 * DAY, min_rows=50),
        release=[Approval(by="owners"), Full()], price=price, budget=money,
    )
    with pytest.raises(DefinitionError, match="expected a price in EUR"):
        replace(loop, price=None)
    clock = ManualClock(START)
    with Ledger.open(tmp_path / "home", clock=clock) as ledger:
        ledger.append(toy_history("toys", toy_rows(100), START))
        assert "TRAIN" in [one.verdict for one in run(loop, ledger)]
        cost = ledger.records("toys", "cost")[0]
        clock.advance(DAY)
        again: dict[str, Any] = {"when": [Rows(1)]}
        ledger.append([one._replace(id=f"b{one.id}", choice=f"b{one.choice}") for one in toy_history("toys", toy_rows(60, seed=1), clock.now())])
        plan = replace(loop, **again).plan(ledger)
        assert plan.trains
        tight = replace(loop, budget=Budget(money=Spend(cost["amount"] / 2, "EUR")), **again)
        plan = tight.plan(ledger)
        assert not plan.trains
        assert f"budget: the last training cost {cost['amount']:.2f} EUR of the {cost['amount'] / 2:.2f} that one may" in plan.look.reason
        made = run(tight, ledger)
        assert [one.verdict for one in made] == ["REST"]
        assert "raise Loop(budget=Budget(money=...))" in made[0].reason
        assert why(ledger, made[0].id).matches
        assert replace(tight, trainer=Sklearn("sgd")).plan(ledger).trains, "another trainer may cost less"
        assert replace(tight, price=Spend(1, "EUR")).plan(ledger).trains, "the price fell"
