# SPDX-License-Identifier: Apache-2.0
"""TRN-12: what `Loop(keep=...)` does not hold goes by itself, once a day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trueup.core.clock import ManualClock
from trueup.core.errors import DefinitionError
from trueup.core.task import Outcome, Task
from trueup.loop import Context, Loop, run, why
from trueup.loop.keeping import keep_of, sweep
from trueup.loop.status import lines, status
from trueup.models import ConstantModel
from trueup.registry import Keep, retention
from trueup.release import pause, resume
from trueup.state import Candidate, read, register
from trueup.store import Ledger, lock
from trueup.train import Sklearn

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NOTHING = Keep(last=0, weekly=0, monthly=0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=clock) as opened:
        yield opened


@pytest.fixture
def loop() -> Loop:
    return Loop(
        "toys", task=Task("sentence", "kind", "user"), outcomes=[Outcome.of_input("kind")], trainer=Sklearn(),
        champion=ConstantModel("animal"), keep=NOTHING,
    )


def make(ledger: Ledger, tmp_path: Path, kind: str) -> Candidate:
    ConstantModel(kind).write(tmp_path / kind, "label")
    return register(ledger, "toys", ledger.artifacts.put_tree(tmp_path / kind), facts={"n": kind})


def there(ledger: Ledger, *those: Candidate) -> list[bool]:
    stored = {ref.sha256 for ref in ledger.artifacts.stored()}
    return [one.model.sha256 in stored for one in those]


def test_what_nothing_holds_goes_once_a_day_and_a_decision_says_so(
    loop: Loop, ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    """What serves, what ever served and what is new stays; the loop's own lock is held by whoever sweeps."""
    run(loop, ledger)
    old = make(ledger, tmp_path, "plant")
    clock.advance(31 * DAY)
    new = make(ledger, tmp_path, "stone")
    context = Context(loop, ledger)
    with lock(ledger.home, "run-toys"):
        made = sweep(context)
    assert made is not None
    assert (made.kind, made.verdict, made.actor) == ("prune", "NOTE", "trueup")
    assert made.reason.startswith("thrown away: 1 model (")
    assert made.evidence["candidates"] == [old.id]
    _, state = read(ledger, "toys")
    champion = next(one for one in ledger.records("toys", "candidate") if one["id"] == state.champion)
    assert there(ledger, old, new) == [False, True]
    assert champion["model"]["sha256"] in {ref.sha256 for ref in ledger.artifacts.stored()}
    assert f"{made.reason} (on 2026-04-01 12:00)" in lines(status(ledger, "toys"))
    assert why(ledger, made.id).decision == made
    assert sweep(context) is None, "once a day"
    clock.advance(DAY)
    assert sweep(context) is None, "nothing goes: it is new"
    clock.advance(31 * DAY)
    again = sweep(context)
    assert again is not None
    assert again.evidence["candidates"] == [new.id]
    assert len(ledger.records("toys", "swept")) == 3


def test_a_sweep_that_was_stopped_is_finished_without_a_second_decision(
    loop: Loop, ledger: Ledger, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(loop, ledger)
    olds = [make(ledger, tmp_path, kind) for kind in ("plant", "stone")]
    clock.advance(31 * DAY)

    def remove(folder: Path) -> None:
        real(folder)
        raise OSError("killed")

    real = retention._remove
    monkeypatch.setattr(retention, "_remove", remove)
    with pytest.raises(OSError, match="killed"):
        sweep(Context(loop, ledger))
    assert sorted(there(ledger, *olds)) == [False, True]
    monkeypatch.setattr(retention, "_remove", real)
    assert sweep(Context(loop, ledger)) is None
    assert there(ledger, *olds) == [False, False]
    assert len(ledger.decisions("toys", kind="prune")) == 1


def test_nothing_goes_while_it_observes_is_paused_at_work_or_backed_up(
    loop: Loop, ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    """TRU-12: to observe is to throw nothing away."""
    run(loop, ledger)
    old = make(ledger, tmp_path, "plant")
    clock.advance(31 * DAY)
    before = ledger.version()
    assert sweep(Context(replace(loop, mode="observe"), ledger)) is None
    assert sweep(Context(replace(loop, keep=None), ledger)) is None
    with lock(ledger.home, retention.KEEPING):
        assert sweep(Context(loop, ledger)) is None
    assert ledger.version() == before
    pause(ledger, "toys", reason="lunch", who="ada")
    assert sweep(Context(loop, ledger)) is None
    resume(ledger, "toys", reason="back", who="ada")
    assert there(ledger, old) == [True]
    assert sweep(Context(loop, ledger)) is not None
    assert there(ledger, old) == [False]


def test_prune_asks_the_loop_what_to_keep(loop: Loop, ledger: Ledger) -> None:
    run(loop, ledger)
    assert keep_of(ledger, "toys") == NOTHING
    assert keep_of(ledger, "nobody") == Keep()
    with pytest.raises(DefinitionError, match="expected a Keep, got 8 in keep"):
        replace(loop, keep=8)  # type: ignore[arg-type]
