# SPDX-License-Identifier: Apache-2.0
"""A run when something comes in between: an edit, a pause, a person, a fault, a correction."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.core.clock import ManualClock, to_us
from trueup.core.errors import Conflict, StoreFull
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.core.money import Spend
from trueup.core.task import Outcome
from trueup.data import Recipe
from trueup.evaluate import Accuracy, AtLeast, Custom
from trueup.loop import Context, Loop, request, run, status, tick, why
from trueup.loop.cycle import CYCLE
from trueup.loop.pipeline import follow
from trueup.loop.steps import snapshot
from trueup.models import ConstantModel
from trueup.release import Approval, Canary, Full, Risk, Shadow, pause, resume
from trueup.state import read
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows
from trueup.triggers import Falls, Rows

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
STARS = Outcome.number("stars", low=1, high=5)
Make = Callable[..., Loop]


def mine(given: Any, answer: Any, label: Any) -> float:
    return float(answer == label)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as made:
        made.append(toy_history("toys", toy_rows(400), START))
        yield made


@pytest.fixture
def make(make_loop: Make) -> Make:
    """A loop that trains at once, and learns what needs no gate."""
    def made(**changes: Any) -> Loop:
        parts: dict[str, Any] = {
            "champion": ConstantModel("animal"), "when": [Rows(50)], "unless": [], "gates": [],
            "release": [Approval(by="owners"), Full()],
        }
        return make_loop(**{**parts, **changes})

    return made


def kinds(decisions: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.verdict) for one in decisions]


def later(ledger: Ledger, by: timedelta = timedelta(minutes=1)) -> None:
    ledger.clock.advance(by)  # type: ignore[attr-defined]


def killed_after_the_look(loop: Loop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["trueup.loop.cycle"], "perform", die)
        with pytest.raises(Killed):
            run(loop, ledger)
    assert read(ledger, "toys")[1].cycle is not None


def test_a_cycle_goes_on_under_the_definition_that_it_began_with(
    make: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit takes effect at the next cycle."""
    killed_after_the_look(make(), ledger, monkeypatch)
    later(ledger)
    edited = make(recipe=Recipe(window=None, min_rows=100_000))
    assert kinds(run(edited, ledger)) == [("candidate", "PASS"), ("start", "NOTE")]


def test_a_pause_holds_a_cycle_that_was_begun(make: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_after_the_look(make(), ledger, monkeypatch)
    pause(ledger, "toys", reason="holiday", who="ada")
    assert run(make(), ledger) == []
    resume(ledger, "toys", reason="back", who="ada")
    assert kinds(run(make(), ledger))[0] == ("candidate", "PASS")


def test_a_fault_in_a_step_ends_the_cycle_in_plain_words(
    make: Make, ledger: Ledger, golden: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate that raises must not stop every later run at the same place."""
    def raises(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setattr(AtLeast, "judge", raises)
    made = run(make(gates=[AtLeast(Accuracy(), 0.1, on=golden)]), ledger)
    assert kinds(made)[-1] == ("stop", "REFUSE")
    assert "ZeroDivisionError: nothing to divide by" in made[-1].reason


def test_a_full_disk_ends_no_cycle(make: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise StoreFull("no space")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["trueup.loop.cycle"], "perform", full)
        with pytest.raises(StoreFull):
            run(make(), ledger)
    assert read(ledger, "toys")[1].cycle is not None
    assert kinds(run(make(), ledger))[0] == ("candidate", "PASS")


def test_looks_that_nobody_made_are_counted_and_those_that_a_training_held_up_are_not(make: Make, ledger: Ledger) -> None:
    """TRG-01: a loop that nobody ran for five days says so; one that trained for five days does not."""
    loop = make(when=[Rows(1_000_000)])
    run(loop, ledger)
    later(ledger, 5 * DAY)
    (made,) = run(loop, ledger)
    assert (made.evidence["missed"], made.evidence["unattended"]) == (4, 4)
    later(ledger, 5 * DAY)
    pause(ledger, "toys", reason="inventory", who="ada")
    resume(ledger, "toys", reason="done", who="ada")
    (made,) = run(loop, ledger)
    assert (made.evidence["missed"], made.evidence["unattended"]) == (4, 0)


@pytest.mark.parametrize("where", ["a stage", "the drive"])
def test_a_disk_that_is_full_elsewhere_ends_no_cycle_either(
    where: str, make: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trainer's scratch folder, an engine's file: room may be made, and the cycle goes on."""
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", "/scratch/part")

    with monkeypatch.context() as patch:
        if where == "a stage":
            patch.setattr(sys.modules["trueup.loop.cycle"], "perform", full)
        with pytest.raises(StoreFull, match="room for /scratch/part"):
            tick(Context(make(), ledger), drive=follow if where == "a stage" else full)
    assert read(ledger, "toys")[1].cycle is not None
    assert kinds(run(make(), ledger))[0] == ("candidate", "PASS")


def test_another_fault_of_the_system_ends_the_cycle(make: Make, ledger: Ledger) -> None:
    def gone(*_: Any, **__: Any) -> Any:
        raise FileNotFoundError(errno.ENOENT, "No such file", "/scratch/part")

    made = tick(Context(make(), ledger), drive=gone).decisions
    assert kinds(made)[-1] == ("stop", "REFUSE")
    assert "/scratch/part" in made[-1].reason


def test_a_cycle_of_pipeline_1_is_finished_from_its_recorded_snapshot(
    make: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Snapshot that pipeline 1 recorded says nothing of labels; it is used all the same, once."""
    def older(context: Any, data: Any) -> Any:
        found = snapshot(context, data)
        del found["unknown"]
        return found

    def held(*_: Any) -> Any:
        raise StoreFull("no space")

    loop = make()
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["trueup.loop.look"], "CYCLE", replace(CYCLE, version=1))
        patch.setattr(sys.modules["trueup.loop.steps"], "snapshot", older)
        patch.setattr(sys.modules["trueup.loop.steps"], "train", held)
        with pytest.raises(StoreFull):
            run(loop, ledger)
    begun = [(one["run"], one["input"]) for one in ledger.records("toys", "step") if one["step"] == "snapshot"]
    assert len(begun) == 1
    assert "unknown" not in next(one["output"] for one in ledger.records("toys", "step") if one["step"] == "snapshot")
    made = run(loop, ledger)
    assert kinds(made)[0] == ("candidate", "PASS")
    assert made[0].evidence["pipeline"] == {"began": 1, "finished": CYCLE.version}
    assert [(one["run"], one["input"]) for one in ledger.records("toys", "step") if one["step"] == "snapshot"] == begun


def test_a_running_release_keeps_its_stages_when_the_file_is_edited(make: Make, ledger: Ledger) -> None:
    loop = make(release=[Shadow(Accuracy(), max_time=30 * DAY), Canary(0.5), Approval(by="owners"), Full()])
    assert kinds(run(loop, ledger))[-1] == ("start", "NOTE")
    later(ledger, DAY)
    assert [one.verdict for one in run(make(release=[Approval(by="nobody"), Full()], when=[]), ledger)] == ["REST"]
    later(ledger, 30 * DAY)
    made = run(make(release=[Full()], when=[]), ledger)
    assert kinds(made)[0] == ("refuse", "REFUSE")
    assert "30 days" in made[0].reason


def test_status_names_the_stage_of_the_definition_that_runs(make: Make, ledger: Ledger) -> None:
    run(make(release=[Shadow(Accuracy()), Full()]), ledger)
    run(make(release=[Full()], when=[]), ledger)
    assert status(ledger, "toys").stage == "shadow (1 of 2), step 1"


def test_a_loop_without_a_release_leaves_its_candidate_waiting(make: Make, ledger: Ledger) -> None:
    assert kinds(run(make(release=[]), ledger))[-1] == ("candidate", "PASS")
    assert run(make(release=[]), ledger) == []


def test_a_person_who_decides_during_a_look_does_not_stop_the_run(
    make: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = sys.modules["trueup.loop.look"]
    usual, once = looking.decide, iter([True])

    def late(*args: Any, **kwargs: Any) -> Any:
        if next(once, False):
            raise Conflict("somebody else has decided")
        return usual(*args, **kwargs)

    monkeypatch.setattr(looking, "decide", late)
    assert ("look", "TRAIN") in kinds(run(make(), ledger))


def test_tru_01_a_look_does_not_count_what_it_made_the_loop_spend(make: Make, ledger: Ledger) -> None:
    """A training is paid for at the moment of its look where the clock stands still."""
    loop = make(price=Spend(3600, "EUR"), unless=[Spend(0.0001, "EUR")])
    made = run(loop, ledger)
    assert ledger.records("toys", "cost")
    looked = next(one for one in made if one.kind == "look")
    assert why(ledger, looked.id).matches is True
    later(ledger, DAY)
    made = run(loop, ledger)
    assert made[0].evidence["result"]["unless"][0]["holds"]


def served(ledger: Ledger, n: int, value: float, *, at: timedelta = timedelta(0)) -> list[Event]:
    """n answers of the champion, each with stars."""
    champion, made = read(ledger, "toys")[1].champion, []
    for _ in range(n):
        later(ledger, timedelta(seconds=1))
        now, ident = to_us(ledger.clock.now()), f"s{ledger.cut()}-{len(made)}"
        made.append(Event(ident, "toys", "interaction", now, now, unit=ident, choice=ident, arm="champion",
                          candidate=champion, input=dumps("x"), output=dumps("animal")))
        made.append(outcome("toys", ident, "stars", value, ts=now, received=now))
    ledger.append(made)
    return made


def falling(loop: Loop, ledger: Ledger) -> Any:
    return loop.plan(ledger).look.when[0][1]


def test_falls_is_not_stopped_by_a_value_outside_its_bounds(make: Make, make_loop: Make, ledger: Ledger) -> None:
    loop = make(outcomes=[*make().outcomes, STARS], when=[Falls(STARS, below=0.5)], release=[])
    run(loop, ledger)
    served(ledger, 20, 5)
    served(ledger, 1, 99)
    found = falling(loop, ledger)
    assert (found.evidence["n"], found.evidence["outside"]) == (20, 1)


def test_falls_reads_what_was_said_first_and_a_correction_changes_no_past_look(make: Make, ledger: Ledger) -> None:
    loop = make(outcomes=[*make().outcomes, STARS], when=[Falls(STARS, below=0.5)], release=[])
    run(loop, ledger)
    rows = served(ledger, 50, 4)
    before = falling(loop, ledger).evidence["statistic"]
    later(ledger, timedelta(hours=1))
    now = to_us(ledger.clock.now())
    ledger.append([outcome("toys", row.id, "stars", 1, ts=now, received=now) for row in rows[::2]])
    assert falling(loop, ledger).evidence["statistic"] == before


def test_only_the_detector_that_fired_is_answered(make: Make, ledger: Ledger) -> None:
    """The other one keeps the evidence that it has gathered."""
    loop = make(
        outcomes=[*make().outcomes, STARS], release=[],
        when=[Falls(STARS, below=0.9, recent=20), Falls(Accuracy(), below=0.1)],
    )
    run(loop, ledger)
    for _ in range(4):
        later(ledger, 6 * timedelta(hours=1))
        served(ledger, 50, 1)
    made = run(loop, ledger)
    assert kinds(made)[0] == ("look", "TRAIN")
    assert list(read(ledger, "toys")[1].accepted) == ["falls:stars"]


def test_an_alarm_whose_training_failed_is_not_answered(make: Make, ledger: Ledger) -> None:
    """Its evidence is kept: the next look tries again, and need not gather it anew."""
    loop = make(outcomes=[*make().outcomes, STARS], release=[], when=[Falls(STARS, below=0.9, recent=20)])
    run(loop, ledger)
    for _ in range(4):
        later(ledger, timedelta(hours=6))
        served(ledger, 50, 1)
    made = run(make(outcomes=loop.outcomes, when=loop.when, recipe=Recipe(window=None, min_rows=10_000)), ledger)
    assert kinds(made) == [("look", "TRAIN"), ("stop", "REFUSE")]
    later(ledger, DAY)
    assert kinds(run(loop, ledger)) == [("look", "TRAIN"), ("candidate", "PASS")]


def test_why_says_when_a_scorer_is_not_what_it_was(make: Make, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make(release=[Shadow(Custom(mine), max_time=2 * DAY), Full()])
    run(loop, ledger)
    later(ledger, 2 * DAY)
    refused = next(one for one in run(loop, ledger) if one.kind == "refuse")
    assert why(ledger, refused.id).matches is True

    def another(given: Any, answer: Any, label: Any) -> float:
        return 0.0

    another.__qualname__ = "mine"
    monkeypatch.setattr(sys.modules[__name__], "mine", another)
    assert any("not the one that the shadow began with" in line for line in why(ledger, refused.id).lines)
    monkeypatch.delattr(sys.modules[__name__], "mine")
    found = why(ledger, refused.id)
    assert found.matches is None
    assert any("cannot be recomputed" in line for line in found.lines)


def test_tru_02_a_promise_a_year_is_printed_as_what_it_is_in_five(make: Make) -> None:
    words = " ".join(str(problem) for problem in make(risk=Risk(per="year")).check())
    assert "at most 5% a year: 23% in five years" in words


def test_a_request_is_answered_once(make: Make, ledger: Ledger) -> None:
    loop = make(when=[], release=[])
    run(loop, ledger)
    request(ledger, "toys", "ada")
    later(ledger)
    assert kinds(run(loop, ledger, now=True)) == [("look", "TRAIN"), ("candidate", "PASS")]
    later(ledger)
    assert kinds(run(loop, ledger, now=True)) == [("look", "REST")]
