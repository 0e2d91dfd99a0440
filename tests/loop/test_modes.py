# SPDX-License-Identifier: Apache-2.0
"""Adoption without risk: a loop observes, proposes, or acts (TRU-12)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trueup.alerts.reading import of_report
from trueup.core.clock import ManualClock, to_us
from trueup.core.errors import DefinitionError, Refused
from trueup.core.events import Event, outcome
from trueup.core.json import dumps
from trueup.data import Recipe
from trueup.evaluate import Accuracy
from trueup.loop import Context, Loop, finish, run, status, tick, why
from trueup.loop.status import lines
from trueup.models import ConstantModel
from trueup.release import (
    Approval,
    Canary,
    Full,
    Shadow,
    approve,
    pause,
    reject,
    resume,
    waiting,
)
from trueup.state import Cycle, decide, read
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows
from trueup.triggers import Falls, Rows

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[..., Loop]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "home", clock=ManualClock(START)) as made:
        made.append(toy_history("toys", toy_rows(400), START))
        yield made


@pytest.fixture
def make(make_loop: Make) -> Make:
    def made(**changes: Any) -> Loop:
        parts: dict[str, Any] = {
            "champion": ConstantModel("animal"), "when": [Rows(50)], "unless": [], "gates": [],
            "release": [Shadow(Accuracy(), max_time=30 * DAY), Full()], "mode": "propose",
        }
        return make_loop(**{**parts, **changes})

    return made


def kinds(decisions: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.verdict) for one in decisions]


def later(ledger: Ledger, by: timedelta = DAY) -> None:
    ledger.clock.advance(by)  # type: ignore[attr-defined]


def tables(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of a home, and the names of its artifacts and segments."""
    with closing(sqlite3.connect(f"{(home / 'journal.sqlite').as_uri()}?mode=ro", uri=True)) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: sorted(db.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
    for folder in ("artifacts", "segments"):
        found[folder] = sorted((str(path.relative_to(home)),) for path in (home / folder).rglob("*"))
    return found


def only_reports_came(before: dict[str, Any], after: dict[str, Any]) -> int:
    """How many reports were added; fails where anything else has changed."""
    new = [row for row in after["record"] if row not in before["record"]]
    assert all(row in after["record"] for row in before["record"])
    assert {row[2] for row in new} <= {"report"}
    assert {name: rows for name, rows in after.items() if name != "record"} == {
        name: rows for name, rows in before.items() if name != "record"
    }
    return len(new)


# -- observe ---------------------------------------------------------------------------------------


def fresh(make: Make, ledger: Ledger) -> None:
    """Nothing has happened."""


def resting(make: Make, ledger: Ledger) -> None:
    run(make(mode="act", when=[]), ledger)


def in_shadow(make: Make, ledger: Ledger) -> None:
    assert kinds(run(make(mode="act"), ledger))[-1] == ("start", "NOTE")


def proposed(make: Make, ledger: Ledger) -> None:
    assert kinds(run(make(), ledger))[-1] == ("propose", "HOLD")


def paused(make: Make, ledger: Ledger) -> None:
    in_shadow(make, ledger)
    pause(ledger, "toys", reason="holiday", who="ada")


def begun(make: Make, ledger: Ledger) -> None:
    run(make(mode="act", when=[]), ledger)
    generation, state = read(ledger, "toys")
    cycle = Cycle("y-1", ledger.cut(), to_us(START), "0" * 64)
    decide(ledger, "toys", generation, replace(state, cycle=cycle), kind="look", verdict="TRAIN", reason="test")


@pytest.mark.parametrize("before", [fresh, resting, in_shadow, proposed, paused, begun], ids=lambda one: one.__name__)
def test_tru_12_observe_changes_no_row_but_its_reports(make: Make, ledger: Ledger, before: Any) -> None:
    """Whatever state the loop is in, whatever its triggers say, and however often it looks."""
    before(make, ledger)
    for when in ([Rows(50)], [Rows(5_000)], [Falls(Accuracy(), below=0.75)], []):
        observed = make(mode="observe", when=when)
        later(ledger)
        was = tables(ledger.home)
        assert run(observed, ledger) == []
        due = 0 if before is paused else 1
        assert only_reports_came(was, tables(ledger.home)) == due
        assert run(observed, ledger) == [], "not due: no second report"
        assert only_reports_came(was, tables(ledger.home)) == due
        assert run(observed, ledger, now=True) == []
        was = tables(ledger.home)
        assert tick(Context(observed, ledger), now=True).decisions == ()
        assert finish(Context(observed, ledger)) is None
        assert only_reports_came(was, tables(ledger.home)) <= 1
        was = tables(ledger.home)
        observed.plan(ledger)
        status(ledger, "toys")
        assert tables(ledger.home) == was


def test_tru_12_a_report_says_what_would_be_done_with_which_rows(make: Make, ledger: Ledger) -> None:
    run(make(mode="observe"), ledger)
    (report,) = ledger.records("toys", "report")
    assert report["would"][0] == "install the definition's constant model as the first champion"
    assert report["would"][1].startswith("train sklearn on 400 labelled rows, 400 of them new, from 2025-12-18 on: rows: 400 of 50")
    assert report["trains"]
    assert report["forecast"]["test"] == 1
    assert report["forecast"]["pairs"] > 0
    assert report["recipe"]["kind"] == "recipe"
    found = status(ledger, "toys")
    assert found.mode == "observe"
    assert any("it would" in line for line in lines(found))
    assert found.to_json()["report"]["would"] == report["would"]
    assert found.next_look == datetime(2026, 1, 2, tzinfo=UTC)


def test_tru_12_observe_watches_the_answers_of_a_system_that_is_not_ours(make: Make, ledger: Ledger) -> None:
    """Logged without a candidate: what serves now is watched as a champion would be."""
    rows = []
    for n in range(400):
        later(ledger, timedelta(minutes=1))
        now = to_us(ledger.clock.now())
        rows += [
            Event(f"x{n}", "toys", "interaction", now, now, unit=f"u{n}", choice=f"x{n}", input=dumps("a"), output=dumps("plant")),
            outcome("toys", f"x{n}", "kind", "animal", ts=now, received=now),
        ]
    ledger.append(rows)
    bad = [Falls(Accuracy(), below=0.75)]
    assert make(mode="observe", when=bad).plan(ledger).look.reason.startswith("falls: accuracy 0.000")
    acting = make(mode="act", champion=None, when=bad).plan(ledger).look.when
    assert "no values" in acting[0][1].reason


def test_tru_12_observe_leaves_a_canary_as_it_stands_and_says_so(make: Make, ledger: Ledger) -> None:
    """Users stay where they are, nothing is moved or decided, each report says that nobody watches; acting
    again goes on with the release."""
    acting = make(mode="act", when=[Rows(5_000)], release=[Shadow(Accuracy(), max_time=30 * DAY), Canary(0.5), Full()])
    run(replace(acting, when=(Rows(50),)), ledger)
    generation, state = read(ledger, "toys")
    assert state.release is not None
    inside = replace(state.release, guard={"lag": 1}, stage=1)
    routing = {**state.routing, "slices": {"challenger": 500}}
    decide(ledger, "toys", generation, replace(state, release=inside, routing=routing), kind="stage", verdict="PASS", reason="test")
    for _ in range(3):
        later(ledger)
        was = tables(ledger.home)
        assert run(replace(acting, mode="observe"), ledger, now=True) == []
        assert only_reports_came(was, tables(ledger.home)) == 1
    assert read(ledger, "toys")[1].release == inside
    assert read(ledger, "toys")[1].routing == routing
    report = ledger.records("toys", "report", newest=True, limit=1)[0]
    assert report["unwatched"] == inside.candidate
    told = [line for line in lines(status(ledger, "toys")) if "nobody watches its guardrails" in line]
    assert len(told) == 1
    assert f"trueup reject {inside.candidate} ends it" in told[0]
    alerts = [one for one in of_report("toys", report, ledger.state("toys")[1]) if one.kind == "unwatched"]
    assert [(one.severity, inside.candidate in one.what) for one in alerts] == [("warning", True)]
    reject(ledger, "toys", inside.candidate, reason="observing")
    assert run(replace(acting, mode="observe"), ledger, now=True) == []
    assert ledger.records("toys", "report", newest=True, limit=1)[0]["unwatched"] is None


def test_tru_12_a_report_shows_the_dataset_that_would_be_made(make: Make, ledger: Ledger) -> None:
    """CUR-14: rows by step, the same as the Snapshot's once the loop acts; no Snapshot is made."""
    run(make(mode="observe"), ledger)
    (report,) = ledger.records("toys", "report")
    steps = report["dataset"]["funnel"]
    assert [step["name"] for step in steps][:2] == ["labelled", "window"]
    assert (report["dataset"]["refusal"], ledger.records("toys", "snapshot")) == (None, [])
    assert any(f"  {steps[0]['name']}" in line for line in lines(status(ledger, "toys")))
    few = make(mode="observe", recipe=Recipe(window=60 * DAY, min_rows=5_000))
    run(few, ledger, now=True)
    assert "5,000 wanted" in ledger.records("toys", "report", newest=True, limit=1)[0]["dataset"]["refusal"]
    made = run(make(mode="act"), ledger)
    acted = next(one for one in made if one.kind == "candidate")
    assert acted.evidence["funnel"] == steps
    later(ledger)
    run(make(mode="observe", when=[Rows(5_000)]), ledger)
    assert ledger.records("toys", "report", newest=True, limit=1)[0]["dataset"] is None, "nothing would be trained"


# -- propose ---------------------------------------------------------------------------------------


def test_tru_12_propose_asks_before_a_release_and_spends_nothing_before(make: Make, ledger: Ledger) -> None:
    """REG-03: approve is the only way past, and the level is spent when the release begins."""
    made = run(make(proposal=Approval(by="owners")), ledger)
    assert kinds(made) == [("install", "PROMOTE"), ("look", "TRAIN"), ("candidate", "PASS"), ("propose", "HOLD")]
    ident = made[-1].subject
    assert ident is not None
    assert made[-1].reason == f"waits for owners, since 2026-01-01 00:00: trueup approve {ident}"
    quiet = make(when=[Rows(5_000)], proposal=Approval(by="owners"))
    asks = make(proposal=Approval(by="owners")).plan(ledger).asks
    assert asks == made[-1].reason
    later(ledger)
    assert kinds(run(quiet, ledger)) == [("propose", "HOLD"), ("look", "REST")], "another definition asks again"
    for _ in range(3):
        later(ledger, 30 * DAY)
        assert kinds(run(quiet, ledger)) == [("look", "REST")]
    _, state = read(ledger, "toys")
    assert (state.tests, state.release, state.waiting) == ((), None, ident)
    assert any(f"waits for owners, since 2026-01-02 00:00: trueup approve {ident}" in line for line in lines(status(ledger, "toys")))
    given = approve(ledger, "toys", ident, reason="read it", who="ada")
    assert (given.verdict, given.actor) == ("PASS", "ada")
    assert "approved" in " ".join(why(ledger, given.id).lines) or given.evidence["approval"]["who"] == "ada"
    made = run(quiet, ledger)
    assert kinds(made) == [("start", "NOTE")]
    assert made[0].evidence["approval"]["who"] == "ada"
    assert [test.k for test in read(ledger, "toys")[1].tests] == [1]
    assert read(ledger, "toys")[1].proposal is None


def test_tru_12_an_approval_is_void_when_what_it_approved_has_changed(make: Make, ledger: Ledger) -> None:
    loop = make()
    ident = run(loop, ledger)[-1].subject
    assert ident is not None
    approve(ledger, "toys", ident, reason="read it", who="ada")
    edited = make(when=[Rows(5_000)])
    made = run(edited, ledger)
    assert kinds(made) == [("propose", "HOLD")]
    assert "void: what ada said" in made[0].reason
    assert read(ledger, "toys")[1].release is None
    approve(ledger, "toys", ident, reason="read it again", who="ada")
    assert kinds(run(edited, ledger)) == [("start", "NOTE")]


def test_tru_12_a_request_expires_and_a_rejection_ends_it(make: Make, ledger: Ledger) -> None:
    loop = make(proposal=Approval(max_time=2 * DAY))
    ident = run(loop, ledger)[-1].subject
    assert ident is not None
    later(ledger, 2 * DAY)
    with pytest.raises(Refused, match="when the request ended"):
        approve(ledger, "toys", ident, reason="late", who="ada")
    rest = make(proposal=Approval(max_time=2 * DAY), when=[Rows(5_000)])
    made = run(loop, ledger)
    assert made[0].verdict == "REFUSE"
    assert "nobody approved it within 2 days" in made[0].reason
    later(ledger)
    run(rest, ledger)
    again = run(make(when=[Rows(1)]), ledger, now=True)
    _, state = read(ledger, "toys")
    if state.waiting is not None:  # the same rows give the same candidate
        reject(ledger, "toys", state.waiting, reason="no", who="eve")
        assert run(rest, ledger) == []
        assert read(ledger, "toys")[1].proposal is None
    assert all(one.kind != "start" for one in again)


def test_tru_12_a_newer_candidate_is_asked_about_anew(make: Make, ledger: Ledger) -> None:
    first = run(make(), ledger)[-1].subject
    assert first is not None
    approve_me = waiting(read(ledger, "toys")[1])
    assert approve_me is not None
    more = toy_history("toys", toy_rows(400, seed=7), START + DAY)
    ledger.append([one._replace(id=f"n{one.id}", choice=f"n{one.choice}") for one in more])
    later(ledger, 2 * DAY)
    made = run(make(), ledger)
    assert kinds(made)[-2:] == [("candidate", "PASS"), ("propose", "HOLD")]
    second = made[-1].subject
    assert second != first
    with pytest.raises(Refused, match=f"expected an approval of {second}"):
        approve(ledger, "toys", first, reason="the old one")


def test_tru_12_the_first_champion_is_proposed_too(make: Make, ledger: Ledger) -> None:
    loop = make(champion=None)
    made = run(loop, ledger)
    assert kinds(made) == [("look", "TRAIN"), ("candidate", "PASS"), ("propose", "HOLD")]
    ident = made[-1].subject
    assert ident is not None
    assert read(ledger, "toys")[1].champion is None
    quiet = make(champion=None, when=[Rows(5_000)])
    later(ledger)
    assert kinds(run(quiet, ledger)) == [("propose", "HOLD"), ("look", "REST")], "no second first champion is trained"
    approve(ledger, "toys", ident, reason="let it serve", who="ada")
    assert kinds(run(quiet, ledger)) == [("install", "PROMOTE")]
    assert read(ledger, "toys")[1].champion == ident


# -- from one to another ---------------------------------------------------------------------------


def test_tru_12_a_release_goes_on_under_the_mode_that_it_began_with(make: Make, ledger: Ledger) -> None:
    """act to propose in a release: it is not asked about again; the next one is."""
    acting = make(mode="act", release=[Shadow(Accuracy(), max_time=5 * DAY), Canary(0.5), Full()])
    assert kinds(run(acting, ledger))[-1] == ("start", "NOTE")
    proposing = replace(acting, mode="propose", when=())
    later(ledger)
    assert kinds(run(proposing, ledger)) == [("look", "REST")]
    later(ledger, 5 * DAY)
    assert kinds(run(proposing, ledger))[0] == ("refuse", "REFUSE")


def test_tru_12_acting_again_begins_with_what_was_proposed(make: Make, ledger: Ledger) -> None:
    proposing = make()
    assert kinds(run(proposing, ledger))[-1] == ("propose", "HOLD")
    observing = replace(proposing, mode="observe")
    later(ledger)
    assert run(observing, ledger) == []
    assert status(ledger, "toys").mode == "observe"
    acting = replace(proposing, mode="act", when=(Rows(5_000),))
    assert kinds(run(acting, ledger)) == [("start", "NOTE"), ("look", "REST")]
    assert status(ledger, "toys").mode == "act"
    pause(ledger, "toys", reason="x", who="ada")
    resume(ledger, "toys", reason="y", who="ada")


def test_a_mode_is_one_of_three(make: Make) -> None:
    with pytest.raises(DefinitionError, match="observe, propose or act, got 'watch'"):
        make(mode="watch")
