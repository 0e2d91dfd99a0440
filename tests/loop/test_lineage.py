# SPDX-License-Identifier: Apache-2.0
"""TRN-04 to TRN-06: a loop whose trainer goes on from the champion, and when it must not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import ManualClock, to_us
from trueup.core.decisions import Decision
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.core.task import Outcome, Task
from trueup.data import Recipe, Replay, load
from trueup.loop import Loop, run
from trueup.models import Features, LocalModel, Prompt
from trueup.release import Approval, Full
from trueup.state import Candidate, candidate, decide, read
from trueup.store import Ledger
from trueup.testing import tiny_causal_lm, toy_rows
from trueup.train import Lora, Sklearn, Xgboost
from trueup.triggers import Rows

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
SGD = Sklearn("sgd", start="champion")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as made:
        yield made


def toys(**changes: Any) -> Loop:
    """A loop that trains on 50 rows, and goes on from its champion."""
    return Loop("toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind", within=DAY)], **{
        "trainer": SGD, "when": [Rows(50)], "recipe": Recipe(window=90 * DAY, min_rows=50),
        "release": [Approval(by="owners"), Full()], **changes,
    })


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose first champion learned 300 rows: trained once for the tests that begin with it."""
    home = tmp_path_factory.mktemp("begun") / "home"
    with Ledger.open(home, clock=ManualClock(START)) as ledger:
        arrive(ledger, toy_rows(300), "a")
        promoted(toys(), ledger)
    return home


@pytest.fixture
def taught(begun: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A copy of that home, a day later."""
    shutil.copytree(begun, tmp_path / "copy")
    with Ledger.open(tmp_path / "copy", clock=ManualClock(START + DAY)) as made:
        yield made


def first_of(ledger: Ledger) -> Candidate:
    return candidate(ledger, "toys", str(read(ledger, "toys")[1].champion))


def arrive(ledger: Ledger, rows: list[tuple[str, str]], name: str, kind: str = "kind") -> None:
    """Labelled rows come in, a day later than all before."""
    ledger.clock.advance(DAY)  # type: ignore[attr-defined]
    now, made = to_us(ledger.clock.now()) - 60_000_000, []
    for at, (given, target) in enumerate(rows):
        ident = f"{name}-{at}"
        made.append(Event(
            ident, "toys", "interaction", now, received=now, unit=ident, choice=ident, input=dumps(given),
        ))
        made.append(outcome("toys", ident, kind, target, ts=now, received=now))
    ledger.append(made)


def trained(loop: Loop, ledger: Ledger) -> tuple[Candidate, Decision]:
    """The candidate of a run that trains."""
    made = [one for one in run(loop, ledger, now=True) if one.kind in ("install", "candidate", "stop")]
    assert made, "the loop did not train"
    assert made[-1].subject is not None, made[-1].reason
    return candidate(ledger, "toys", made[-1].subject), made[-1]


def promoted(loop: Loop, ledger: Ledger) -> Candidate:
    """The candidate, made champion as a release that has proven it would."""
    found, _ = trained(loop, ledger)
    generation, state = read(ledger, "toys")
    after = replace(state.serve(found.id, to_us(ledger.clock.now())), waiting=None)
    decide(ledger, "toys", generation, after, kind="promote", verdict="PROMOTE", reason="proven", subject=found.id)
    return found


def test_it_goes_on_from_the_champion_on_rows_that_it_could_not_see(taught: Ledger) -> None:
    """TRN-04, VER-08: and what it has seen is what replay draws from. A candidate that never served is
    not gone on from: its rows are new to the next one as well."""
    first = first_of(taught)
    assert first.facts["start"]["mode"] == "stateless"
    assert "no champion" in first.facts["start"]["reason"]
    arrive(taught, toy_rows(120, seed=1), "b")
    loop = toys(recipe=Recipe(window=90 * DAY, min_rows=50, replay=Replay(0.25)))
    second, decision = trained(loop, taught)
    goes_on(first, second, decision, taught)
    arrive(taught, toy_rows(60, seed=2), "c")
    third, _ = trained(toys(), taught)
    assert third.facts["start"]["parent"] == first.id
    assert load(taught, str(third.snapshot)).manifest["rows"]["total"] == 180


def goes_on(first: Candidate, second: Candidate, decision: Decision, ledger: Ledger) -> None:
    start = second.facts["start"]
    assert (start["mode"], start["parent"], start["init"]) == ("stateful", first.id, first.model.to_json())
    assert "trained stateful: goes on from the champion" in decision.reason
    assert decision.evidence["start"]["mode"] == "stateful"
    found = load(ledger, str(second.snapshot))
    assert found.manifest["rows"]["parts"] == {"new": 120, "replay": 30}
    assert found.manifest["parents"] == [first.snapshot]
    assert {name.partition("-")[0] for name in found.rows()["row_id"].to_pylist()} == {"a", "b"}


def test_trees_go_on_from_the_champion(ledger: Ledger) -> None:
    """TRN-04: XGBoost adds trees to its own."""
    loop = toys(
        trainer=Xgboost(20, least=1, start="champion"), recipe=Recipe(window=90 * DAY, min_rows=50, replay=Replay(0.25)),
    )
    arrive(ledger, toy_rows(300), "a")
    first = promoted(loop, ledger)
    arrive(ledger, toy_rows(120, seed=1), "b")
    goes_on(first, *trained(loop, ledger), ledger)


def test_it_starts_anew_when_the_time_has_come(taught: Ledger) -> None:
    """TRN-05: stateful trainings, and now and then one from scratch on the whole window."""
    loop = toys(trainer=replace(SGD, rebase_every=2 * DAY))
    modes = []
    for at, name in enumerate("bcd"):
        arrive(taught, toy_rows(60, seed=at + 1), name)
        found = promoted(loop, taught)
        modes.append((found.facts["start"]["mode"], load(taught, str(found.snapshot)).manifest["rows"]["total"]))
        if name == "c":
            assert "due every 2 days" in found.facts["start"]["reason"]
    assert modes == [("stateful", 60), ("stateless", 420), ("stateful", 60)]


@pytest.mark.parametrize(("trainer", "words"), [
    (replace(SGD, features=Features(bits=14)), "other features"),
    (Xgboost(20, least=1, start="champion"), "another sort of model"),
], ids=["features", "architecture"])  # fmt: skip
def test_a_new_model_iteration_starts_anew_and_says_so(trainer: Any, words: str, taught: Ledger) -> None:
    """TRN-06: other features or another architecture; on the whole window."""
    ledger = taught
    arrive(ledger, toy_rows(60, seed=1), "b")
    found, decision = trained(toys(trainer=trainer), ledger)
    assert found.facts["start"]["mode"] == "stateless"
    assert words in found.facts["start"]["reason"]
    assert f"trained stateless: {words}" in decision.reason
    assert load(ledger, str(found.snapshot)).manifest["rows"]["total"] == 360


def test_a_new_label_starts_anew_and_says_so(taught: Ledger) -> None:
    """TRN-06: a label that the champion does not know."""
    ledger = taught
    arrive(ledger, [*toy_rows(60, seed=1), ("the sky and a cloud", "cloud")], "b")
    found, decision = trained(toys(), ledger)
    assert found.facts["start"]["mode"] == "stateless"
    assert 'labels that the champion does not know: "cloud"' in decision.reason
    assert load(ledger, str(found.snapshot)).manifest["rows"]["total"] == 361


def test_a_corrected_label_is_new(taught: Ledger) -> None:
    arrive(taught, toy_rows(60, seed=1), "b")
    now, was = to_us(taught.clock.now()) - 1_000_000, toy_rows(1)[0][1]
    taught.append([outcome("toys", "a-0", "kind", "stone" if was != "stone" else "plant", ts=now, received=now)])
    found, _ = trained(toys(), taught)
    assert load(taught, str(found.snapshot)).manifest["rows"]["total"] == 61


def test_adapters_go_on_and_a_new_base_starts_anew(ledger: Ledger, tmp_path: Path) -> None:
    """TRN-04, TRN-06, FGT-03: a language model's loop, its base among the artifacts; served by a client."""
    from trueup.client import connect

    names = [a + b for a in ("ax", "bim", "cor", "dul", "eb", "fan") for b in ("o", "ia", "um", "et", "in", "ar")]
    rows = [(f"where is {name}?", ("rome", "oslo", "lima")[at % 3]) for at, name in enumerate(names)]
    texts = [f"{given}\n{answer}" for given, answer in rows]
    prompt = Prompt(max_new_tokens=4)
    bases = [
        LocalModel(tiny_causal_lm(tmp_path / f"base{seed}", texts, hidden=32, seed=seed), prompt=prompt) for seed in (0, 1)
    ]
    trainer = Lora(r=4, epochs=2, learning_rate=1e-3, batch=8, start="champion")

    def loop(**more: Any) -> Loop:
        return Loop("toys", task=Task("question", "answer", "user", "text"), outcomes=[Outcome.of_input("right", within=DAY)], **{
            "champion": bases[0], "trainer": trainer, "when": [Rows(12)], "recipe": Recipe(window=90 * DAY, min_rows=12),
            "release": [Approval(by="owners"), Full()], **more,
        })

    arrive(ledger, rows[:12], "a", "right")
    first = promoted(loop(), ledger)
    assert "learned from no Snapshot" in first.facts["start"]["reason"]
    assert first.base is not None
    arrive(ledger, rows[12:24], "b", "right")
    second = promoted(loop(), ledger)
    assert (second.facts["start"]["mode"], second.facts["start"]["parent"]) == ("stateful", first.id)
    assert second.base == first.base
    assert load(ledger, str(second.snapshot)).manifest["rows"]["total"] == 12
    client = connect("toys", ledger.home, clock=ledger.clock)
    try:
        choice = client.choose("u1")
        assert choice.candidate == second.id
        assert len(client.load(choice).predict([rows[0][0]])) == 1
    finally:
        client.close()
    arrive(ledger, rows[24:], "c", "right")
    third, decision = trained(loop(trainer=replace(trainer, base=bases[1])), ledger)
    assert "trained stateless: the base changed" in decision.reason
    assert third.base != first.base
    assert load(ledger, str(third.snapshot)).manifest["rows"]["total"] == 36
