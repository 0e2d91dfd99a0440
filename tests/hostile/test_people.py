# SPDX-License-Identifier: Apache-2.0
"""People and processes in each other's way, and clocks that jump back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from trueup.client import connect
from trueup.core.clock import ManualClock, from_us, to_us
from trueup.core.errors import Conflict, Refused
from trueup.core.ids import Ids
from trueup.data import list_snapshots
from trueup.loop import load_loop, run, why
from trueup.release import Approval, Full, Shadow, approve, pause, reject
from trueup.state import decide, read
from trueup.store import Ledger
from trueup.testing import toy_history, toy_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def waiting(desk: Any) -> Iterator[tuple[Any, Ledger, str]]:
    """A loop whose first challenger waits for a person."""
    loop = load_loop(desk.file)
    with Ledger.open(desk.home, clock=ManualClock(START)) as ledger:
        ledger.append(toy_history("toys", toy_rows(60, seed=3), START))
        run(loop, ledger, base=desk.folder)
        generation, state = read(ledger, "toys")
        assert state.release is not None
        stage = next(at for at, one in enumerate(loop.release) if isinstance(one, Approval))
        release = replace(
            state.release, stage=stage, proven=True, validated=True,
            parameters={"by": "owners", "candidate": state.release.candidate, "since": to_us(START)},
        )
        decide(ledger, "toys", generation, replace(state, release=release), kind="stage", verdict="PASS", reason="test")
        yield desk, ledger, state.release.candidate


def test_approving_twice_takes_effect_once(waiting: tuple[Any, Ledger, str]) -> None:
    desk, ledger, candidate = waiting
    desk.trueup("approve", candidate, "-m", "looks right").said(0)
    before = desk.holds()
    desk.trueup("approve", candidate, "-m", "looks right").said(2, "T107", f"{candidate} is approved already, by")
    with pytest.raises(Refused, match="approved already"):
        approve(ledger, "toys", candidate, reason="again")
    assert desk.holds() == before
    made = run(load_loop(desk.file), ledger, base=desk.folder)
    assert [(one.kind, one.verdict) for one in made] == [("stage", "PASS"), ("promote", "PROMOTE")]
    desk.trueup("approve", candidate, "-m", "looks right").said(2, "T107", "nothing of toys waits for an approval", "trueup status")
    assert [one.kind for one in ledger.decisions("toys")].count("approve") == 1


def test_an_approval_of_another_candidate_is_void(waiting: tuple[Any, Ledger, str]) -> None:
    desk, ledger, candidate = waiting
    before = desk.holds()
    desk.trueup("approve", "c-0123456789abcdef", "-m", "x").said(
        2, "T107", f"expected an approval of {candidate}", "got 'c-0123456789abcdef'", f"trueup approve {candidate}"
    )
    desk.trueup("reject", "c-0123456789abcdef", "-m", "x").said(2, "T107", f"trueup reject {candidate}")
    assert desk.holds() == before
    approve(ledger, "toys", candidate, reason="looks right", who="ada")
    generation, state = read(ledger, "toys")
    assert state.release is not None
    other = replace(state.release, candidate="c-of-another")  # the release moved on in between
    decide(ledger, "toys", generation, replace(state, release=other), kind="stage", verdict="PASS", reason="test")
    made = run(load_loop(desk.file), ledger, base=desk.folder)
    assert made == []
    _, state = read(ledger, "toys")
    assert state.release is not None
    assert state.release.candidate == "c-of-another"
    assert state.champion != "c-of-another"


def test_a_model_that_was_changed_after_its_approval_does_not_serve(waiting: tuple[Any, Ledger, str]) -> None:
    """A candidate is its digest: the doctor names the file, and nobody loads it."""
    desk, ledger, candidate = waiting
    from trueup.state import candidate as find

    folder = ledger.artifacts.path(find(ledger, "toys", candidate).model)
    (folder / "model.json").chmod(0o644)
    (folder / "model.json").write_text((folder / "model.json").read_text().replace("plant", "stone"))
    ended = desk.trueup("doctor").said(5)
    assert "error: " in ended.out
    assert folder.name[:16] in ended.out


def test_two_that_decide_at_once_one_wins(waiting: tuple[Any, Ledger, str]) -> None:
    desk, ledger, candidate = waiting
    generation, state = read(ledger, "toys")
    with Ledger.open(desk.home, clock=ManualClock(START)) as other:
        pause(other, "toys", reason="first", who="eve")
        with pytest.raises(Conflict, match=f"expected generation {generation} of 'toys', got {generation + 1}") as caught:
            decide(ledger, "toys", generation, state, kind="note", verdict="NOTE", reason="second")
        assert "read the state again" in caught.value.cure
        assert caught.value.exit_code == 4
    assert ledger.state("toys")[0] == generation + 1
    # the same through the command line: the state moves between its look and its word
    meddle = (
        "import trueup.release.people.acting as people\nfrom trueup.store import Ledger\n"
        "read = people.read\n"
        "def meddling(ledger, loop):\n"
        "    found = read(ledger, loop)\n"
        "    people.read = read\n"
        "    with Ledger.open(ledger.home) as other:\n"
        "        people.resume(other, loop, reason='quicker')\n"
        "    return found\n"
        "people.read = meddling\n"
    )
    desk.trueup("resume", "-m", "slower", before=meddle).said(4, "T201", "somebody else has decided", "read the state again")
    reasons = [one.reason for one in ledger.decisions("toys", kind="resume")]
    assert reasons == ["quicker"]
    assert desk.holds() is not None
    reject(ledger, "toys", candidate, reason="done", who="ada")


def test_a_clock_that_jumps_back_turns_no_order_round(desk: Any) -> None:
    """Decisions, events and looks keep their order and their chain; nothing is trained from a time to come."""
    loop = load_loop(desk.file)
    loop = replace(loop, release=[Shadow(loop.carrier.scorer, no_worse_by=0.3, min_time=HOUR, max_time=90 * 24 * HOUR), Full()])  # type: ignore[union-attr]
    clock = ManualClock(START)
    with Ledger.open(desk.home, clock=clock) as ledger:
        ledger.append(toy_history("toys", toy_rows(60, seed=3), START))
        run(loop, ledger, base=desk.folder)
        with connect("toys", desk.home, clock=clock, ids=Ids(clock, 1)) as client:
            for hour in (1, 2, -30, -29, 3, 4):
                clock.move_to(START + hour * HOUR)
                for at in range(12):
                    choice = client.choose(f"u{hour}-{at}")
                    client.log(choice, f"w1x{at}", "animal", seconds=0.01)
                    client.feedback(choice.id, "kind", "plant")
                made = run(loop, ledger, base=desk.folder)
                if hour < 0:
                    assert not [one for one in made if one.kind == "look"], "no look is due before the last one"
        decisions = ledger.decisions("toys")
        assert [one.generation for one in decisions] == list(range(1, len(decisions) + 1))
        assert [one.at for one in decisions] == sorted(one.at for one in decisions)
        assert all(b.previous == a.digest() for a, b in pairwise(decisions))
        seqs = ledger.scan("toys", "interaction")["seq"].to_pylist()
        assert seqs == sorted(set(seqs))
        for snapshot in list_snapshots(ledger, "toys"):
            until = snapshot.manifest["window"]["until"]
            assert max(snapshot.rows()["known"].to_pylist()) <= until
        for one in decisions:
            assert why(ledger, one.id).matches is not False, why(ledger, one.id).lines
        assert not [one for one in ledger.doctor() if one.level == "error"]
        assert from_us(decisions[-1].at) >= START
        clock.move_to(START - 90 * HOUR)
        warned = [one for one in ledger.doctor() if one.code == "clock"]
        assert warned[0].level == "warning"
        assert "set the clock right" in warned[0].cure
